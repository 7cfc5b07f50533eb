import { AkidbError } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import { NO_SOURCE } from '../../format/origin-section.ts'
import { runAct } from '../acts.ts'
import { checkFollowing, commitAppend, headMoved, isHeadMoved } from '../append.ts'
import { type CollectionCore, commitLockName } from '../collection-core.ts'
import { commitManifest } from '../commit.ts'
import { noteChange } from '../freshness.ts'
import { LogRows } from '../log-rows.ts'
import { versionDigits } from '../manifest-store.ts'
import { createWriterPin } from '../pins.ts'
import { SegmentBuilder } from '../segment-builder.ts'
import { encodeLogEntry, type LogEntry } from './log-entry.ts'
import { LogWriter, readLog, removeOldLogs } from './log-file.ts'
import { applyEntry, type PlacedEntry, replayLog } from './replay.ts'

/** Entries after which the log is committed at once. */
export const FOLD_ENTRIES = 8_192
/** Bytes of one group commit. */
const GROUP_BYTES_MAX = 8 * 1024 * 1024
/** Heads tried before a commit gives up. */
const FOLD_ATTEMPTS_MAX = 16

interface Waiting {
  readonly entries: readonly LogEntry[]
  readonly bytes: Uint8Array
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

interface Rotation extends Pick<Waiting, 'done' | 'failed'> {
  readonly folded: number
}

/** The write-ahead log of one collection in the hands of its owner. */
export class OwnedLog {
  readonly #core: CollectionCore
  readonly #epoch: number
  readonly #writer: LogWriter
  #placed: PlacedEntry[] = []
  #rows = new LogRows()
  /** Digest of the head that `#rows` stands on. */
  #base: string
  #waiting: Waiting[] = []
  #rotations: Rotation[] = []
  #writing: Promise<void> | undefined
  #folding: Promise<void> | undefined

  private constructor(core: CollectionCore, head: Manifest) {
    this.#core = core
    this.#epoch = head.commit.epoch
    this.#base = head.digest
    const { state } = core.environment
    this.#writer = new LogWriter(state, head.commit.collection, head.commit.epoch)
  }

  /**
   * Takes a collection over: the next epoch's object, then a manifest that carries the epoch together with whatever
   * the former owner's log still held.
   */
  static async take(core: CollectionCore): Promise<OwnedLog> {
    for (let attempt = 0; attempt < FOLD_ATTEMPTS_MAX; attempt++) {
      const head = await core.head()
      checkFollowing(core.name, head, 'upsert')
      const epoch = await claimEpoch(core, head)
      const taken = await commitTakeover(core, head, epoch)
      if (taken === undefined) continue
      await removeOldLogs(core.environment.state, taken.commit.collection, epoch)
      return new OwnedLog(core, taken)
    }
    throw new AkidbError('CONFLICT', `"${core.name}" is changing too fast to take over`)
  }

  get length(): number {
    return this.#writer.length
  }

  get openEntries(): number {
    return this.#placed.length
  }

  /** Durable and searchable when it resolves. */
  async write(entries: readonly LogEntry[]): Promise<void> {
    if (entries.length === 0) return
    const bytes = Buffer.concat(entries.map(encodeLogEntry))
    await new Promise<void>((done, failed) => {
      this.#waiting.push({ entries, bytes, done, failed })
      this.#writing ??= this.#pump()
    })
    if (this.#placed.length >= FOLD_ENTRIES) await this.fold()
  }

  /** The rows on top of a head; other writers' commits since the last one are taken into account. */
  async rows(head: Manifest): Promise<LogRows> {
    if (head.commit.epoch > this.#epoch) throw replaced(this.#core.name, head.commit.epoch)
    if (head.digest !== this.#base) {
      const version = this.#rows.version
      this.#rows = await replayLog(this.#core, head, this.#placed)
      this.#rows.version += version + 1
      this.#base = head.digest
    }
    return this.#rows
  }

  /** Commits all entries that are acknowledged. Nothing is committed where there are none. */
  async fold(): Promise<void> {
    while (this.#folding !== undefined) await this.#folding
    this.#folding = this.#foldNow().finally(() => {
      this.#folding = undefined
    })
    await this.#folding
  }

  /** The only place that touches the log's files: groups in the order of their arrival, and rotations between them. */
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
    const group = this.#takeGroup()
    try {
      await this.#writeGroup(group)
      for (const waiting of group) waiting.done()
    } catch (error) {
      for (const waiting of group) waiting.failed(error)
    }
  }

  #rotate(folded: number): Promise<void> {
    return new Promise((done, failed) => {
      this.#rotations.push({ folded, done, failed })
      this.#writing ??= this.#pump()
    })
  }

  #takeGroup(): Waiting[] {
    const group: Waiting[] = []
    let bytes = 0
    while (this.#waiting.length > 0) {
      const next = this.#waiting[0] as Waiting
      if (group.length > 0 && bytes + next.bytes.byteLength > GROUP_BYTES_MAX) break
      bytes += next.bytes.byteLength
      group.push(next)
      this.#waiting.shift()
    }
    return group
  }

  /** fsync, confirm ownership, apply; the caller acknowledges after that. */
  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    const head = await this.#core.head()
    await this.rows(head)
    let end = this.#writer.length
    await this.#writer.append(Buffer.concat(group.map((waiting) => waiting.bytes)))
    noteChange()
    const newest = await newestEpoch(this.#core)
    if (newest > this.#epoch) throw replaced(this.#core.name, newest)
    for (const { entries } of group) {
      for (const entry of entries) {
        end += encodeLogEntry(entry).byteLength
        this.#placed.push({ entry, end })
        applyEntry(this.#rows, entry)
      }
    }
  }

  async #foldNow(): Promise<void> {
    for (let attempt = 0; attempt < FOLD_ATTEMPTS_MAX; attempt++) {
      const head = await this.#core.head()
      const rows = (await this.rows(head)).snapshot()
      const folded = this.#placed.at(-1)?.end
      if (folded === undefined) return
      const log = { epoch: this.#epoch, folded, seen: folded }
      const done = await commitRows(this.#core, { head, rows, log, ownEpoch: this.#epoch })
      if (done === undefined) continue
      this.#placed = this.#placed.filter(({ end }) => end > folded)
      await this.#rotate(folded)
      return
    }
    throw new AkidbError(
      'CONFLICT',
      `cannot commit the log of "${this.#core.name}": too many writers`,
    )
  }
}

const ownerPrefix = (name: string): string => `collections/${name}/owner/`

async function newestEpoch(core: CollectionCore): Promise<number> {
  const prefix = ownerPrefix(core.name)
  for await (const { key } of core.environment.store.list(prefix, { limit: 1 })) {
    const digits = key.slice(prefix.length, -'.json'.length)
    return Number(99_999_999_999_999_999_999n - BigInt(digits))
  }
  return 0
}

/** Creates the next owner object; of two claimants one gets each number. */
async function claimEpoch(core: CollectionCore, head: Manifest): Promise<number> {
  const { store, actor, command } = core.environment
  for (let attempt = 0; attempt < FOLD_ATTEMPTS_MAX; attempt++) {
    const epoch = Math.max(await newestEpoch(core), head.commit.epoch) + 1
    const body = Buffer.from(JSON.stringify({ epoch, host: actor.host, command }))
    const key = `${ownerPrefix(core.name)}${versionDigits(epoch)}.json`
    if ((await store.put(key, body)) === 'created') return epoch
  }
  throw new AkidbError('CONFLICT', `too many log owners of "${core.name}" at once`)
}

async function commitTakeover(
  core: CollectionCore,
  head: Manifest,
  epoch: number,
): Promise<Manifest | undefined> {
  const log = { epoch, folded: 0, seen: 0 }
  const { collection } = head.commit
  const entries = await readLog(core.environment.state, collection, head.commit.epoch)
  const rows = await replayLog(core, head, entries)
  if (rows.touched > 0) return await commitRows(core, { head, rows, log, epoch, ownEpoch: epoch })
  const act = { act: 'owner', collection: core.name, parent: head, details: { epoch } }
  try {
    return await runAct(core.environment, act, async (running) => {
      const manifest = await commitManifest(core.environment, {
        manifests: core.manifests,
        name: core.name,
        lock: commitLockName(collection),
        kind: 'owner',
        act: running,
        next: async (now) => {
          if (now?.digest !== head.digest) throw headMoved(core.name)
          const changed = { inserted: 0, updated: 0, deleted: 0 }
          return { state: head.state, stateBytes: head.stateBytes, changed, epoch, log }
        },
      })
      return { result: manifest, outcome: { epoch, version: manifest?.commit.version } }
    })
  } catch (error) {
    if (isHeadMoved(error)) return undefined
    throw error
  }
}

interface RowsToCommit {
  readonly head: Manifest
  readonly rows: LogRows
  readonly log: { readonly epoch: number; readonly folded: number; readonly seen: number }
  readonly epoch?: number
  readonly ownEpoch: number
}

/** Commits log rows as one segment on exactly this head. @returns undefined where the head moved meanwhile */
async function commitRows(core: CollectionCore, work: RowsToCommit): Promise<Manifest | undefined> {
  const { head, rows, log } = work
  const { environment } = core
  const { schema, index } = head.state
  const details = { rows: rows.live, deleted: rows.touched - rows.live, epoch: log.epoch }
  const act = { act: 'upsert', collection: core.name, parent: head, details }
  const pin = createWriterPin(environment)
  try {
    return await runAct(environment, act, async (running) => {
      const builder = new SegmentBuilder({ schema, index, withGraph: true })
      for (const row of rows.rows()) builder.add({ ...row, source: NO_SOURCE, position: 0 })
      const targets = { store: environment.store, pin, builder: environment.builder }
      const segments = builder.rows === 0 ? [] : [await builder.finish(targets)]
      const deletedIds = [...rows.touchedIds()].filter((id) => rows.get(id) === undefined)
      const manifest = await commitAppend(core, running, pin, {
        kind: 'upsert',
        collection: head.commit.collection,
        schema,
        segments: segments.map((segment) => ({ ...segment, sources: [] })),
        sources: [],
        deletedIds,
        log,
        epoch: log.epoch,
        ownEpoch: work.ownEpoch,
        onlyOn: head.digest,
      })
      const { version, stateRoot } = manifest.commit
      return { result: manifest, outcome: { version, manifest: manifest.digest, stateRoot } }
    })
  } catch (error) {
    if (isHeadMoved(error)) return undefined
    throw error
  } finally {
    await pin.release().catch(() => undefined)
  }
}

const replaced = (name: string, epoch: number): AkidbError =>
  new AkidbError('CONFLICT', `another process took over the log of "${name}" (epoch ${epoch})`, {
    hint: 'This one accepts no more writes; start it again.',
  })
