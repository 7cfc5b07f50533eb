import { sha256Hex } from '../core/digest.ts'
import { AkidbError, hasCode } from '../errors/errors.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { hasBlob, type WriterPin } from './pins.ts'
import type { NewSegment } from './segment-builder.ts'

/** A finished segment of a file that is being ingested, and how far into the file it reaches. */
export interface LedgerEntry {
  readonly segment: NewSegment
  /** Rows of the file, taken or not, that a later run skips. */
  readonly rowsRead: number
  /** Accepted rows after those that are in the segments already. */
  readonly drop: number
  /** Rows rejected before `rowsRead`. */
  readonly rejected: number
  /** Length of the rejects file at this point. */
  readonly rejectBytes: number
}

/** What must be the same for a half-done ingest to go on. */
export interface LedgerKey {
  readonly collection: string
  readonly sha256: string
  readonly options: string
  /** Digest of the schema that the rows are read under. */
  readonly schema: string
}

/** Half-done ingests in the state folder: one file each, one line a segment. */
export interface Ledger {
  /** Segments that are finished and whose blobs are still there; empty for a fresh start. */
  readonly entries: readonly LedgerEntry[]
  record(entry: LedgerEntry): Promise<void>
  remove(): Promise<void>
}

export const ledgerPrefix = (collection: string): string => `ledger/${collection}/`

/**
 * Opens the ledger of one file. A torn last line, or one whose blobs are gone, is cut off together
 * with what follows.
 */
export async function openLedger(
  state: ObjectStore,
  store: ObjectStore,
  key: LedgerKey,
  pin: WriterPin,
): Promise<Ledger> {
  const path = `${ledgerPrefix(key.collection)}${key.sha256}-${key.options.slice(0, 16)}.jsonl`
  const text = await readText(state, path)
  const header = `${JSON.stringify({ options: key.options, schema: key.schema })}\n`
  const goesOn = text.startsWith(header)
  let length = goesOn ? Buffer.byteLength(header) : 0
  const entries: LedgerEntry[] = []
  for (const line of goesOn ? text.slice(header.length).split('\n') : []) {
    const entry = parseLine(line)
    if (entry === undefined) break
    await pin.add(entry.segment.blobs.map((blob) => blob.digest))
    if (!(await complete(store, entry))) break
    entries.push(entry)
    length += Buffer.byteLength(line) + 1
  }
  if (goesOn) await state.truncate(path, length)
  else if (text !== '') await state.delete(path)
  return {
    entries,
    record: async (entry) => {
      const start = length === 0 ? header : ''
      const line = Buffer.from(`${start}${encodeLine(entry)}\n`)
      await state.append(path, line, length)
      length += line.byteLength
    },
    remove: async () => void (length > 0 && (await state.delete(path))),
  }
}

async function readText(state: ObjectStore, path: string): Promise<string> {
  try {
    return Buffer.from(await state.get(path)).toString('utf8')
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return ''
    throw error
  }
}

/** JSON, a tab, and the first 16 hex digits of the JSON's SHA-256. */
function encodeLine(entry: LedgerEntry): string {
  const json = JSON.stringify(entry)
  return `${json}\t${sha256Hex(Buffer.from(json)).slice(0, 16)}`
}

/** Our own file, but a crash may have torn its last line, or a disk may have changed one. */
function parseLine(line: string): LedgerEntry | undefined {
  const [json = '', digest] = line.split('\t')
  if (digest !== sha256Hex(Buffer.from(json)).slice(0, 16)) return undefined
  try {
    const entry = JSON.parse(json) as LedgerEntry
    return Array.isArray(entry.segment?.blobs) && Number.isSafeInteger(entry.rowsRead)
      ? entry
      : undefined
  } catch {
    return undefined
  }
}

async function complete(store: ObjectStore, entry: LedgerEntry): Promise<boolean> {
  for (const blob of entry.segment.blobs) if (!(await hasBlob(store, blob.digest))) return false
  return true
}

/** Digests of the blobs that half-done ingests go on from. */
export async function* ledgerBlobs(state: ObjectStore): AsyncGenerator<string> {
  for (const key of await openLedgers(state)) {
    for (const line of (await readText(state, key)).split('\n').slice(1)) {
      for (const { digest } of parseLine(line)?.segment.blobs ?? []) yield digest
    }
  }
}

/** An ingest that was interrupted and can go on. */
export interface HalfDoneIngest {
  readonly collection: string
  readonly sha256: string
  /** Segments and rows of the file that need not be read again. */
  readonly segments: number
  readonly rows: number
}

/** Half-done ingests, for `status`. */
export async function halfDoneIngests(state: ObjectStore): Promise<HalfDoneIngest[]> {
  const found: HalfDoneIngest[] = []
  for (const key of await openLedgers(state)) {
    const [, collection, sha256] = /^ledger\/([^/]+)\/([0-9a-f]{64})-/.exec(key) ?? []
    if (collection === undefined || sha256 === undefined) continue
    const lines = (await readText(state, key)).split('\n').slice(1)
    const entries = lines.flatMap((line) => parseLine(line) ?? [])
    const rows = entries.at(-1)?.rowsRead ?? 0
    if (entries.length > 0) found.push({ collection, sha256, segments: entries.length, rows })
  }
  return found
}

/** Keys of the ledgers in a state folder. */
export async function openLedgers(state: ObjectStore): Promise<string[]> {
  const keys: string[] = []
  for await (const info of state.list('ledger/')) keys.push(info.key)
  return keys
}

/** A file whose bytes changed while it was read. */
export const changedFile = (path: string): AkidbError =>
  new AkidbError('BAD_INPUT', `${path} changed while it was being read`, {
    hint: 'Nothing of it was taken. Run the command again when nobody writes to it.',
    details: { path },
  })
