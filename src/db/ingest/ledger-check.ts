import { hasCode } from '../../errors/errors.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { readWholeBlob } from '../check/check-blobs.ts'
import { SegmentReader } from '../segment/segment-reader.ts'
import type { LedgerEntry } from './ledger-entry.ts'

/** What the entries of a ledger are compared with. */
export interface LedgerWitness {
  readonly store: ObjectStore
  /** The state folder. */
  readonly state: ObjectStore
  /** Key of the rejects of the same file in the state folder. */
  readonly rejectsKey: string
  /** False where a bad row is to undo everything: then no entry may have one behind it. */
  readonly mayReject: boolean
}

/** The entries that can be gone on from. */
export interface Believed {
  readonly entries: readonly LedgerEntry[]
  /** Line or row of the last row that is in a segment; −1 where none is. */
  readonly lastPosition: number
}

/**
 * The entries up to the first that does not fit what else is known: the rows in the segments and
 * the rejected ones make up the rows read, the rejects file has a line for each of those, the blobs
 * are there and whole, and the rows in them follow each other through the file. A ledger carries no
 * signature: it can be trusted no further than it can be checked. That a rejected row was bad is
 * believed, since only reading it again could tell.
 *
 * Costs one reading of every blob, which is little beside making it.
 */
export async function believed(
  entries: readonly LedgerEntry[],
  witness: LedgerWitness,
): Promise<Believed> {
  const lines = await linesAt(
    witness,
    entries.map(({ rejectBytes }) => rejectBytes),
  )
  let [rows, lastPosition, count] = [0, -1, 0]
  for (const entry of entries) {
    rows += entry.segment.rows
    const adds = rows - entry.drop + entry.rejected === entry.rowsRead && entry.drop <= rows
    const noted = lines.get(entry.rejectBytes) === entry.rejected
    const allowed = witness.mayReject || entry.rejected === 0
    if (!adds || !noted || !allowed) break
    const last = await lastRow(witness.store, entry, lastPosition)
    if (last === undefined) break
    lastPosition = last
    count++
  }
  return { entries: entries.slice(0, count), lastPosition }
}

/** Lines that end at or before each of these lengths of the rejects file; none beyond its end. */
async function linesAt(
  { state, rejectsKey }: LedgerWitness,
  lengths: readonly number[],
): Promise<ReadonlyMap<number, number>> {
  const found = new Map<number, number>([[0, 0]])
  const wanted = [...new Set(lengths)].filter((length) => length > 0).sort((a, b) => a - b)
  const last = wanted.at(-1)
  if (last === undefined || ((await state.head(rejectsKey))?.bytes ?? 0) < (wanted[0] ?? 0)) {
    return found
  }
  let [at, lines] = [0, 0]
  for await (const piece of state.read(rejectsKey)) {
    for (const byte of piece) {
      at++
      if (byte === LINE_END) lines++
      if (at !== wanted[0]) continue
      // Where it ends inside a line, what follows would be glued to it.
      found.set(at, byte === LINE_END ? lines : Number.NaN)
      wanted.shift()
    }
    if (at >= last) break
  }
  return found
}

const LINE_END = 0x0a

/** Position of a segment's last row, where all its rows are of one file and behind `after`. */
async function lastRow(
  store: ObjectStore,
  { segment }: LedgerEntry,
  after: number,
): Promise<number | undefined> {
  for (const ref of segment.blobs) {
    if ((await readWholeBlob(store, ref, () => undefined)) !== undefined) return undefined
  }
  const reader = new SegmentReader(store, { key: 0, sources: [], ...segment })
  try {
    const { sources, rows } = await reader.origin()
    if (sources.some((source) => source !== 0)) return undefined
    let last = after
    for (const row of rows) {
      const position = Number(row)
      if (position <= last) return undefined
      last = position
    }
    return last
  } catch (error) {
    if (hasCode(error, 'INTEGRITY', 'FORMAT_VERSION')) return undefined
    throw error
  } finally {
    reader.close()
  }
}
