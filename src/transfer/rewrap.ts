import { readOpening } from '../bundle/bundle-envelope.ts'
import { createBundleFile, readBundleFile } from '../bundle/bundle-file.ts'
import { ByteSource } from '../bundle/byte-source.ts'
import { AkidbError } from '../errors/errors.ts'
import { rewrapEnvelope } from '../storage/envelope/kes-envelope.ts'
import type { KesAccess } from '../storage/kes/kes-access.ts'
import { type ActRequest, auditedAct } from './audited-act.ts'
import type { BundleOutput } from './export.ts'
import { type BundleInput, nameOfInput, withKeyServer } from './key-server.ts'

/** An encrypted bundle, and the key that it is to be kept under. */
export interface KmsRewrapRequest extends KesAccess, ActRequest {
  readonly input: BundleInput
  readonly output: BundleOutput
  /** Name of the new key, at the same key server. */
  readonly id: string
}

export interface KmsRewrapResult {
  /** '-' for a stream. */
  readonly path: string
  readonly bytes: number
  /** Names of the keys before and from now on. */
  readonly from: string
  readonly to: string
  readonly endpoint: string
}

/**
 * Writes an encrypted bundle anew whose payload key is wrapped under another key of the key server.
 * What is in it is neither decrypted nor changed: only the wrapping in front of the chunks is new.
 * So damage of the chunks goes along, for importBundle and verifyBundle to find.
 *
 * @throws BAD_INPUT for a bundle that is not encrypted; INTEGRITY, FORMAT_VERSION for a head that
 *   does not hold; EXISTS, NO_SPACE; what the key server throws for both keys
 */
export async function kmsRewrap(request: KmsRewrapRequest): Promise<KmsRewrapResult> {
  const { input, output, id, signal } = request
  const name = nameOfInput(input)
  const pieces = 'path' in input ? readBundleFile(input.path) : input.stream
  const source = new ByteSource(pieces, signal)
  try {
    const opening = await readOpening(source, name)
    if (opening === undefined) throw notEncrypted(name)
    const from = opening.wrapping.keyId
    const details = { bundle: name, from, to: id, endpoint: request.endpoint ?? '' }
    return await auditedAct(request, { act: 'kms.rewrap', details }, async () => {
      const { bytes, url } = await withKeyServer(request, async (server) => ({
        bytes: await rewrapEnvelope(server, opening, { keyId: id, signal }),
        url: server.url,
      }))
      const written = await writeAll(output, bytes, source)
      const path = 'path' in output ? output.path : '-'
      return { path, bytes: written, from, to: id, endpoint: url }
    })
  } finally {
    await source.close()
  }
}

/** @returns bytes written */
async function writeAll(
  output: BundleOutput,
  opening: Uint8Array,
  source: ByteSource,
): Promise<number> {
  const file =
    'path' in output ? await createBundleFile(output.path, { replace: output.force }) : undefined
  const write = 'write' in output ? output.write : file?.write.bind(file)
  if (write === undefined) throw new Error('an output writes')
  try {
    await write(opening)
    const bytes = await source.pass(Number.POSITIVE_INFINITY, write)
    await file?.commit()
    return opening.length + bytes
  } catch (error) {
    await file?.abort()
    throw error
  }
}

const notEncrypted = (name: string): AkidbError =>
  new AkidbError('BAD_INPUT', `${name} is not encrypted: it has no key to wrap anew`, {
    hint: 'akidb export --kms-key writes encrypted bundles.',
  })
