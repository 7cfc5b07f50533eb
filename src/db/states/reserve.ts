import { limits } from '../../core/limits.ts'
import { hasCode } from '../../errors/errors.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { systemRandom } from '../../storage/system-random.ts'
import type { Environment } from './environment.ts'

/** Key of the reserve that gc and drop give up so that they can run on a full disk. */
export const RESERVE_FILE = 'reserve'

/**
 * Runs work that frees space. Where the disk is full it gives up the reserve in the state folder
 * and tries once more; the reserve is made again as soon as there is room.
 */
export async function withReserve<T>(environment: Environment, work: () => Promise<T>): Promise<T> {
  const { state } = environment
  try {
    return await work()
  } catch (error) {
    if (!hasCode(error, 'NO_SPACE')) throw error
    if (!(await state.delete(RESERVE_FILE))) throw error
    return await work()
  } finally {
    await ensureReserve(state)
  }
}

/**
 * Makes the reserve where it is missing, as large as there is room for: limits.reserveBytes, or
 * half as much, and so on. Never throws.
 */
export async function ensureReserve(state: ObjectStore): Promise<void> {
  if ((await state.head(RESERVE_FILE)) === undefined) await makeReserve(state, 0)
}

/** Makes a reserve larger that was made when there was little room. Never throws. */
export async function growReserve(state: ObjectStore): Promise<void> {
  const held = (await state.head(RESERVE_FILE))?.bytes ?? 0
  if (held >= limits.reserveBytesMin) await makeReserve(state, held)
}

async function makeReserve(state: ObjectStore, heldBytes: number): Promise<void> {
  let bytes = limits.reserveBytes
  if (bytes <= heldBytes) return
  // Of zeros a file system that compresses would keep nothing.
  const body = systemRandom(bytes)
  for (; bytes > heldBytes && bytes >= limits.reserveBytesMin; bytes /= 2) {
    try {
      await state.put(RESERVE_FILE, body.subarray(0, bytes), { mode: 'replace' })
      return
    } catch (error) {
      if (!hasCode(error, 'NO_SPACE')) return
    }
  }
}
