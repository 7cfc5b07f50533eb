import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { decodeLog } from './log-entry.ts'
import type { PlacedEntry } from './replay.ts'

const digits = (value: number): string => String(value).padStart(20, '0')
const logPrefix = (collectionId: string): string => `wal/${collectionId}/`
const epochPrefix = (collectionId: string, epoch: number): string =>
  `${logPrefix(collectionId)}${digits(epoch)}-`

/** A piece of one epoch's log: it holds the bytes from `start` on. */
interface LogPiece {
  readonly key: string
  readonly start: number
  readonly bytes: number
}

/** Pieces in order. @throws INTEGRITY where one is missing between two others */
async function pieces(
  state: ObjectStore,
  collectionId: string,
  epoch: number,
): Promise<LogPiece[]> {
  const found: LogPiece[] = []
  const prefix = epochPrefix(collectionId, epoch)
  for await (const { key, bytes } of state.list(prefix)) {
    const start = Number(key.slice(prefix.length))
    const before = found.at(-1)
    if (before !== undefined && before.start + before.bytes !== start) {
      throw new AkidbError('INTEGRITY', `the write-ahead log ${key} does not follow ${before.key}`)
    }
    found.push({ key, start, bytes })
  }
  return found
}

/** Bytes of an epoch's log so far, removed pieces included. */
export async function logLength(
  state: ObjectStore,
  collectionId: string,
  epoch: number,
): Promise<number> {
  const last = (await pieces(state, collectionId, epoch)).at(-1)
  return last === undefined ? 0 : last.start + last.bytes
}

/** Entries that are still in the log, with their places; a torn end is left out. */
export async function readLog(
  state: ObjectStore,
  collectionId: string,
  epoch: number,
): Promise<PlacedEntry[]> {
  const entries: PlacedEntry[] = []
  for (const { key, start } of await pieces(state, collectionId, epoch)) {
    const bytes = await state.get(key).catch((error: unknown) => {
      // Its owner folded and removed it meanwhile.
      if (hasCode(error, 'NOT_FOUND')) return new Uint8Array()
      throw error
    })
    for (const { entry, end } of decodeLog(bytes).entries) entries.push({ entry, end: start + end })
  }
  return entries
}

/** The log of one epoch as its owner writes it. */
export class LogWriter {
  readonly #state: ObjectStore
  readonly #collectionId: string
  readonly #epoch: number
  #start = 0
  #bytes = 0

  constructor(state: ObjectStore, collectionId: string, epoch: number) {
    this.#state = state
    this.#collectionId = collectionId
    this.#epoch = epoch
  }

  get length(): number {
    return this.#start + this.#bytes
  }

  /** Durable when it resolves. */
  async append(bytes: Uint8Array): Promise<void> {
    const key = `${epochPrefix(this.#collectionId, this.#epoch)}${digits(this.#start)}`
    await this.#state.append(key, bytes, this.#bytes)
    this.#bytes += bytes.byteLength
  }

  /** The next entry begins a new piece; pieces that end at or before `folded` are removed. */
  async rotate(folded: number): Promise<void> {
    this.#start = this.length
    this.#bytes = 0
    for (const piece of await pieces(this.#state, this.#collectionId, this.#epoch)) {
      if (piece.start + piece.bytes <= folded) await this.#state.delete(piece.key)
    }
  }
}

/** Removes the logs of earlier epochs, whose rows are in segments. */
export async function removeOldLogs(
  state: ObjectStore,
  collectionId: string,
  epoch: number,
): Promise<void> {
  const own = epochPrefix(collectionId, epoch)
  const old: string[] = []
  for await (const { key } of state.list(logPrefix(collectionId))) if (key < own) old.push(key)
  for (const key of old) await state.delete(key)
}
