import type { RandomBytes } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { KesClient } from '../kes/kes-client.ts'
import {
  type EnvelopeKeys,
  envelopeKeysOf,
  newEnvelopeKeys,
  unwrapPayloadKey,
  wipe,
  wrapPayloadKey,
} from './envelope-cipher.ts'
import {
  decodeHead,
  decodeWrapping,
  type EnvelopeHead,
  type EnvelopeKind,
  type EnvelopeWrapping,
  encodeHead,
  encodeWrappingPrefix,
  HEAD_BYTES,
} from './envelope-head.ts'

/** The part of a key server that envelopes need: policies that allow `generate` and `decrypt`. */
export type EnvelopeKeyServer = Pick<KesClient, 'url' | 'generateDataKey' | 'decryptDataKey'>

/** An envelope about to be written. */
export interface NewEnvelope {
  /** Head and wrapping: what stands before the chunks. */
  readonly opening: Uint8Array
  /** Wipe them after the last chunk. */
  readonly keys: EnvelopeKeys
}

/** What stands before the chunks, as it was read. */
export interface EnvelopeOpening {
  readonly head: EnvelopeHead
  readonly wrapping: EnvelopeWrapping
  /** For messages. */
  readonly where: string
}

/** @param bytes head and wrapping, and nothing else. @throws INTEGRITY, FORMAT_VERSION */
export function decodeOpening(bytes: Uint8Array, where: string): EnvelopeOpening {
  const head = decodeHead(bytes, where)
  return { head, wrapping: decodeWrapping(bytes.subarray(HEAD_BYTES), where), where }
}

/** @throws INTEGRITY where it is the envelope of anything but this blob */
export function requireBlob({ head, where }: EnvelopeOpening, subject: Uint8Array): void {
  if (head.kind === 'blob' && Buffer.compare(head.subject, subject) === 0) return
  throw new AkidbError('INTEGRITY', `${where} is the envelope of something else`, {
    hint: 'See: akidb worm verify',
  })
}

/** What is to be encrypted, and under which key. */
export interface NewEnvelopeRequest {
  readonly keyId: string
  readonly kind: EnvelopeKind
  /** 32 bytes. */
  readonly subject: Uint8Array
  readonly random: RandomBytes
  /** Default limits.envelopeChunkBytes. */
  readonly chunkBytes?: number
  readonly signal?: AbortSignal
}

/**
 * Keys of a new envelope: a payload key of its own, wrapped by a new data key of the key server.
 *
 * @throws what KesClient.generateDataKey throws
 */
export async function newEnvelope(
  server: EnvelopeKeyServer,
  request: NewEnvelopeRequest,
): Promise<NewEnvelope> {
  const { keyId, kind, subject, random, signal } = request
  const chunkBytes = request.chunkBytes ?? limits.envelopeChunkBytes
  const keys = newEnvelopeKeys({ kind, chunkBytes, subject }, random)
  try {
    const wrapping = await wrap(server, keys, { keyId, signal })
    return { opening: Buffer.concat([keys.head, wrapping]), keys }
  } catch (error) {
    wipe(keys)
    throw error
  }
}

/**
 * Keys of an envelope, by the key server; undefined: none was named. Nothing is decrypted before
 * the payload key is the one that the head commits to.
 *
 * @throws AUTH where there is no key server; AUTH, UNREACHABLE, TIMEOUT, LIMIT as
 *   KesClient.decryptDataKey; NOT_FOUND where the server has no key of that name; INTEGRITY where
 *   its key of that name is another, or head or wrapping were altered
 */
export async function openEnvelope(
  server: EnvelopeKeyServer | undefined,
  { head, wrapping, where }: EnvelopeOpening,
  signal?: AbortSignal,
): Promise<EnvelopeKeys> {
  const { keyId, sealed, wrapped } = wrapping
  if (server === undefined) throw noKeyServer(where, keyId)
  const headBytes = encodeHead(head)
  const dataKey = await dataKeyOf(server, { keyId, sealed, headBytes, where }, signal)
  const bound = [headBytes, encodeWrappingPrefix(keyId, sealed)]
  const payloadKey = unwrapPayloadKey(dataKey, wrapped, bound)
  dataKey.fill(0)
  const keys = payloadKey === undefined ? undefined : envelopeKeysOf(head, payloadKey)
  if (keys !== undefined) return keys
  payloadKey?.fill(0)
  throw new AkidbError('INTEGRITY', `the head of ${where} was altered`, {
    hint: 'Carry it over again, or ask its sender.',
    details: { keyId },
  })
}

const noKeyServer = (where: string, keyId: string): AkidbError =>
  new AkidbError('AUTH', `${where} is encrypted under the key "${keyId}" of a key server`, {
    hint: 'Name it, and who we are to it: --kes-endpoint, --kes-client-cert, --kes-client-key.',
    details: { keyId },
  })

/**
 * Wraps the payload key under another key of the key server. Head and chunks stay as they are, and
 * nothing that they hold is decrypted.
 *
 * @returns what stands before the chunks from now on
 * @throws as openEnvelope, and as KesClient.generateDataKey for the new key
 */
export async function rewrapEnvelope(
  server: EnvelopeKeyServer,
  opening: EnvelopeOpening,
  { keyId, signal }: { readonly keyId: string; readonly signal?: AbortSignal | undefined },
): Promise<Uint8Array> {
  const keys = await openEnvelope(server, opening, signal)
  try {
    return Buffer.concat([keys.head, await wrap(server, keys, { keyId, signal })])
  } finally {
    wipe(keys)
  }
}

async function wrap(
  server: EnvelopeKeyServer,
  { head, payloadKey }: EnvelopeKeys,
  { keyId, signal }: { readonly keyId: string; readonly signal: AbortSignal | undefined },
): Promise<Uint8Array> {
  const made = await server.generateDataKey(keyId, contextOf(head), signal)
  const prefix = encodeWrappingPrefix(keyId, made.ciphertext)
  const wrapped = wrapPayloadKey(made.plaintext, payloadKey, [head, prefix])
  made.plaintext.fill(0)
  return Buffer.concat([prefix, wrapped])
}

async function dataKeyOf(
  server: EnvelopeKeyServer,
  asked: Pick<EnvelopeWrapping, 'keyId' | 'sealed'> & { headBytes: Uint8Array; where: string },
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const { keyId, sealed, headBytes, where } = asked
  const kept = { ciphertext: sealed, context: contextOf(headBytes) }
  try {
    return await server.decryptDataKey(keyId, kept, signal)
  } catch (error) {
    if (!hasCode(error, 'NOT_FOUND', 'INTEGRITY')) throw error
    const isAbsent = error.code === 'NOT_FOUND'
    const what = isAbsent
      ? `which ${server.url} does not have`
      : `and the key of this name at ${server.url} does not open it`
    const hint = isAbsent
      ? 'Name the key server that has the key; one made anew does not open it.'
      : 'Name the key server that sealed it; if this is the one, the head was altered.'
    const message = `${where} is encrypted under the key "${keyId}", ${what}`
    throw new AkidbError(error.code, message, { hint, details: { keyId }, cause: error })
  }
}

/** What KES binds a data key to: the whole head, so also what it is the envelope of. */
const contextOf = (head: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from('akidb-envelope/1\0', 'latin1'), head])
