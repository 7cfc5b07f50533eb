import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import {
  type DecodedGroup,
  decodeGroups,
  encodeGroupRecord,
  GROUP_RECORD_BYTES,
  hasBrokenTail,
  type PlacedEntry,
} from './log-entry.ts'

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

/** Pieces in order. Between two of them lies what was never acknowledged, if anything. */
async function pieces(
  state: ObjectStore,
  collectionId: string,
  epoch: number,
): Promise<LogPiece[]> {
  const found: LogPiece[] = []
  const prefix = epochPrefix(collectionId, epoch)
  for await (const { key, bytes } of state.list(prefix)) {
    found.push({ key, start: Number(key.slice(prefix.length)), bytes })
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

/** Whether the log of a head's epoch holds entries that no commit folded. */
export async function isLogOpen(state: ObjectStore, { commit }: Manifest): Promise<boolean> {
  const length = await logLength(state, commit.collection, commit.epoch)
  return length > (commit.log?.folded ?? 0)
}

/**
 * Entries that are still in the log, with their places. A group that was never acknowledged,
 * because its write broke off or failed, is left out as far as it is missing, and wholly where
 * another follows.
 *
 * @param log.folded up to where the log's rows are in segments
 * @throws INTEGRITY where acknowledged entries are missing or damaged
 */
export async function readLog(
  state: ObjectStore,
  log: { readonly collectionId: string; readonly epoch: number; readonly folded: number },
): Promise<PlacedEntry[]> {
  const groups: DecodedGroup[] = []
  // Where a later group follows, what is broken before it was never acknowledged.
  let broken: string | undefined
  for (const { key, start } of await pieces(state, log.collectionId, log.epoch)) {
    const bytes = await state.get(key).catch((error: unknown) => {
      // Its owner folded and removed it meanwhile.
      if (hasCode(error, 'NOT_FOUND')) return new Uint8Array()
      throw error
    })
    const found = decodeGroups(bytes, start)
    for (const group of found) {
      dropFailed(groups, group.after)
      const before = groups.at(-1)?.end
      const follows = before === undefined ? group.after <= log.folded : group.after === before
      if (!follows) throw damaged(key, before ?? log.folded)
      groups.push(group)
      broken = group.damaged ? key : undefined
    }
    if (hasBrokenTail(bytes, start, found.at(-1))) broken = key
  }
  if (broken !== undefined) throw damaged(broken, groups.at(-1)?.end ?? log.folded)
  return groups.flatMap((group) => group.entries)
}

/**
 * Of groups that all name the same predecessor only the last one was acknowledged: the others'
 * writes failed.
 */
function dropFailed(groups: DecodedGroup[], after: number): void {
  for (let last = groups.at(-1); last !== undefined; last = groups.at(-1)) {
    if (last.end === after || last.after !== after) return
    groups.pop()
  }
}

const damaged = (key: string, position: number): AkidbError =>
  new AkidbError(
    'INTEGRITY',
    `the write-ahead log is damaged at or before ${key}: entries after ${position} are gone`,
    {
      hint: 'Restore the state folder, or remove its folder "wal" to go on without these rows.',
      details: { key, position },
    },
  )

/**
 * The log of one epoch as its owner writes it. Positions only grow: none is used twice, even after
 * a failed write.
 */
export class LogWriter {
  readonly #state: ObjectStore
  readonly #collectionId: string
  readonly #epoch: number
  /** Where the piece begins. */
  #start = 0
  /** Bytes of the piece. */
  #bytes = 0
  /** Where the last durable group ended. */
  #after = 0
  /** Where what was left by the last failed write may end. */
  #spent = 0

  constructor(state: ObjectStore, collectionId: string, epoch: number) {
    this.#state = state
    this.#collectionId = collectionId
    this.#epoch = epoch
  }

  /** Where the last durable group ended. */
  get length(): number {
    return this.#after
  }

  /**
   * Where what failed writes left may end: it is behind the durable groups that came before. A
   * commit of those names it too, else it would come back as open entries.
   */
  get spent(): number {
    return this.#spent
  }

  /** Appends one group. Durable when it resolves. @returns where its first entry begins */
  async append(entries: readonly Uint8Array[]): Promise<number> {
    const key = `${epochPrefix(this.#collectionId, this.#epoch)}${digits(this.#start)}`
    const bytes = Buffer.concat([encodeGroupRecord(this.#after, entries), ...entries])
    try {
      await this.#state.append(key, bytes, this.#bytes)
    } catch (error) {
      // Who committed meanwhile may have taken the part that was written as seen: those positions
      // are spent.
      this.#start += this.#bytes + bytes.byteLength
      this.#bytes = 0
      this.#spent = this.#start
      throw error
    }
    const first = this.#start + this.#bytes + GROUP_RECORD_BYTES
    this.#bytes += bytes.byteLength
    this.#after = this.#start + this.#bytes
    return first
  }

  /** The next group begins a new piece; pieces that end at or before `folded` are removed. */
  async rotate(folded: number): Promise<void> {
    this.#start += this.#bytes
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
