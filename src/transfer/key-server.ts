import { basename } from 'node:path'
import { openBundleBytes } from '../bundle/bundle-envelope.ts'
import { readBundleFile } from '../bundle/bundle-file.ts'
import { type NewEnvelope, newEnvelope, openEnvelope } from '../storage/envelope/kes-envelope.ts'
import type { KesAccess } from '../storage/kes/kes-access.ts'
import type { KesClient } from '../storage/kes/kes-client.ts'
import { systemClock } from '../storage/system-clock.ts'
import { systemRandom } from '../storage/system-random.ts'

/** Works with a key server, and ends the connections to it. @throws as openKesClient */
export async function withKeyServer<T>(
  access: KesAccess,
  work: (client: KesClient) => Promise<T>,
): Promise<T> {
  // Loaded when it is asked for: no other command waits for it.
  const { openKesClient } = await import('../storage/kes/kes-client.ts')
  const client = await openKesClient({ ...access, clock: systemClock, random: systemRandom })
  try {
    return await work(client)
  } finally {
    client.close()
  }
}

/** Where a bundle comes from: a path, or a stream such as stdin. */
export type BundleInput =
  | { readonly path: string }
  | { readonly name: string; readonly stream: AsyncIterable<Uint8Array> }

/** Base name of the bundle, for messages and the audit log. */
export const nameOfInput = (input: BundleInput): string =>
  'path' in input ? basename(input.path) : input.name

export interface OpenBundleRequest {
  /** For messages. */
  readonly name: string
  /** Has the keys of encrypted bundles; absent: those are refused. */
  readonly kes?: KesAccess | undefined
  readonly signal?: AbortSignal | undefined
  /** Told where the bundle is encrypted, and under which key. */
  readonly onEncrypted?: (keyId: string) => void
}

/**
 * Bytes of a bundle, decrypted where it is encrypted (see openBundleBytes).
 *
 * @throws AUTH for an encrypted one where no key server is named; what the key server and
 *   openBundleBytes throw
 */
export const bundleBytes = (
  input: BundleInput,
  { name, kes, signal, onEncrypted }: OpenBundleRequest,
): AsyncIterable<Uint8Array> =>
  openBundleBytes('path' in input ? readBundleFile(input.path) : input.stream, {
    name,
    signal,
    unseal: async (opening) => {
      const { keyId } = opening.wrapping
      onEncrypted?.(keyId)
      if (kes === undefined) return await openEnvelope(undefined, opening)
      return await withKeyServer(kes, (server) => openEnvelope(server, opening, signal))
    },
  })

/** An envelope for a bundle that is about to be written. */
export interface BundleEnvelope extends NewEnvelope {
  /** Name of the key at the key server. */
  readonly keyId: string
}

/**
 * Asks a key server for the keys of a new encrypted bundle. Wipe them afterwards.
 *
 * @throws what openKesClient and KesClient.generateDataKey throw
 */
export async function bundleEnvelope(
  kes: KesAccess,
  keyId: string,
  signal?: AbortSignal,
): Promise<BundleEnvelope> {
  const about = { keyId, kind: 'bundle', subject: new Uint8Array(32) } as const
  const stop = signal === undefined ? {} : { signal }
  return await withKeyServer(kes, async (server) => ({
    keyId,
    ...(await newEnvelope(server, { ...about, random: systemRandom, ...stop })),
  }))
}
