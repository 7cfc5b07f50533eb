import { Worker } from 'node:worker_threads'
import { AkidbError } from '../../errors/errors.ts'
import { BlobLook, type LookedBlob } from '../../format/blob-look.ts'
import type { BlobRef } from '../../format/manifest.ts'
import type { LookAnswer, LookMessage } from './look-worker.ts'

/** Looks at a blob that comes in pieces. */
export interface BlobLooker {
  /** The next bytes; they are needed until what it returns resolves, where it returns something. */
  look(piece: Uint8Array): Promise<void> | undefined
  end(): Promise<LookedBlob> | LookedBlob
}

/** @param pieceBytes of every piece but the last */
export type BeginLook = (ref: BlobRef, pieceBytes: number) => BlobLooker

/** On this thread. */
export const lookHere: BeginLook = (ref, pieceBytes) => {
  const look = new BlobLook(ref, pieceBytes)
  return { look: (piece) => void look.look(piece), end: () => look.end() }
}

type Pending = PromiseWithResolvers<LookAnswer>

/**
 * A worker thread that looks at blobs as they come and hashes chunks that are read again, so that
 * the thread that receives them has nothing else to do. It answers in order. One: it is as fast as
 * what comes, and each thread takes 20 MB.
 *
 * Where it dies, all that it was asked rejects with INTERNAL.
 */
export class LookThread {
  readonly #worker = new Worker(module())
  readonly #pending: Pending[] = []
  #blobs = 0
  #failure: AkidbError | undefined

  constructor() {
    this.#worker.on('message', (answer: LookAnswer) => this.#pending.shift()?.resolve(answer))
    this.#worker.on('error', (error) => this.#end(error))
    this.#worker.on('exit', () => this.#end(undefined))
  }

  readonly begin: BeginLook = (ref, pieceBytes) => {
    const blob = this.#blobs++
    // Where it fails, what follows does.
    this.#ask({ kind: 'begin', blob, ref, pieceBytes }).catch(() => undefined)
    return {
      look: async (piece) => {
        await this.#ask({ kind: 'look', blob, piece })
      },
      end: async () => {
        return (await this.#ask({ kind: 'end', blob })).looked as LookedBlob
      },
    }
  }

  /** ChunkDigests; undefined where the thread is gone. */
  readonly digests = async (
    bytes: Uint8Array,
    chunkBytes: number,
  ): Promise<Uint8Array | undefined> => {
    if (this.#failure !== undefined) return undefined
    return (await this.#ask({ kind: 'digests', bytes, chunkBytes })).digests
  }

  /** Ends the thread, whatever it does. */
  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  async #ask(message: LookMessage): Promise<LookAnswer> {
    if (this.#failure !== undefined) throw this.#failure
    const pending = Promise.withResolvers<LookAnswer>()
    this.#pending.push(pending)
    this.#worker.postMessage(message)
    const answer = await pending.promise
    if (answer.error !== undefined) throw ended(answer.error)
    return answer
  }

  #end(cause: unknown): void {
    this.#failure ??= ended('a worker thread ended before it had answered', cause)
    for (const { reject } of this.#pending.splice(0)) reject(this.#failure)
  }
}

const ended = (message: string, cause?: unknown): AkidbError =>
  new AkidbError('INTERNAL', message, { hint: 'Run it again: it goes on.', cause })

/** Sources run as .ts, the package as .js; the worker stands beside this file in both. */
const module = (): URL =>
  new URL(
    import.meta.url.endsWith('.ts') ? './look-worker.ts' : './look-worker.js',
    import.meta.url,
  )
