import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { compareKeys } from '../keys.ts'
import type * as store from '../object-store.ts'
import { type EnvelopeKeys, openChunk, wipe } from './envelope-cipher.ts'
import {
  decodeHead,
  envelopeBytes,
  FIXED_BYTES,
  HEAD_BYTES,
  TAG_BYTES,
  wrappingBytes,
} from './envelope-head.ts'
import { decodeOpening, openEnvelope, requireBlob } from './kes-envelope.ts'
import type { LazyKeyServer } from './lazy-key-server.ts'

/** A blob that lies in an envelope. */
export interface EnvelopedBlob {
  /** Key of the envelope in the store below. */
  readonly below: string
  readonly sealedBytes: number
  /** Of the blob itself. */
  readonly bytes: number
  /** See blobSubject. */
  readonly subject: Uint8Array
}

const PIECE_BYTES = 1024 * 1024
/** Chunks that one request asks for. */
const RUN_CHUNKS = 64

/**
 * A store in which blobs that lie in envelopes are to be read as they are: each is opened by the
 * key server when it is touched first, and decrypted chunk by chunk. All else goes straight
 * through. Read only; what lies below sees ciphertext alone.
 *
 * Reading throws what openEnvelope throws; INTEGRITY where a chunk is not what was encrypted.
 *
 * @param blobs by the key that they are to have; the keys of their envelopes are not shown
 */
export function createEnvelopeView(
  inner: store.ObjectStore,
  blobs: ReadonlyMap<string, EnvelopedBlob>,
  server: LazyKeyServer | undefined,
): store.ObjectStore {
  const opened = new OpenedBlobs(inner, server)
  const hidden = new Set([...blobs.values()].map(({ below }) => below))
  const read = async function* (
    key: string,
    options: { offset?: number; pieceBytes?: number } = {},
  ): AsyncGenerator<Uint8Array> {
    const blob = blobs.get(key)
    if (blob === undefined) return yield* inner.read(key, options)
    const { offset = 0, pieceBytes = PIECE_BYTES } = options
    if (offset > blob.bytes) throw beyond(key, offset, blob.bytes)
    for (let at = offset; at < blob.bytes; at += pieceBytes) {
      const bytes = Math.min(pieceBytes, blob.bytes - at)
      yield await opened.get(key, blob, { offset: at, bytes })
    }
  }
  return {
    ...inner,
    get: async (key, range) => {
      const blob = blobs.get(key)
      if (blob === undefined) return await inner.get(key, range)
      return await opened.get(key, blob, range ?? { offset: 0, bytes: blob.bytes })
    },
    read,
    head: async (key) => {
      const blob = blobs.get(key)
      return blob === undefined ? await inner.head(key) : infoOf(key, blob)
    },
    list: async function* (prefix, { after = '', limit = Number.POSITIVE_INFINITY } = {}) {
      const found: store.ObjectInfo[] = []
      for await (const info of inner.list(prefix, { after })) {
        if (!hidden.has(info.key)) found.push(info)
      }
      for (const [key, blob] of blobs) {
        if (key.startsWith(prefix) && key > after) found.push(infoOf(key, blob))
      }
      yield* found.sort((a, b) => compareKeys(a.key, b.key)).slice(0, limit)
    },
    close: async () => {
      await opened.close()
      await inner.close()
    },
  }
}

const infoOf = (key: string, { bytes }: EnvelopedBlob): store.ObjectInfo => ({
  key,
  bytes,
  modifiedMs: 0,
})

/** An envelope whose keys are known. */
interface Opened {
  readonly keys: EnvelopeKeys
  readonly openingBytes: number
}

/** Keys of envelopes that were touched, and the chunks that were read last. */
class OpenedBlobs {
  readonly #inner: store.ObjectStore
  readonly #server: LazyKeyServer | undefined
  readonly #opened = new Map<string, Promise<Opened>>()
  /** Plaintext by key and number; the one used longest ago comes first. */
  readonly #chunks = new Map<string, Uint8Array>()

  constructor(inner: store.ObjectStore, server: LazyKeyServer | undefined) {
    this.#inner = inner
    this.#server = server
  }

  async get(key: string, blob: EnvelopedBlob, range: store.ByteRange): Promise<Uint8Array> {
    const end = range.offset + range.bytes
    if (end > blob.bytes) throw beyond(key, end, blob.bytes)
    const target = new Uint8Array(range.bytes)
    if (range.bytes === 0) return target
    const { keys, openingBytes } = await this.#open(key, blob)
    const { chunkBytes } = keys
    const last = Math.floor((end - 1) / chunkBytes)
    for (let from = Math.floor(range.offset / chunkBytes); from <= last; from += RUN_CHUNKS) {
      const to = Math.min(last, from + RUN_CHUNKS - 1)
      const run = await this.#run(key, blob, { keys, openingBytes, from, to })
      for (const [i, chunk] of run.entries()) {
        const at = (from + i) * chunkBytes
        const [start, stop] = [Math.max(0, range.offset - at), Math.min(chunk.length, end - at)]
        target.set(chunk.subarray(start, stop), at + start - range.offset)
      }
    }
    return target
  }

  async close(): Promise<void> {
    for (const each of this.#opened.values()) {
      await each.then(({ keys }) => wipe(keys)).catch(() => undefined)
    }
    this.#opened.clear()
    this.#chunks.clear()
    this.#server?.close()
  }

  #open(key: string, blob: EnvelopedBlob): Promise<Opened> {
    const known = this.#opened.get(key)
    if (known !== undefined) return known
    const opening = this.#read(key, blob)
    this.#opened.set(key, opening)
    opening.catch(() => this.#opened.delete(key))
    return opening
  }

  async #read(key: string, { below, sealedBytes, bytes, subject }: EnvelopedBlob): Promise<Opened> {
    if (sealedBytes < FIXED_BYTES) throw damaged(key)
    const fixed = await this.#inner.get(below, { offset: 0, bytes: FIXED_BYTES })
    const { chunkBytes } = decodeHead(fixed, key)
    const openingBytes = HEAD_BYTES + wrappingBytes(fixed.subarray(HEAD_BYTES), key)
    if (envelopeBytes(openingBytes, bytes, chunkBytes) !== sealedBytes) throw damaged(key)
    const whole = await this.#inner.get(below, { offset: 0, bytes: openingBytes })
    const opening = decodeOpening(whole, key)
    requireBlob(opening, subject)
    const keys = await openEnvelope(this.#server, opening).catch(keyIsGone)
    return { keys, openingBytes }
  }

  /** Neighbouring chunks, decrypted; one alone is kept for whoever reads its next bytes. */
  async #run(
    key: string,
    { below, sealedBytes, bytes }: EnvelopedBlob,
    { keys, openingBytes, from, to }: Opened & { readonly from: number; readonly to: number },
  ): Promise<readonly Uint8Array[]> {
    const name = `${key}/${from}`
    const known = from === to ? this.#chunks.get(name) : undefined
    if (known !== undefined) {
      this.#chunks.delete(name)
      this.#chunks.set(name, known)
      return [known]
    }
    const step = keys.chunkBytes + TAG_BYTES
    const offset = openingBytes + from * step
    const stop = Math.min(sealedBytes, openingBytes + (to + 1) * step)
    const body = await this.#inner.get(below, { offset, bytes: stop - offset })
    const lastOfAll = Math.max(0, Math.ceil(bytes / keys.chunkBytes) - 1)
    const chunks: Uint8Array[] = []
    for (let index = from; index <= to; index++) {
      const at = (index - from) * step
      const sealed = body.subarray(at, at + step)
      const chunk = openChunk(keys, index, { sealed, isLast: index === lastOfAll })
      if (chunk === undefined) throw damaged(key)
      chunks.push(chunk)
    }
    const [first] = chunks
    if (from === to && first !== undefined) this.#keep(name, first)
    return chunks
  }

  #keep(name: string, chunk: Uint8Array): void {
    this.#chunks.set(name, chunk)
    if (this.#chunks.size <= limits.envelopeChunksKept) return
    const [oldest = ''] = this.#chunks.keys()
    this.#chunks.delete(oldest)
  }
}

/** A key that is not there: to whoever reads a store, NOT_FOUND is a blob that is not there. */
function keyIsGone(error: unknown): never {
  if (!hasCode(error, 'NOT_FOUND')) throw error
  const { message, hint = '', details } = error
  throw new AkidbError('AUTH', message, { hint, details, cause: error })
}

const damaged = (key: string): AkidbError =>
  new AkidbError('INTEGRITY', `the envelope of ${key} is not what was encrypted`, {
    hint: 'See: akidb worm verify --read-data',
    details: { key },
  })

const beyond = (key: string, wanted: number, found: number): AkidbError =>
  new AkidbError('INTEGRITY', `${key} is ${found} bytes long, ${wanted} were promised`, {
    hint: 'See: akidb worm verify',
    details: { key, expected: wanted, found },
  })
