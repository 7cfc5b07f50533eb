import { limits } from '../../core/limits.ts'
import type { AkidbError } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import type { LogView } from '../collection/log-source.ts'
import { LogRows } from '../segment/log-rows.ts'
import { noteLogWrite } from '../states/freshness.ts'
import { type Claim, claimOf, newestEpoch } from './claim.ts'
import { commitLogRows } from './commit-rows.ts'
import { GroupQueue, type QueuedEntries } from './group-queue.ts'
import { encodeLogEntry, type LogEntry, type PlacedEntry } from './log-entry.ts'
import { type GroupWriter, isLogOpen, LogWriter } from './log-file.ts'
import { closed, parts, replaced, tooManyWaiting, tooManyWriters, warnOf } from './log-groups.ts'
import { openOutbox } from './open-outbox.ts'
import { settleLog } from './outbox-settle.ts'
import type { OutboxWriter, RowsAtRisk } from './outbox-writer.ts'
import { applyEntry, replayLog } from './replay.ts'
import { takeLogOver } from './takeover.ts'

/** Heads tried before a commit gives up. */
const FOLD_ATTEMPTS_MAX = 16

const LOOK_MS = 1_000

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
  readonly #writer: GroupWriter
  readonly #queue: GroupQueue
  /** The same, where rows are acknowledged before they are in the bucket. */
  readonly #outbox: OutboxWriter | undefined
  /** The last head that it was found to own. */
  #head: Manifest
  #lookedMs = 0
  #placed: PlacedEntry[] = []
  #rows = new LogRows()
  /** Digest of the head that `#rows` stand on; empty: to be replayed. */
  #base: string
  /** Up to where the log is in the segments of that head. */
  #baseFolded: number
  /** Up to where the log is in segments. */
  #folded = 0
  #turn: Promise<unknown> = Promise.resolve()
  #folding: Promise<FoldResult> | undefined
  /** The last fold: the heads before and after it. */
  #fold: { readonly from: string; readonly to: string } | undefined
  /** The epoch of whoever took over; this owner writes no more then. */
  #replacedBy: number | undefined
  #successor: Promise<Claim | undefined> | undefined
  #isClosed = false
  /** Whether nobody owns it: see endLogs. The collection can be taken over anew. */
  isEnded = false

  private constructor(core: CollectionCore, head: Manifest) {
    this.#core = core
    this.#collectionId = head.commit.collection
    this.#epoch = head.commit.epoch
    this.#base = head.digest
    this.#baseFolded = foldedBy(head)
    this.#head = head
    this.#outbox = openOutbox(core, head, {
      confirm: () => this.#confirm(),
      onReplaced: async () => {
        this.#replacedBy ??= this.#epoch + 1
        await this.fold()
      },
    })
    this.#writer = this.#outbox ?? new LogWriter(core.environment, head.commit)
    this.#queue = new GroupQueue({
      clock: core.environment.clock,
      groupMs: this.#writer.groupMs,
      write: (group) => this.#writeGroup(group),
    })
  }

  /** Takes a collection's log over. @throws CONFLICT, INTEGRITY (see takeLogOver) */
  static async take(core: CollectionCore, collection: string): Promise<OwnedLog> {
    return new OwnedLog(core, await takeLogOver(core, collection))
  }

  get core(): CollectionCore {
    return this.#core
  }

  get openEntries(): number {
    return this.#placed.length
  }

  /** Rows that were acknowledged here and are not in the bucket. */
  get atRisk(): RowsAtRisk | undefined {
    return this.#outbox?.atRisk
  }

  /**
   * A head that writes may be checked against although the bucket cannot be asked; undefined where
   * writes wait for the bucket anyway, or the log is another's.
   */
  get knownHead(): Manifest | undefined {
    return this.#outbox !== undefined && this.owns(this.#head) ? this.#head : undefined
  }

  /**
   * Durable and searchable when it resolves.
   *
   * @throws CONFLICT where another process took over, LIMIT where too many wait, NO_SPACE
   */
  async write(entries: readonly LogEntry[]): Promise<void> {
    const encoded = entries.map(encodeLogEntry)
    for (const part of parts(encoded)) {
      if (this.#queue.length >= limits.logWaitingMax) throw tooManyWaiting(this.#core.name)
      if (this.#openBytes >= limits.logOpenBytesMax) await this.fold()
      const { first, end, bytes } = part
      const some = { entries: entries.slice(first, end), encoded: encoded.slice(first, end) }
      await this.#queue.add({ ...some, bytes })
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
      else if (epoch === this.#epoch) this.#head = head
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
      warnOf(this.#core.environment, error, 'cannot commit the log')
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

  /** fsync, apply, confirm ownership; the caller acknowledges after that. */
  async #writeGroup(group: readonly QueuedEntries[]): Promise<void> {
    await this.#outbox?.room()
    if (this.#replacedBy !== undefined) throw await this.#replaced(this.#replacedBy)
    if (this.#isClosed) throw closed(this.#core.name)
    // Who need not wait for the bucket must not ask it either.
    const base = this.#outbox === undefined ? await this.#knownBase() : this.#base
    try {
      const encoded = group.flatMap((waiting) => waiting.encoded)
      const { first } = await this.#writer.append(encoded)
      await this.#inTurn(() => this.#apply(group, { first, base }))
    } finally {
      noteLogWrite()
      // A write may also fail because the new owner removed this log.
      if (this.#outbox === undefined) await this.#confirm()
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
    if (newest <= this.#epoch) return await this.#lookWhereDue()
    this.#replacedBy = newest
    throw await this.#replaced(newest)
  }

  /** With who it was, asked once. */
  async #replaced(epoch: number): Promise<AkidbError> {
    this.#successor ??= claimOf(this.#core, epoch).catch(() => undefined)
    const by = await this.#successor
    this.isEnded = by?.ends === true
    return replaced(this.#core.name, epoch, by)
  }

  /** Writes that ask no bucket are checked against a head that is not much older than a second. */
  async #lookWhereDue(): Promise<void> {
    const nowMs = this.#core.environment.clock.nowMs()
    // A clock that was set back must not put it off.
    const isDue = Math.abs(nowMs - this.#lookedMs) >= LOOK_MS
    if (this.#outbox === undefined || !isDue) return
    this.#lookedMs = nowMs
    const head = await this.#core.manifests.newest()
    if (head !== undefined && !this.#isGone(head)) {
      if (head.commit.epoch === this.#epoch) this.#head = head
      return
    }
    this.#replacedBy = Number.MAX_SAFE_INTEGER
    throw replaced(this.#core.name, this.#epoch)
  }

  /** In turn. `base` is the head that the rows stood on before the write began. */
  #apply(
    group: readonly QueuedEntries[],
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
        await this.#discard(head)
        return 'gone'
      }
      if (!this.#mayFold(head)) {
        this.#replacedBy ??= head.commit.epoch
        await this.#settle(head)
        return 'replaced'
      }
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
        this.#head = done
        if (this.#base === head.digest) this.#standOn(done)
      })
      this.#core.announce(done, moment)
      await release()
      await this.#rotate(folded)
      return 'done'
    }
    throw tooManyWriters(this.#core.name)
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

  /**
   * Whoever comes next has claimed the log before he commits that: until then what was acknowledged
   * here can still be committed.
   */
  #mayFold(head: Manifest): boolean {
    const isNotYet = this.#outbox !== undefined && head.commit.epoch === this.#epoch
    return isNotYet || this.owns(head)
  }

  /** No write comes any more: the log is another's, or nobody's. What is at risk is told of. */
  async #settle(head: Manifest | undefined): Promise<void> {
    const outbox = this.#outbox
    if (outbox === undefined) return
    await outbox.stop()
    await this.#queue.between(async () => {
      const { name } = this.#core
      await settleLog(
        this.#core,
        { name, collection: this.#collectionId, epoch: this.#epoch },
        head,
      )
      outbox.settled()
    })
  }

  /**
   * Ends what goes on in the background, when all was committed or told of, or could not be. Where
   * rows are acknowledged here none is after that: the next owner would not look for it.
   */
  async close(): Promise<void> {
    const outbox = this.#outbox
    if (outbox === undefined) return
    this.#isClosed = true
    await outbox.stop()
    await this.#queue.between(() => outbox.close())
  }

  #isGone(head: Manifest): boolean {
    return head.state.dropped === true || head.commit.collection !== this.#collectionId
  }

  /** The collection was dropped, and its log with it. */
  async #discard(head: Manifest | undefined): Promise<void> {
    await this.#inTurn(() => {
      this.#placed = []
      this.#base = ''
    })
    if (this.#outbox === undefined) return await this.#rotate(Number.MAX_SAFE_INTEGER)
    this.#replacedBy = Number.MAX_SAFE_INTEGER
    await this.#settle(head)
  }

  #rotate(folded: number): Promise<void> {
    return this.#queue.between(() => this.#writer.rotate(folded))
  }
}

const foldedBy = ({ commit }: Manifest): number => commit.log?.folded ?? 0
