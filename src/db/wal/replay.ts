import type { Manifest, SegmentEntry } from '../../format/manifest.ts'
import type { CollectionCore } from '../collection-core.ts'
import { LogRows } from '../log-rows.ts'
import { deadRows } from '../view.ts'
import type { LogEntry, PlacedEntry } from './log-entry.ts'

/**
 * The rows of a log on top of a head (design §4). Entries that are folded into segments are left
 * out; of the others an entry loses to every later commit that added or deleted its id and had seen
 * it.
 */
export async function replayLog(
  core: CollectionCore,
  head: Manifest,
  entries: readonly PlacedEntry[],
): Promise<LogRows> {
  const rows = new LogRows()
  const folded = head.commit.log?.folded ?? 0
  const open = entries.filter(({ end }) => end > folded)
  if (open.length === 0) return rows
  const commits = await commitsSince(core, head, folded)
  let next = 0
  for (const { entry, end } of open) {
    for (; next < commits.length && (commits[next]?.seen ?? 0) < end; next++) {
      for (const id of await (commits[next] as SeenCommit).touched()) rows.forget(id)
    }
    applyEntry(rows, entry)
  }
  for (; next < commits.length; next++) {
    for (const id of await (commits[next] as SeenCommit).touched()) rows.forget(id)
  }
  return rows
}

export function applyEntry(rows: LogRows, entry: LogEntry): void {
  if (entry.kind === 'upsert') rows.put(entry.row)
  else rows.remove(entry.id)
}

/** A commit of another writer, and how much of the log it had seen. */
interface SeenCommit {
  readonly seen: number
  touched(): Promise<Iterable<string>>
}

/**
 * Commits of this epoch after the fold that `head` stands on, oldest first, that changed rows by
 * id.
 */
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
        found.push({ seen, touched: () => touchedIds(core, before, after) })
      }
    }
    child = parent
  }
  return found.reverse()
}

/** Ids that `after` has in segments that `before` lacks, and ids of rows that died between them. */
export async function touchedIds(
  core: CollectionCore,
  before: Manifest,
  after: Manifest,
): Promise<Set<string>> {
  const ids = new Set<string>()
  const former = new Map(before.state.segments.map((entry) => [entry.key, entry]))
  for (const entry of after.state.segments) {
    const known = former.get(entry.key)
    former.delete(entry.key)
    if (known === undefined) await addAll(core, entry, ids)
    else await addDead(core, known, entry, ids)
  }
  for (const gone of former.values()) await addAll(core, gone, ids)
  return ids
}

async function addAll(core: CollectionCore, entry: SegmentEntry, ids: Set<string>): Promise<void> {
  const table = await core.reader(entry).ids()
  for (let row = 0; row < table.count; row++) ids.add(table.id(row))
}

async function addDead(
  core: CollectionCore,
  before: SegmentEntry,
  after: SegmentEntry,
  ids: Set<string>,
): Promise<void> {
  if (before.tombstones?.digest === after.tombstones?.digest) return
  const former = new Set(await deadRows(core.environment.store, before))
  const table = await core.reader(after).ids()
  for (const row of await deadRows(core.environment.store, after)) {
    if (!former.has(row)) ids.add(table.id(row))
  }
}
