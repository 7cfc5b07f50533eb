import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import { Slots } from '../../core/slots.ts'
import type { AkidbError } from '../../errors/errors.ts'
import { checkInTime } from '../object-store.ts'
import { failureOf, readText } from './s3-answers.ts'
import { isDoubtful, isPassing, meaningOf, S3Failure } from './s3-errors.ts'
import type { S3Request, S3Transport } from './s3-request.ts'
import { parseXml, type XmlElement } from './s3-xml.ts'

/** A request to one bucket, and how its answer is read within the same try. */
export interface Call<T> extends Omit<S3Request, 'bucket'> {
  /** What is being done, for messages: "cannot write s3://bucket/key". */
  readonly what: string
  readonly read: (response: IncomingMessage) => Promise<T>
  /**
   * Answers that are no failure: what they mean. `doubtful`: an earlier try of this call may have
   * done what was asked, unheard.
   */
  readonly expected?: (failure: S3Failure, doubtful: boolean) => Promise<T> | undefined
  /** Where it is not the bucket's. */
  readonly retryForMs?: number
  /** No try begins later than that, by this machine's clock, milliseconds since 1970. */
  readonly notAfterMs?: number | undefined
  /** Told where a try failed that the server may do, or have done, all the same. */
  readonly onDoubt?: (() => void) | undefined
  /** Asked after a failed try: whether it brought so much that the time begins anew. */
  readonly hasMoved?: () => boolean
  /** It tidies up: the bucket's own signal ends it limits.s3TidyMs later. */
  readonly tidies?: boolean
}

export interface BucketOptions {
  readonly transport: S3Transport
  readonly bucket: string
  readonly clock: Clock
  /** How long a request that fails is tried again, milliseconds. */
  readonly retryForMs: number
  /** From 0 to 1: jitter. */
  readonly random: () => number
  /** See S3Access. */
  readonly onOutage?: ((message: string) => void) | undefined
  /** Ends every call. */
  readonly signal?: AbortSignal | undefined
}

/** Upper bound of the first pause. */
const RETRY_PAUSE_MS = 100

/** Requests to one bucket, each tried until it succeeds, cannot succeed, or its time is up. */
export class Bucket {
  readonly name: string
  /**
   * Bodies on their way, so that their memory and the server's are bounded. Those that go have
   * slots of their own: the source of one may be one that comes.
   */
  readonly uploads = new Slots(limits.s3TransfersMax)
  readonly downloads = new Slots(limits.s3TransfersMax)
  /** Memory of parts that were sent, for those that come next: never more than slots for them. */
  readonly spareParts: Uint8Array[] = []
  readonly #options: BucketOptions
  /** The signal, so much later. */
  readonly #tidied: AbortSignal | undefined
  /** When an outage was told of last, and whether a call has come through since. */
  #told = { atMs: Number.NEGATIVE_INFINITY, isOver: true }

  constructor(options: BucketOptions) {
    this.name = options.bucket
    this.#options = options
    this.#tidied = later(options.signal, limits.s3TidyMs)
  }

  /**
   * One request. A passing failure is tried again after a pause with full jitter (source: the
   * exponential back-off of AWS's architecture blog, 2015) until `retryForMs` has gone by.
   *
   * @throws AkidbError for what is left in the end (see s3-errors.ts); the signal's reason
   */
  async call<T>(asked: Call<T>): Promise<T> {
    const { clock, random, transport } = this.#options
    const call = { ...asked, signal: this.#signalOf(asked) }
    let startMs = clock.nowMs()
    let endMs = this.#endMs(call)
    let doubtful = false
    for (let tries = 1; ; tries++) {
      try {
        if (tries === 1) checkInTime(asked.key ?? '', asked.notAfterMs, clock.nowMs())
        const result = await this.#try(call)
        this.#told.isOver = true
        return result
      } catch (error) {
        call.signal?.throwIfAborted()
        if (!(error instanceof S3Failure)) throw error
        const expected = call.expected?.(error, doubtful)
        if (expected !== undefined) return await expected
        if (isDoubtful(error)) {
          doubtful = true
          call.onDoubt?.()
        }
        if (call.hasMoved?.() === true) {
          tries = 1
          startMs = clock.nowMs()
          endMs = this.#endMs(call)
        }
        const pauseMaxMs = RETRY_PAUSE_MS * 2 ** Math.min(tries - 1, 16)
        const pauseMs = random() * Math.min(limits.s3RetryPauseMaxMs, pauseMaxMs)
        const isOver = clock.nowMs() + pauseMs >= endMs || tries >= limits.s3TriesMax
        const isRead = call.method === 'GET' || call.method === 'HEAD'
        const failed = meaningOf(error, `${call.what} at ${transport.url}`, isRead)
        if (isOver || !isPassing(error, tries)) throw failed
        this.#tellOutage(failed, { startMs, endMs })
        await this.#pause(pauseMs, call.signal)
        // The machine may have slept meanwhile, and the next try would bear the date of today.
        if (clock.nowMs() > (call.notAfterMs ?? Number.POSITIVE_INFINITY)) throw failed
      }
    }
  }

  /** When the last try may begin. */
  #endMs({ retryForMs, notAfterMs }: Call<unknown>): number {
    const endMs = this.#options.clock.nowMs() + (retryForMs ?? this.#options.retryForMs)
    return Math.min(endMs, notAfterMs ?? endMs)
  }

  #tellOutage(
    { message }: AkidbError,
    { startMs, endMs }: { readonly startMs: number; readonly endMs: number },
  ): void {
    const nowMs = this.#options.clock.nowMs()
    if (nowMs - startMs < limits.s3RetryNoteMs) return
    const seconds = Math.round((endMs - nowMs) / 1_000)
    this.#tell(`${message}; it is tried again for another ${seconds} s`)
  }

  /** Of calls that fail beside each other one tells; where some come through, none soon after. */
  #tell(message: string): void {
    const nowMs = this.#options.clock.nowMs()
    const { atMs, isOver } = this.#told
    if (!isOver || nowMs - atMs < limits.s3RetryForMs) return
    this.#told = { atMs: nowMs, isOver: false }
    this.#options.onOutage?.(message)
  }

  /** The same, for an answer of XML. */
  async xml(
    call: Omit<Call<XmlElement>, 'read'>,
    root: string,
    bytesMax: number = limits.s3ErrorBytesMax,
  ): Promise<XmlElement> {
    const read = async (response: IncomingMessage) =>
      parseXml(await readText(response, bytesMax), root)
    return await this.call({ ...call, read })
  }

  #signalOf({ signal, tidies }: Call<unknown>): AbortSignal | undefined {
    const own = tidies === true ? this.#tidied : this.#options.signal
    if (own === undefined) return signal
    return signal === undefined || signal === own ? own : AbortSignal.any([signal, own])
  }

  async #try<T>(call: Call<T>): Promise<T> {
    const {
      what: _,
      read,
      expected: __,
      retryForMs: ___,
      tidies: ____,
      notAfterMs: _____,
      onDoubt: ______,
      hasMoved: _______,
      ...request
    } = call
    const { transport } = this.#options
    const seconds = limits.s3RetryNoteMs / 1_000
    const onSilence = (): void =>
      this.#tell(`${call.what} at ${transport.url}: no answer for ${seconds} s; it is waited for`)
    const response = await transport.send({ ...request, bucket: this.name, onSilence })
    try {
      return await read(response)
    } catch (error) {
      throw failureOf(error)
    } finally {
      // What is left unread may be endless.
      if (!response.readableEnded) response.destroy()
    }
  }

  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#options.clock.sleep(ms, signal)
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    }
  }
}

/** A signal that is given so much later than another one; nothing waits for it to come. */
function later(signal: AbortSignal | undefined, ms: number): AbortSignal | undefined {
  if (signal === undefined) return undefined
  const controller = new AbortController()
  const begin = (): void => {
    setTimeout(() => controller.abort(signal.reason), ms).unref()
  }
  if (signal.aborted) begin()
  else signal.addEventListener('abort', begin, { once: true })
  return controller.signal
}
