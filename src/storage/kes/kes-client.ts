import type { Clock, RandomBytes } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { type KesAccess, type KesPeer, readKesPeer } from './kes-access.ts'
import {
  type DataKey,
  type KesKey,
  type KesKeyPage,
  type KesStatus,
  readDataKey,
  readKey,
  readKeyPage,
  readPlaintext,
  readStatus,
  readVersion,
} from './kes-answers.ts'
import { isDoubtful, isPassing, KesFailure, meaningOf } from './kes-errors.ts'
import {
  createKesTransport,
  type KesAnswer,
  type KesRequest,
  type KesTransport,
} from './kes-transport.ts'

export interface KesClientOptions extends KesAccess {
  readonly clock: Clock
  /** For the pauses between tries. */
  readonly random: RandomBytes
}

/** A data key as it was kept, and what it was sealed for. */
export interface SealedDataKey {
  readonly ciphertext: Uint8Array
  readonly context: Uint8Array
}

/** A request, and what its answer means. */
interface Call<T> extends KesRequest {
  /** "describe the key "a"", for messages. */
  readonly what: string
  readonly read: (answer: KesAnswer) => T
  /** Set where the request changes something, so that it is sent once; see Asked. */
  readonly doubtHint?: string
}

/** @throws as readKesPeer; connects to nothing */
export async function openKesClient(options: KesClientOptions): Promise<KesClient> {
  const peer = await readKesPeer(options)
  const timeoutMs = options.timeoutMs ?? limits.kesAnswerTimeoutMs
  return new KesClient(peer, createKesTransport(peer, timeoutMs), options)
}

/**
 * A client of MinIO KES over mutual TLS, for the API of its servers from 2023-11 to 2025-05; the
 * listings of older ones are read too. Source: the server's own routes (minio/kes, internal/api).
 *
 * Requests that change nothing are tried again until `retryForMs` has gone by. What every one
 * throws: AUTH (certificates, policies), UNREACHABLE (also what is no KES server), TIMEOUT, LIMIT
 * (an answer over limits.kesAnswerBytesMax), BAD_INPUT (a name that KES does not take).
 */
export class KesClient {
  readonly url: string
  /** SHA-256 of the client's public key, hex: its name in the server's policies. */
  readonly identity: string
  readonly #transport: KesTransport
  readonly #options: KesClientOptions

  constructor(peer: KesPeer, transport: KesTransport, options: KesClientOptions) {
    this.url = peer.url
    this.identity = peer.identity
    this.#transport = transport
    this.#options = options
  }

  /** Version of the server; every client with a certificate may ask. */
  async version(signal?: AbortSignal): Promise<string> {
    const path = '/version'
    return await this.#call({
      what: 'ask the version',
      method: 'GET',
      path,
      read: readVersion,
      signal,
    })
  }

  async status(signal?: AbortSignal): Promise<KesStatus> {
    const path = '/v1/status'
    return await this.#call({
      what: 'ask the status',
      method: 'GET',
      path,
      read: readStatus,
      signal,
    })
  }

  /** @throws EXISTS; it is sent once, since a second try could not tell its own key from another */
  async createKey(id: string, signal?: AbortSignal): Promise<void> {
    await this.#call({
      ...{ what: `create the key "${id}"`, method: 'POST', path: keyPath('create', id), signal },
      doubtHint: `The key may have been made all the same: akidb kms status ${id}`,
      read: () => undefined,
    })
  }

  /** @throws NOT_FOUND */
  async describeKey(id: string, signal?: AbortSignal): Promise<KesKey> {
    return await this.#call({
      ...{ what: `describe the key "${id}"`, method: 'GET', path: keyPath('describe', id), signal },
      read: (answer) => readKey(answer, id),
    })
  }

  /**
   * One page of names in bytewise order; at most 1,024 from most key stores.
   *
   * @param continueAt of the page before; absent: the first. Servers up to 2025-03-12 take it for
   *   a prefix, so that from the second page on names may be missing
   */
  async listKeys(continueAt?: string, signal?: AbortSignal): Promise<KesKeyPage> {
    const from = continueAt === undefined ? '*' : encodeURIComponent(continueAt)
    const path = `/v1/key/list/${from}`
    return await this.#call({
      what: 'list the keys',
      method: 'GET',
      path,
      read: readKeyPage,
      signal,
    })
  }

  /**
   * A new data key of 32 bytes, sealed by the key `id` and bound to the context.
   *
   * @throws NOT_FOUND; LIMIT for a context over limits.kesSealedBytesMax
   */
  async generateDataKey(id: string, context: Uint8Array, signal?: AbortSignal): Promise<DataKey> {
    return await this.#call({
      ...{ what: `use the key "${id}"`, method: 'POST', path: keyPath('generate', id), signal },
      body: { context: base64Of(context) },
      read: readDataKey,
    })
  }

  /**
   * The 32 bytes of a data key.
   *
   * @throws NOT_FOUND; INTEGRITY where ciphertext, context or key are not those of generateDataKey;
   *   LIMIT for a ciphertext or context over limits.kesSealedBytesMax
   */
  async decryptDataKey(
    id: string,
    sealed: SealedDataKey,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    return await this.#call({
      ...{ what: `use the key "${id}"`, method: 'POST', path: keyPath('decrypt', id), signal },
      body: { ciphertext: base64Of(sealed.ciphertext), context: base64Of(sealed.context) },
      read: readPlaintext,
    })
  }

  /** Ends all connections. */
  close(): void {
    this.#transport.close()
  }

  /** Pauses have full jitter (source: AWS's architecture blog on back-off, 2015). */
  async #call<T>({ what, read, doubtHint, ...request }: Call<T>): Promise<T> {
    const { clock, retryForMs = limits.kesRetryForMs } = this.#options
    const endMs = clock.nowMs() + retryForMs
    for (let tries = 1; ; tries++) {
      try {
        return read(await this.#transport.send(request))
      } catch (error) {
        request.signal?.throwIfAborted()
        if (!(error instanceof KesFailure)) throw error
        const pauseMs = this.#fraction() * Math.min(limits.kesRetryPauseMaxMs, 50 * 2 ** tries)
        const over = clock.nowMs() + pauseMs > endMs || tries >= limits.kesTriesMax
        const mayRepeat = doubtHint === undefined || !isDoubtful(error)
        if (!isPassing(error) || !mayRepeat || over) {
          const asked = { what: `cannot ${what} at ${this.url}`, identity: this.identity }
          throw meaningOf(error, doubtHint === undefined ? asked : { ...asked, doubtHint })
        }
        await clock.sleep(pauseMs, request.signal)
      }
    }
  }

  /** From 0 to 1. */
  #fraction(): number {
    return Buffer.from(this.#options.random(4)).readUInt32BE() / 2 ** 32
  }
}

/** Names that fit into a path as they are; which of these KES takes it says itself. */
function keyPath(action: string, id: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/.test(id)) {
    throw new AkidbError('BAD_INPUT', `"${id.slice(0, 200)}" is no name of a KES key`, {
      hint: 'Names of keys have at most 80 letters, digits, - and _.',
    })
  }
  return `/v1/key/${action}/${id}`
}

function base64Of(bytes: Uint8Array): string {
  if (bytes.length > limits.kesSealedBytesMax) {
    const max = limits.kesSealedBytesMax
    throw new AkidbError('LIMIT', `${bytes.length} bytes are over the limit of ${max} for KES`, {
      hint: 'See docs/limits.md.',
      details: { limit: 'kesSealedBytesMax', max },
    })
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}
