import type { KesAccess } from '../kes/kes-access.ts'
import type { KesClient } from '../kes/kes-client.ts'
import { systemClock } from '../system-clock.ts'
import { systemRandom } from '../system-random.ts'
import type { EnvelopeKeyServer } from './kes-envelope.ts'

/** A key server that nobody asks before an envelope needs it. */
export interface LazyKeyServer extends EnvelopeKeyServer {
  /** Ends the connections. */
  close(): void
}

/** @returns undefined where none is named; its methods throw also what openKesClient throws */
export function lazyKeyServer(kes: KesAccess | undefined): LazyKeyServer | undefined {
  if (kes === undefined) return undefined
  let opened: Promise<KesClient> | undefined
  const client = (): Promise<KesClient> => {
    opened ??= openClient(kes)
    return opened
  }
  return {
    url: kes.endpoint ?? '',
    generateDataKey: async (...asked) => (await client()).generateDataKey(...asked),
    decryptDataKey: async (...asked) => (await client()).decryptDataKey(...asked),
    close: () => {
      opened?.then((each) => each.close()).catch(() => undefined)
    },
  }
}

async function openClient(kes: KesAccess): Promise<KesClient> {
  // Loaded when it is asked for: no other command waits for it.
  const { openKesClient } = await import('../kes/kes-client.ts')
  return await openKesClient({ ...kes, clock: systemClock, random: systemRandom })
}
