import type { Clock } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import {
  type GroupWriter,
  LogWriter,
  type NamedLog,
  pieceKey,
  removePieces,
  type WrittenGroup,
} from './log-file.ts'
import { logPlace } from './log-place.ts'
import { outboxPlace, removeOutbox, writeMark } from './outbox.ts'

/** What was acknowledged and is not in the bucket. */
export interface RowsAtRisk {
  readonly rows: number
  readonly bytes: number
  /** When the oldest was acknowledged, milliseconds since 1970; 0 where there are none. */
  readonly sinceMs: number
}

interface SentGroup extends Pick<WrittenGroup, 'start' | 'bytes'> {
  readonly rows: number
  readonly atMs: number
}

interface OutboxOptions {
  readonly environment: {
    readonly store: ObjectStore
    readonly state: ObjectStore
    readonly clock: Clock
    readonly isShared?: boolean
  }
  readonly log: NamedLog
  /** @throws CONFLICT where another owner has come */
  readonly confirm: () => Promise<void>
  /** Told once, when another owner has come; nothing more is sent then. */
  readonly onReplaced: () => void
  readonly onFailure: (error: unknown) => void
}

const endOf = ({ start, bytes }: SentGroup): number => start + bytes.byteLength

/**
 * Writes groups into the outbox of the state folder, and what lies there to the bucket: in the
 * background, groups of the same moment as one object, in their order and at their places. A group
 * counts as sent when it is there and nobody else owned the log after that.
 */
export class OutboxWriter implements GroupWriter {
  readonly #options: OutboxOptions
  readonly #local: LogWriter
  /** Acknowledged, not known to be in the bucket. */
  #groups: SentGroup[] = []
  /** Of all of them. */
  #rows = 0
  #bytes = 0
  /** How many of them are in the object that was tried last: it is sent again as it was. */
  #tried = 0
  #sent = 0
  #folded = 0
  #isRotationDue = false
  /** Objects in the bucket since the last commit. */
  #objects = 0
  #sentMs = 0
  #sending: Promise<void> | undefined
  #marking: Promise<void> = Promise.resolve()
  #isFailing = false
  /** Told what became of the next try. */
  #waiting: { readonly done: () => void; readonly failed: (error: unknown) => void }[] = []
  readonly #stopping = new AbortController()

  constructor(options: OutboxOptions) {
    this.#options = options
    this.#local = new LogWriter(outboxPlace(options.environment.state), options.log)
  }

  get length(): number {
    return this.#local.length
  }

  get spent(): number {
    return this.#local.spent
  }

  get isScattered(): boolean {
    return this.#objects >= limits.logFoldGroups
  }

  readonly groupMs = 0

  get atRisk(): RowsAtRisk {
    return { rows: this.#rows, bytes: this.#bytes, sinceMs: this.#groups[0]?.atMs ?? 0 }
  }

  /**
   * Waits until there is room for more rows at risk.
   *
   * @throws what the bucket said where it takes none now
   */
  async room(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const { rows, bytes } = this.atRisk
      if (rows < limits.localRowsMax && bytes < limits.localBytesMax) return
      await new Promise<void>((done, failed) => {
        this.#waiting.push({ done, failed })
        this.#start()
      })
    }
  }

  async append(entries: readonly Uint8Array[]): Promise<WrittenGroup> {
    const { clock } = this.#options.environment
    const group = await this.#local.append(entries)
    const { start, bytes } = group
    this.#groups.push({ start, bytes, rows: entries.length, atMs: clock.nowMs() })
    this.#rows += entries.length
    this.#bytes += bytes.byteLength
    if (this.#groups.length === 1 && !this.#stopping.signal.aborted) {
      await this.#mark()
    }
    this.#start()
    return group
  }

  /** What is committed needs to be sent no more. */
  async rotate(folded: number): Promise<void> {
    this.#folded = folded
    this.#objects = 0
    this.#isRotationDue = true
    if (this.#sending === undefined) this.#forgetFolded()
    // First: who looks in between must not miss what goes.
    await this.#mark()
    await this.#local.rotate(folded)
    this.#start()
  }

  /** Sends nothing more; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#sending
  }

  /** What is left was told of: it is at risk no more. */
  settled(): void {
    this.#forget(Number.POSITIVE_INFINITY)
  }

  /**
   * As stop; nothing stays here where all is committed. What was sent alone stays: where the
   * collection was dropped before that, nobody reads it there, and the next owner tells of it.
   */
  async close(): Promise<void> {
    await this.stop()
    const { environment, log } = this.#options
    // What is left of it is ignored, and removed by the next owner.
    if (this.#isRotationDue) await this.#removeFolded().catch(nothing)
    const isCommitted = this.#groups.length === 0 && this.#folded >= this.length
    if (isCommitted) await removeOutbox(environment.state, log)
  }

  #start(): void {
    if (this.#stopping.signal.aborted) return
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined
      this.#settle()
    })
  }

  async #send(): Promise<void> {
    const { signal } = this.#stopping
    const { clock } = this.#options.environment
    while (!signal.aborted) {
      this.#forgetFolded()
      if (this.#groups.length === 0 && !this.#isRotationDue) return
      const waitMs = this.#sentMs + limits.logGroupMs - clock.nowMs()
      if (waitMs > 0) await this.#pause(Math.min(waitMs, limits.logGroupMs))
      if (signal.aborted) return
      try {
        await this.#sendOnce()
        this.#isFailing = false
        this.#settle()
      } catch (error) {
        this.#settle(error)
        if (hasCode(error, 'CONFLICT')) {
          this.#stopping.abort()
          this.#options.onReplaced()
          return
        }
        if (!this.#isFailing && !signal.aborted) this.#options.onFailure(error)
        this.#isFailing = true
        await this.#pause(limits.localRetryPauseMs)
      }
    }
  }

  /** Where a clock fails, nothing is sent any more: the next owner does. */
  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stopping
    const { clock } = this.#options.environment
    try {
      await clock.sleep(ms, signal)
    } catch {
      this.#stopping.abort()
    }
  }

  async #sendOnce(): Promise<void> {
    const { environment, log, confirm } = this.#options
    this.#sentMs = environment.clock.nowMs()
    const batch = this.#batch()
    const [first] = batch
    if (first !== undefined) {
      const key = pieceKey(environment, log, first.start)
      await put(environment.store, key, batch, this.#stopping.signal)
      await confirm()
      this.#objects++
      this.#sent = endOf(batch.at(-1) ?? first)
      this.#forget(this.#sent)
      await this.#mark()
    }
    if (this.#isRotationDue) await this.#removeFolded()
  }

  async #removeFolded(): Promise<void> {
    const { environment, log } = this.#options
    const folded = this.#folded
    await removePieces(logPlace(environment), log, folded)
    this.#isRotationDue = folded < this.#folded
  }

  /** Groups that follow each other without a gap, as many as one object holds. */
  #batch(): SentGroup[] {
    if (this.#tried > 0) return this.#groups.slice(0, this.#tried)
    let bytes = 0
    let end = this.#groups[0]?.start
    for (const group of this.#groups) {
      bytes += group.bytes.byteLength
      const isFull = this.#tried > 0 && bytes > limits.logGroupBytesMax
      if (group.start !== end || isFull) break
      end = endOf(group)
      this.#tried++
    }
    return this.#groups.slice(0, this.#tried)
  }

  /** Those that were tried stay until it is known that all of them are folded. */
  #forgetFolded(): void {
    const last = this.#groups[this.#tried - 1]
    if (last !== undefined && endOf(last) > this.#folded) return
    this.#forget(this.#folded)
  }

  /** What ends at or before a position is at risk no more. */
  #forget(position: number): void {
    this.#tried = 0
    const first = this.#groups.findIndex((group) => endOf(group) > position)
    for (const { rows, bytes } of this.#groups.splice(0, first < 0 ? Infinity : first)) {
      this.#rows -= rows
      this.#bytes -= bytes.byteLength
    }
  }

  /**
   * One after the other, so that the last is the newest. Never throws: an old mark tells of too
   * much, never of too little.
   */
  #mark(): Promise<void> {
    const { environment, log } = this.#options
    const write = async (): Promise<void> => {
      const [folded, { sinceMs }] = [this.#folded, this.atRisk]
      const mark = { sent: Math.max(this.#sent, folded), folded, sinceMs }
      await writeMark(environment.state, log, mark)
    }
    this.#marking = this.#marking.then(write).catch(nothing)
    return this.#marking
  }

  #settle(error?: unknown): void {
    for (const { done, failed } of this.#waiting.splice(0)) {
      if (error === undefined) done()
      else failed(error)
    }
  }
}

const nothing = (): void => undefined

/** An epoch has one owner: what lies there already is what an earlier try has sent. */
async function put(
  store: ObjectStore,
  key: string,
  groups: readonly SentGroup[],
  signal: AbortSignal,
): Promise<void> {
  const body = Buffer.concat(groups.map(({ bytes }) => bytes))
  if ((await store.put(key, body, { signal })) === 'created') return
  const range = { offset: 0, bytes: body.byteLength }
  const there = await store.get(key, range).catch((error: unknown) => {
    if (!hasCode(error, 'INTEGRITY', 'NOT_FOUND')) throw error
    return undefined
  })
  if (there !== undefined && body.equals(there)) return
  throw new AkidbError('CONFLICT', `${key} was written by somebody else`, {
    hint: 'A copy of this machine may be running. Stop one of them, and start the other again.',
    details: { key },
  })
}
