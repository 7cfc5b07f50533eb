import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import type { LogView } from '../collection/log-source.ts'
import { mergeSegments } from '../rebuild/merge.ts'
import { LogRows } from '../segment/log-rows.ts'
import { noteLogWrite } from '../states/freshness.ts'
import { commitLogRows } from './commit-rows.ts'
import { encodeLogEntry, type LogEntry, type PlacedEntry } from './log-entry.ts'
import { isLogOpen, LogWriter } from './log-file.ts'
import { applyEntry, replayLog } from './replay.ts'
import { newestEpoch, takeLogOver } from './takeover.ts'

/** Heads tried before a commit gives up. */
const FOLD_ATTEMPTS_MAX = 16

interface Waiting {
  readonly entries: readonly LogEntry[]
  readonly encoded: readonly Uint8Array[]
  readonly bytes: number
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

interface Rotation extends Pick<Waiting, 'done' | 'failed'> {
  readonly folded: number
}

export type FoldResult = 'done' | 'gone' | 'replaced'

/**
 * The write-ahead log of one collection in the hands of its owner.
 *
 * Its files are touched by one pump alone: groups in the order of their arrival, rotations between
 * them. What is in memory changes in turns, so that no replay overtakes a group: `#placed` holds
 * every acknowledged entry that is not folded, and `#rows` are those entries replayed on the head
 * `#base`.
 */
export class OwnedLog {
  readonly #core: CollectionCore
  readonly #collectionId: string
  readonly #epoch: number
  readonly #writer: LogWriter
  #placed: PlacedEntry[] = []
  #rows = new LogRows()
  /** Digest of the head that `#rows` stand on; empty: to be replayed. */
  #base: string
  /** Up to where the log is in the segments of that head. */
  #baseFolded: number
  /** Up to where the log is in segments. */
  #folded = 0
  #turn: Promise<unknown> = Promise.resolve()
  #waiting: Waiting[] = []
  /** When the last group began. */
  #groupMs = 0
  #rotations: Rotation[] = []
  #writing: Promise<void> | undefined
  #folding: Promise<FoldResult> | undefined
  /** The last fold: the heads before and after it. */
  #fold: { readonly from: string; readonly to: string } | undefined
  /** The epoch of whoever took over; this owner writes no more then. */
  #replacedBy: number | undefined

  private constructor(core: CollectionCore, head: Manifest) {
    this.#core = core
    this.#collectionId = head.commit.collection
    this.#epoch = head.commit.epoch
    this.#base = head.digest
    this.#baseFolded = foldedBy(head)
    this.#writer = new LogWriter(core.environment, head.commit)
  }

  /** Takes a collection's log over. @throws CONFLICT, INTEGRITY (see takeLogOver) */
  static async take(core: CollectionCore): Promise<OwnedLog> {
    return new OwnedLog(core, await takeLogOver(core))
  }

  get openEntries(): number {
    return this.#placed.length
  }

  /**
   * Durable and searchable when it resolves.
   *
   * @throws CONFLICT where another process took over, LIMIT where too many wait, NO_SPACE
   */
  async write(entries: readonly LogEntry[]): Promise<void> {
    const encoded = entries.map(encodeLogEntry)
    for (const part of parts(encoded)) {
      if (this.#waiting.length >= limits.logWaitingMax) throw tooManyWaiting(this.#core.name)
      if (this.#openBytes >= limits.logOpenBytesMax) await this.fold()
      await new Promise<void>((done, failed) => {
        const { first, end, bytes } = part
        const some = { entries: entries.slice(first, end), encoded: encoded.slice(first, end) }
        this.#waiting.push({ ...some, bytes, done, failed })
        this.#writing ??= this.#pump()
      })
    }
    this.#foldWhereDue()
  }

  /**
   * The rows on top of a head; other writers' commits up to it are taken into account. 'stale'
   * where the head is older than what this log stands on, or where it belongs to another owner:
   * then the files tell.
   */
  async rows(head: Manifest): Promise<LogView> {
    return await this.#inTurn(async () => {
      const { epoch, log } = head.commit
      if (epoch > this.#epoch) this.#replacedBy = epoch
      if (epoch !== this.#epoch || (log?.folded ?? 0) < this.#folded) return 'stale'
      return await this.#rowsOn(head)
    })
  }

  /** Whether a head of this epoch belongs to this log. */
  owns(head: Manifest): boolean {
    return this.#replacedBy === undefined && head.commit.epoch <= this.#epoch
  }

  /**
   * Commits all entries that are acknowledged; commits nothing where there are none.
   *
   * @returns 'gone' where the collection was dropped, 'replaced' where another process took over
   * and committed it
   */
  async fold(): Promise<FoldResult> {
    while (this.#folding !== undefined) await this.#folding.catch(() => undefined)
    this.#folding = this.#foldNow().finally(() => {
      this.#folding = undefined
    })
    return await this.#folding
  }

  /** Does the merges that are due, within the limits for a server. */
  async merge(signal: AbortSignal): Promise<void> {
    await mergeWhereDue(this.#core, signal)
  }

  get #openBytes(): number {
    return this.#writer.length - this.#folded
  }

  /**
   * What was acknowledged is durable, so a fold that fails is a warning and not the writer's error.
   */
  #foldWhereDue(): void {
    const isDue =
      this.#placed.length >= limits.logFoldEntries ||
      this.#openBytes >= limits.logFoldBytes ||
      this.#writer.isScattered
    if (!isDue || this.#folding !== undefined) return
    this.fold().catch((error: unknown) => {
      const code = error instanceof AkidbError ? error.code : 'INTERNAL'
      const message = error instanceof Error ? error.message : String(error)
      this.#core.environment.warn({ code, message: `cannot commit the log: ${message}` })
    })
  }

  #inTurn<T>(work: () => Promise<T> | T): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }

  /** In turn. */
  async #rowsOn(head: Manifest): Promise<LogRows> {
    if (head.digest === this.#base) return this.#rows
    // Folds alone move that position, and none but this log's own is made on a head of its epoch.
    if (head.commit.parent === this.#base && foldedBy(head) > this.#baseFolded) {
      this.#standOn(head)
      return this.#rows
    }
    const rows = await replayLog(this.#core, head, this.#placed)
    this.#rows = rows
    this.#base = head.digest
    this.#baseFolded = foldedBy(head)
    return rows
  }

  async #pump(): Promise<void> {
    try {
      while (this.#waiting.length > 0 || this.#rotations.length > 0) {
        const rotation = this.#rotations.shift()
        if (rotation === undefined) await this.#nextGroup()
        else await this.#writer.rotate(rotation.folded).then(rotation.done, rotation.failed)
      }
    } finally {
      this.#writing = undefined
    }
  }

  async #nextGroup(): Promise<void> {
    // A clock that fails is no reason to leave anybody without an answer.
    await this.#pause().catch(() => undefined)
    const group = this.#takeGroup()
    try {
      await this.#writeGroup(group)
      for (const waiting of group) waiting.done()
    } catch (error) {
      for (const waiting of group) waiting.failed(error)
    }
  }

  /** Where each group costs a request, those that come soon after one go together. */
  async #pause(): Promise<void> {
    const { groupMs } = this.#writer
    if (groupMs === 0) return
    const { clock } = this.#core.environment
    const waitMs = this.#groupMs + groupMs - clock.nowMs()
    if (waitMs > 0) await clock.sleep(Math.min(waitMs, groupMs))
    this.#groupMs = clock.nowMs()
  }

  #takeGroup(): Waiting[] {
    let count = 0
    let bytes = 0
    for (const waiting of this.#waiting) {
      bytes += waiting.bytes
      if (count > 0 && bytes > limits.logGroupBytesMax) break
      count++
    }
    return this.#waiting.splice(0, count)
  }

  /** fsync, apply, confirm ownership; the caller acknowledges after that. */
  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    if (this.#replacedBy !== undefined) throw replaced(this.#core.name, this.#replacedBy)
    const base = await this.#knownBase()
    try {
      const encoded = group.flatMap((waiting) => waiting.encoded)
      const first = await this.#writer.append(encoded)
      await this.#inTurn(() => this.#apply(group, { first, base }))
    } finally {
      noteLogWrite()
      // A write may also fail because the new owner removed this log.
      await this.#confirm()
    }
  }

  /**
   * The head that the rows stand on, found where there is none: rows that a search were to put on
   * one in the middle of a write would be given up at its end, again and again.
   */
  async #knownBase(): Promise<string> {
    if (this.#base === '') {
      // A head that cannot be read is the searches' failure: a write needs none.
      const head = await this.#core.manifests.newest().catch(() => undefined)
      if (head !== undefined) await this.rows(head).catch(() => undefined)
    }
    return this.#base
  }

  async #confirm(): Promise<void> {
    const newest = await newestEpoch(this.#core)
    if (newest <= this.#epoch) return
    this.#replacedBy = newest
    throw replaced(this.#core.name, newest)
  }

  /** In turn. `base` is the head that the rows stood on before the write began. */
  #apply(
    group: readonly Waiting[],
    { first, base }: { readonly first: number; readonly base: string },
  ): void {
    // A commit that came while they were written may have seen them, and then they lose to it; but
    // not that of this log's own fold, which was begun before.
    const isOwnFold = this.#fold?.from === base && this.#fold.to === this.#base
    if (this.#base !== base && !isOwnFold) this.#base = ''
    let end = first
    for (const { entries, encoded } of group) {
      entries.forEach((entry, i) => {
        end += encoded[i]?.byteLength ?? 0
        this.#placed.push({ entry, end })
        if (this.#base !== '') applyEntry(this.#rows, entry)
      })
    }
  }

  async #foldNow(): Promise<FoldResult> {
    for (let attempt = 0; attempt < FOLD_ATTEMPTS_MAX; attempt++) {
      const head = await this.#core.manifests.newest()
      if (head === undefined || this.#isGone(head)) {
        await this.#discard()
        return 'gone'
      }
      if (!this.owns(head)) return 'replaced'
      const due = await this.#inTurn(async () => ({
        rows: (await this.#rowsOn(head)).snapshot(),
        placed: this.#placed.at(-1)?.end,
        spent: this.#writer.spent,
      }))
      // A group that failed and is there all the same is nobody's; its log must not stay open.
      const isEmpty = due.placed === undefined && due.spent <= foldedBy(head)
      if (isEmpty) return 'done'
      if (due.placed === undefined && !(await isLogOpen(this.#core.environment, head)))
        return 'done'
      const { rows } = due
      const folded = Math.max(due.placed ?? 0, due.spent)
      const log = { epoch: this.#epoch, folded, seen: folded }
      let moment = this.#core.moment()
      const onQuiet = (): void => {
        moment = this.#core.moment()
      }
      const work = { head, rows, log, ownEpoch: this.#epoch, onQuiet }
      const done = await commitLogRows(this.#core, work)
      if (done === undefined) continue
      // Searches go on with the former head, which with the log says the same, until it is open.
      const release = await this.#core.prepare(done)
      await this.#inTurn(() => {
        this.#placed = this.#placed.filter(({ end }) => end > folded)
        this.#folded = folded
        if (this.#base === head.digest) this.#standOn(done)
      })
      this.#core.announce(done, moment)
      await release()
      await this.#rotate(folded)
      return 'done'
    }
    throw new AkidbError(
      'CONFLICT',
      `cannot commit the log of "${this.#core.name}": too many writers`,
    )
  }

  /** In turn. The rows on this log's own fold, made on the base: none of them lose to it. */
  #standOn(fold: Manifest): void {
    const folded = foldedBy(fold)
    this.#rows = new LogRows()
    for (const { entry, end } of this.#placed) if (end > folded) applyEntry(this.#rows, entry)
    this.#fold = { from: this.#base, to: fold.digest }
    this.#base = fold.digest
    this.#baseFolded = folded
  }

  #isGone(head: Manifest): boolean {
    return head.state.dropped === true || head.commit.collection !== this.#collectionId
  }

  /** The collection was dropped, and its log with it. */
  async #discard(): Promise<void> {
    await this.#inTurn(() => {
      this.#placed = []
      this.#base = ''
    })
    await this.#rotate(Number.MAX_SAFE_INTEGER)
  }

  #rotate(folded: number): Promise<void> {
    return new Promise((done, failed) => {
      this.#rotations.push({ folded, done, failed })
      this.#writing ??= this.#pump()
    })
  }
}

/** Does the merges that are due in a collection, within the limits for a server. */
export async function mergeWhereDue(core: CollectionCore, signal: AbortSignal): Promise<void> {
  const { ownerMergesMax: mergesMax, ownerMergeBytesMax: inputBytesMax } = limits
  await mergeSegments(core, { kind: 'policy', mergesMax, inputBytesMax, signal })
}

const foldedBy = ({ commit }: Manifest): number => commit.log?.folded ?? 0

interface Part {
  readonly first: number
  readonly end: number
  readonly bytes: number
}

/** Runs of entries that each fit one group. */
function parts(encoded: readonly Uint8Array[]): Part[] {
  const found: Part[] = []
  let first = 0
  let bytes = 0
  encoded.forEach(({ byteLength }, i) => {
    if (i > first && bytes + byteLength > limits.logGroupBytesMax) {
      found.push({ first, end: i, bytes })
      first = i
      bytes = 0
    }
    bytes += byteLength
  })
  if (encoded.length > 0) found.push({ first, end: encoded.length, bytes })
  return found
}

const tooManyWaiting = (name: string): AkidbError =>
  new AkidbError('LIMIT', `more than logWaitingMax writes to "${name}" wait for the disk`, {
    hint: 'Write fewer at once, or more records in each.',
  })

const replaced = (name: string, epoch: number): AkidbError =>
  new AkidbError('CONFLICT', `another process took over the log of "${name}" (epoch ${epoch})`, {
    hint: 'This one accepts no more writes; start it again.',
  })
