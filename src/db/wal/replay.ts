import type { Manifest, SegmentEntry } from '../../format/manifest.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { LogRows } from '../segment/log-rows.ts'
import { segmentIdentity } from '../segment/segment-reader.ts'
import { deadRows } from '../segment/view.ts'
import type { LogEntry, PlacedEntry } from './log-entry.ts'

/**
 * The rows of a log on top of a head (design §4). Entries that are folded into segments are left
 * out; of the others an entry loses to every later commit that decided about its id and had seen
 * it. How far a commit had seen the log is its own affair: a delete by filter that comes after an
 * append may have looked at less of it.
 */
export async function replayLog(
  core: CollectionCore,
  head: Manifest,
  entries: readonly PlacedEntry[],
): Promise<LogRows> {
  const rows = new LogRows()
  const folded = head.commit.log?.folded ?? 0
  const open = entries.filter(({ end }) => end > folded)
  const first = open[0]
  if (first === undefined) return rows
  const decided = await decisions(await commitsSince(core, head, folded), first.end)
  for (const { entry, end } of open) if (end > decided(idOf(entry))) applyEntry(rows, entry)
  return rows
}

/**
 * Up to where in the log commits decided about an id.
 *
 * @param from end of the first open entry: commits that had seen less decided about none
 */
async function decisions(
  commits: readonly SeenCommit[],
  from: number,
): Promise<(id: string) => number> {
  const byId = new Map<string, number>()
  let all = 0
  for (const { seen, decidesAll, touched } of commits) {
    if (seen < from) continue
    if (decidesAll) all = Math.max(all, seen)
    else for (const id of await touched()) byId.set(id, Math.max(byId.get(id) ?? 0, seen))
  }
  return (id) => Math.max(all, byId.get(id) ?? 0)
}

const idOf = (entry: LogEntry): string => (entry.kind === 'upsert' ? entry.row.id : entry.id)

export function applyEntry(rows: LogRows, entry: LogEntry): void {
  if (entry.kind === 'upsert') rows.put(entry.row)
  else rows.remove(entry.id)
}

/** A commit of another writer, and how much of the log it had seen. */
interface SeenCommit {
  readonly seen: number
  /** A revert decides about every id. */
  readonly decidesAll: boolean
  readonly touched: () => Promise<Iterable<string>>
}

/** Commits of this epoch after the fold that `head` stands on that changed rows by id. */
async function commitsSince(
  core: CollectionCore,
  head: Manifest,
  folded: number,
): Promise<SeenCommit[]> {
  const found: SeenCommit[] = []
  let child = head
  while (child.commit.parent !== null) {
    const parent = await core.manifests.find(child.commit.version - 1)
    if (parent === undefined || parent.commit.epoch !== head.commit.epoch) break
    if ((child.commit.log?.folded ?? 0) !== folded) break
    if ((parent.commit.log?.folded ?? 0) === folded) {
      const [before, after] = [parent, child]
      if (child.commit.act !== 'merge' && child.commit.act !== 'index') {
        const seen = child.commit.log?.seen ?? 0
        const decidesAll = child.commit.act === 'revert'
        found.push({ seen, decidesAll, touched: () => touchedIds(core, before, after) })
      }
    }
    child = parent
  }
  return found
}

/**
 * Ids of rows that live in one of two states and not in the other. A row that was dead already in a
 * segment that is gone says nothing about its id: its newer row may be in the log.
 */
export async function touchedIds(
  core: CollectionCore,
  before: Manifest,
  after: Manifest,
): Promise<Set<string>> {
  const ids = new Set<string>()
  const former = new Map(before.state.segments.map((entry) => [identityOf(entry), entry]))
  for (const entry of after.state.segments) {
    const known = former.get(identityOf(entry))
    former.delete(identityOf(entry))
    if (known === undefined) await addLive(core, entry, ids)
    else await addChanged(core, known, entry, ids)
  }
  for (const gone of former.values()) await addLive(core, gone, ids)
  return ids
}

/** A revert sets the numbers of segments back, so that another one may get the same number. */
const identityOf = (entry: SegmentEntry): string => `${entry.key} ${segmentIdentity(entry)}`

async function addLive(core: CollectionCore, entry: SegmentEntry, ids: Set<string>): Promise<void> {
  const dead = new Set(await deadRows(core.environment.store, entry))
  const table = await core.reader(entry).ids()
  for (let row = 0; row < table.count; row++) if (!dead.has(row)) ids.add(table.id(row))
}

async function addChanged(
  core: CollectionCore,
  before: SegmentEntry,
  after: SegmentEntry,
  ids: Set<string>,
): Promise<void> {
  if (before.tombstones?.digest === after.tombstones?.digest) return
  const former = new Set(await deadRows(core.environment.store, before))
  const later = new Set(await deadRows(core.environment.store, after))
  const table = await core.reader(after).ids()
  for (const row of later) if (!former.has(row)) ids.add(table.id(row))
  for (const row of former) if (!later.has(row)) ids.add(table.id(row))
}
