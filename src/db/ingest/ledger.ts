import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import type { WriterPin } from '../states/pins.ts'
import { believed, type LedgerWitness } from './ledger-check.ts'
import { encodeLedgerEntry, type LedgerEntry, parseLedgerEntry } from './ledger-entry.ts'
import { rejectsKey } from './rejects.ts'

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
  /** Segments that are finished and can be gone on from; empty for a fresh start. */
  readonly entries: readonly LedgerEntry[]
  /** Line or row of the last row that is in one of them; −1 where none is. */
  readonly lastPosition: number
  /** Segments that are there but do not fit what else is known: their rows are read again. */
  readonly distrusted: number
  record(entry: LedgerEntry): Promise<void>
  remove(): Promise<void>
}

export const ledgerPrefix = (collection: string): string => `ledger/${collection}/`

/** What a ledger is opened with. */
export interface LedgerSurroundings extends Pick<LedgerWitness, 'store' | 'state' | 'mayReject'> {
  readonly pin: WriterPin
}

/**
 * Opens the ledger of one file. A torn last line, or one that does not fit (see `believed`), is cut
 * off together with what follows.
 */
export async function openLedger(
  key: LedgerKey,
  { store, state, mayReject, pin }: LedgerSurroundings,
): Promise<Ledger> {
  const path = `${ledgerPrefix(key.collection)}${key.sha256}-${key.options.slice(0, 16)}.jsonl`
  const text = await readText(state, path).catch(damagedText)
  const header = `${JSON.stringify({ options: key.options, schema: key.schema })}\n`
  const goesOn = text.startsWith(header)
  const lines = goesOn ? entryLines(text.slice(header.length)) : []
  for (const { entry } of lines) await pin.add(entry.segment.blobs.map((blob) => blob.digest))
  const rejects = rejectsKey(key.collection, key.sha256)
  const { entries, lastPosition } = await believed(
    lines.map(({ entry }) => entry),
    { store, state, mayReject, rejectsKey: rejects },
  )
  const kept = lines.slice(0, entries.length).reduce((sum, { bytes }) => sum + bytes, 0)
  let length = goesOn ? Buffer.byteLength(header) + kept : 0
  if (goesOn) await state.truncate(path, length)
  else if (text !== '') await state.delete(path)
  return {
    entries,
    lastPosition,
    distrusted: lines.length - entries.length,
    record: async (entry) => {
      const start = length === 0 ? header : ''
      const line = Buffer.from(`${start}${encodeLedgerEntry(entry)}\n`)
      await state.append(path, line, length)
      length += line.byteLength
    },
    remove: async () => void (length > 0 && (await state.delete(path))),
  }
}

/** Entries up to the first line that is not as it was written. */
function entryLines(text: string): { entry: LedgerEntry; bytes: number }[] {
  const found: { entry: LedgerEntry; bytes: number }[] = []
  for (const line of text.split('\n')) {
    const entry = parseLedgerEntry(line)
    if (entry === undefined) break
    found.push({ entry, bytes: Buffer.byteLength(line) + 1 })
  }
  return found
}

async function readText(state: ObjectStore, path: string): Promise<string> {
  try {
    const bytes = await getBounded(state, path, limits.ledgerBytesMax)
    return Buffer.from(bytes).toString('utf8')
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return ''
    throw error
  }
}

/** One that is too long is none of ours: the file is read from its start. */
function damagedText(error: unknown): string {
  if (hasCode(error, 'INTEGRITY')) return 'too long'
  throw error
}

/** Digests of the blobs that half-done ingests go on from. */
export async function* ledgerBlobs(state: ObjectStore): AsyncGenerator<string> {
  for (const key of await openLedgers(state)) {
    for (const line of (await readText(state, key)).split('\n').slice(1)) {
      for (const { digest } of parseLedgerEntry(line)?.segment.blobs ?? []) yield digest
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
    const entries = lines.flatMap((line) => parseLedgerEntry(line) ?? [])
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

/**
 * A ledger that says other rows than its file has. Nothing of the file was taken: it is to be read
 * from its start.
 */
export const ledgerMisfit = (path: string, what: string): AkidbError =>
  new AkidbError('INTEGRITY', `the ledger of ${path} does not fit it: ${what}`, {
    hint: 'Run the command again: the file is then read from its start.',
    details: { path, why: LEDGER_MISFIT },
  })

export const isLedgerMisfit = (error: unknown): boolean =>
  hasCode(error, 'INTEGRITY') && error.details.why === LEDGER_MISFIT

const LEDGER_MISFIT = 'the ledger does not fit'
