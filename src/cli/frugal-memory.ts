import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/**
 * New objects have so much room, where it would grow to 16 MiB. With less of it what a request
 * needs is taken for old before the request ends, and old objects cost a collection of all.
 */
const NEW_BYTES_MAX = 3 * 2 ** 20
/** How often it is looked how much it is. */
const LOOK_MS = 20

/**
 * For a command that makes much garbage in small pieces over minutes and keeps little of it: the
 * collector comes when the heap has grown by a fifth, where it would let it grow to twice and more,
 * and new objects have a few megabytes. V8 reads both flags anew each time.
 */
export function collectSooner(): void {
  setFlagsFromString('--heap-growing-percent=20')
  const look = setInterval(() => {
    const fresh = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
    if ((fresh?.space_size ?? 0) < NEW_BYTES_MAX) return
    setFlagsFromString('--semi-space-growth-factor=1')
    clearInterval(look)
  }, LOOK_MS)
  look.unref()
}
