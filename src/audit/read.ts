import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { BATCH_BYTES_MAX, readBounded } from './bounded-read.ts'
import { type AuditEntry, parseEntry } from './entry.ts'
import { splitFrames } from './frames.ts'
import { type AuditKeys, brokenLog } from './layout.ts'

const WIDTH = limits.auditTileWidth

/** Which entries to read; all conditions hold. */
export interface ReadOptions {
  /** First seq; default 0. */
  readonly from?: number
  /** Entries of this time or later, milliseconds since 1970. */
  readonly sinceMs?: number
  /** Entries before this time. */
  readonly untilMs?: number
  readonly act?: string
  readonly collection?: string
  /** OS user or sudo user. */
  readonly actor?: string
  /** At most so many entries. */
  readonly limit?: number
  readonly signal?: AbortSignal
}

/** What the log says of one act. */
export interface ActEntries {
  readonly intent?: AuditEntry
  readonly outcome?: AuditEntry
}

/**
 * Entries of a log in order, one batch in memory at a time; a torn end is left out. Needs no lock:
 * a batch that is
 * closed meanwhile is found under its other name.
 * @throws AUDIT_BROKEN where an entry cannot be read
 */
export async function* readEntries(
  store: ObjectStore,
  keys: AuditKeys,
  options: ReadOptions,
): AsyncGenerator<AuditEntry> {
  const from = options.from ?? 0
  let left = options.limit ?? Number.POSITIVE_INFINITY
  for (let batch = Math.floor(from / WIDTH); left > 0; batch++) {
    options.signal?.throwIfAborted()
    const read = await batchEntries(store, keys, batch)
    if (read === undefined) return
    for (const [i, bytes] of read.entries.entries()) {
      const seq = batch * WIDTH + i
      if (seq < from || left <= 0) continue
      const entry = parseEntry(bytes)
      const torn = !read.closed && i === read.entries.length - 1
      if (typeof entry === 'string' && torn) return
      if (typeof entry === 'string') throw brokenLog(keys.folder, `entry ${seq}: ${entry}`, seq)
      if (!matches(entry, options)) continue
      yield entry
      left -= 1
    }
    if (!read.closed && read.entries.length < WIDTH) return
  }
}

/**
 * The exact bytes of the entries from `from` to `to` − 1, one batch in memory at a time.
 * @throws AUDIT_BROKEN where one is missing
 */
export async function* entryBytes(
  store: ObjectStore,
  keys: AuditKeys,
  { from, to }: { readonly from: number; readonly to: number },
): AsyncGenerator<Uint8Array> {
  for (let seq = from; seq < to; ) {
    const batch = Math.floor(seq / WIDTH)
    const read = await batchEntries(store, keys, batch)
    const end = Math.min(to, (batch + 1) * WIDTH)
    for (; seq < end; seq++) {
      const entry = read?.entries[seq - batch * WIDTH]
      if (entry === undefined) throw brokenLog(keys.folder, `entry ${seq} is missing`, seq)
      yield entry
    }
  }
}

/**
 * The exact bytes of one entry.
 * @throws NOT_FOUND
 */
export async function readEntry(
  store: ObjectStore,
  keys: AuditKeys,
  seq: number,
): Promise<Uint8Array> {
  const read = await batchEntries(store, keys, Math.floor(seq / WIDTH))
  const entry = read?.entries[seq % WIDTH]
  if (entry !== undefined) return entry
  throw new AkidbError('NOT_FOUND', `audit log ${keys.folder} has no entry ${seq}`, {
    hint: 'See `akidb audit log` for the entries that there are.',
  })
}

/** Entries from `size` − 1 backwards, one batch in memory at a time. */
export async function* readBackwards(
  store: ObjectStore,
  keys: AuditKeys,
  size: number,
): AsyncGenerator<AuditEntry> {
  for (let batch = Math.ceil(size / WIDTH) - 1; batch >= 0; batch--) {
    const read = await batchEntries(store, keys, batch)
    if (read === undefined) throw brokenLog(keys.folder, `batch ${batch} is missing`, batch * WIDTH)
    for (let i = Math.min(read.entries.length, size - batch * WIDTH) - 1; i >= 0; i--) {
      const seq = batch * WIDTH + i
      const entry = parseEntry(read.entries[i] ?? new Uint8Array(0))
      if (typeof entry === 'string') throw brokenLog(keys.folder, `entry ${seq}: ${entry}`, seq)
      yield entry
    }
  }
}

/**
 * The intent and outcome of each act, from the newest entry backwards until every intent is found;
 * an act that the
 * log does not know costs a walk through all of it.
 */
export async function findActs(
  newestFirst: AsyncIterable<AuditEntry>,
  actIds: Iterable<string>,
): Promise<ReadonlyMap<string, ActEntries>> {
  const found = new Map<string, ActEntries>()
  const open = new Set(actIds)
  if (open.size === 0) return found
  for await (const entry of newestFirst) {
    if (entry.actId === undefined || entry.phase === 'event' || !open.has(entry.actId)) continue
    found.set(entry.actId, { ...found.get(entry.actId), [entry.phase]: entry })
    if (entry.phase === 'intent') open.delete(entry.actId)
    if (open.size === 0) break
  }
  return found
}

interface BatchEntries {
  readonly entries: readonly Uint8Array[]
  readonly closed: boolean
}

async function batchEntries(
  store: ObjectStore,
  keys: AuditKeys,
  batch: number,
): Promise<BatchEntries | undefined> {
  // The second look at the closed batch: it may have been closed between the first and the look at
  // its tail.
  for (const key of [keys.entries(batch), keys.tail(batch), keys.entries(batch)]) {
    const bytes = await readBounded(store, key, BATCH_BYTES_MAX)
    if (bytes === 'too long') throw brokenLog(keys.folder, `${key} is too long`)
    if (bytes === undefined) continue
    return { entries: splitFrames(bytes).entries, closed: key !== keys.tail(batch) }
  }
  return undefined
}

function matches(entry: AuditEntry, options: ReadOptions): boolean {
  const { sinceMs, untilMs, act, collection, actor } = options
  const timeMs = Date.parse(entry.time)
  if (sinceMs !== undefined && timeMs < sinceMs) return false
  if (untilMs !== undefined && timeMs >= untilMs) return false
  if (act !== undefined && entry.act !== act) return false
  if (collection !== undefined && entry.collection !== collection) return false
  return actor === undefined || entry.actor.user === actor || entry.actor.sudoUser === actor
}
