import { limits } from '../../core/limits.ts'
import { eachAtOnce } from '../../core/slots.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { Commit, Manifest } from '../../format/manifest.ts'
import {
  type DecodedGroup,
  decodeGroups,
  encodeGroupRecord,
  GROUP_RECORD_BYTES,
  hasBrokenTail,
  type PlacedEntry,
} from './log-entry.ts'
import { type LogName, type LogPlace, logPlace } from './log-place.ts'

const digits = (value: number): string => String(value).padStart(20, '0')
const epochPrefix = (place: LogPlace, log: LogName, epoch: number): string =>
  `${place.prefix(log)}${digits(epoch)}-`

/** Where a log lies, or what says so (see logPlace). */
type LogSite = Parameters<typeof logPlace>[0] | LogPlace

const placeOf = (site: LogSite): LogPlace => ('prefix' in site ? site : logPlace(site))

/** A log as a head names it. */
export type NamedLog = LogName & Pick<Commit, 'epoch' | 'log'>

/** A piece of one epoch's log: it holds the bytes from `start` on. */
interface LogPiece {
  readonly key: string
  readonly start: number
  readonly bytes: number
  /** Store's clock, milliseconds since 1970. */
  readonly modifiedMs: number
}

/** Pieces in order. Between two of them lies what was never acknowledged, if anything. */
async function pieces(place: LogPlace, log: LogName, epoch: number): Promise<LogPiece[]> {
  const found: LogPiece[] = []
  const prefix = epochPrefix(place, log, epoch)
  for await (const { key, bytes, modifiedMs } of place.store.list(prefix)) {
    const start = startOf(key.slice(prefix.length))
    if (start !== undefined) found.push({ key, start, bytes, modifiedMs })
  }
  return found
}

/** Undefined for a name that we never give: it is not ours to judge. */
function startOf(name: string): number | undefined {
  const start = /^\d{20}$/.test(name) ? Number(name) : Number.NaN
  return Number.isSafeInteger(start) ? start : undefined
}

/** A piece of any collection's log. */
export interface FoundPiece {
  readonly key: string
  /** Id of the collection. */
  readonly collection: string
  readonly bytes: number
  /** Store's clock, milliseconds since 1970. */
  readonly modifiedMs: number
}

/** All pieces of the logs of these collections, and of those that had their names before. */
export async function* allPieces(
  site: LogSite,
  names: readonly string[],
): AsyncGenerator<FoundPiece> {
  const place = placeOf(site)
  for (const root of place.roots(names)) {
    for await (const { key, bytes, modifiedMs } of place.store.list(root)) {
      // A name that we never give is not ours to judge.
      const collection = PIECE.exec(key)?.[1]
      if (collection !== undefined) yield { key, collection, bytes, modifiedMs }
    }
  }
}

const PIECE = /\/([0-9a-f]{32})\/\d{20}-\d{20}$/

/** Bytes of an epoch's log so far, removed pieces included. */
export async function logLength(site: LogSite, log: NamedLog): Promise<number> {
  const last = (await pieces(placeOf(site), log, log.epoch)).at(-1)
  return last === undefined ? 0 : last.start + last.bytes
}

/** Whether the log of a head's epoch holds entries that no commit folded. */
export async function isLogOpen(site: LogSite, { commit }: Manifest): Promise<boolean> {
  return (await logLength(site, commit)) > (commit.log?.folded ?? 0)
}

/** When the oldest entry that no commit folded was written, by the store's clock. */
export async function openSinceMs(
  site: LogSite,
  { commit }: Manifest,
): Promise<number | undefined> {
  const found = await pieces(placeOf(site), commit, commit.epoch)
  const folded = commit.log?.folded ?? 0
  return found.find(({ start, bytes }) => start + bytes > folded)?.modifiedMs
}

/** Pieces that do not change any more, by key: of a store where each group is one object. */
export type PieceMemory = Map<string, Uint8Array>

/**
 * Entries that are still in the log, with their places. A group that was never acknowledged,
 * because its write broke off or failed, is left out as far as it is missing, and wholly where
 * another follows.
 *
 * @param memory pieces that were read before; those of other logs are dropped from it
 * @throws INTEGRITY where acknowledged entries are missing or damaged
 */
export async function readLog(
  site: LogSite,
  log: NamedLog,
  memory?: PieceMemory,
): Promise<PlacedEntry[]> {
  const place = placeOf(site)
  const folded = log.log?.folded ?? 0
  const groups: DecodedGroup[] = []
  // Where a later group follows, what is broken before it was never acknowledged.
  let broken: string | undefined
  // What is in segments need not be read, and of several removals the later may come first.
  const isOpen = ({ start, bytes }: LogPiece) => start + bytes > folded
  const found = (await pieces(place, log, log.epoch)).filter(isOpen)
  const bodies = await bodiesOf(place, found, memory)
  for (const [i, { key, start }] of found.entries()) {
    const bytes = bodies[i] ?? new Uint8Array()
    const decoded = decodeGroups(bytes, start)
    for (const group of decoded) {
      dropFailed(groups, group.after)
      const before = groups.at(-1)?.end
      const follows = before === undefined ? group.after <= folded : group.after === before
      if (!follows) throw damaged(place, key, before ?? folded)
      groups.push(group)
      broken = group.damaged ? key : undefined
    }
    if (hasBrokenTail(bytes, start, decoded.at(-1))) broken = key
  }
  if (broken !== undefined) throw damaged(place, broken, groups.at(-1)?.end ?? folded)
  return groups.flatMap((group) => group.entries)
}

/** What pieces hold; those that their owner folded and removed meanwhile hold nothing. */
async function bodiesOf(
  { store, appends }: LogPlace,
  found: readonly LogPiece[],
  memory: PieceMemory = new Map(),
): Promise<Uint8Array[]> {
  const bodies: Uint8Array[] = []
  const read = async ({ key, bytes }: LogPiece): Promise<Uint8Array> => {
    const known = memory.get(key)
    if (!appends && known?.byteLength === bytes) return known
    return await store.get(key).catch((error: unknown) => {
      if (hasCode(error, 'NOT_FOUND')) return new Uint8Array()
      throw error
    })
  }
  await eachAtOnce(found.entries(), appends ? 1 : limits.logReadsMax, async ([i, piece]) => {
    bodies[i] = await read(piece)
  })
  memory.clear()
  if (!appends) for (const [i, { key }] of found.entries()) memory.set(key, bodies[i] as Uint8Array)
  return bodies
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

const damaged = (place: LogPlace, key: string, position: number): AkidbError =>
  new AkidbError(
    'INTEGRITY',
    `the write-ahead log is damaged at or before ${key}: entries after ${position} are gone`,
    {
      hint: place.hint(key),
      details: { key, position },
    },
  )

/** Removes the pieces of an epoch's log that end at or before a position. */
export async function removePieces(site: LogSite, log: NamedLog, folded: number): Promise<void> {
  const place = placeOf(site)
  const old = await pieces(place, log, log.epoch)
  const done = old.filter(({ start, bytes }) => start + bytes <= folded)
  await eachAtOnce(done, limits.logReadsMax, async ({ key }) => {
    await place.store.delete(key)
  })
}

/** Key of the piece that begins at a position. */
export const pieceKey = (site: LogSite, log: NamedLog, start: number): string =>
  `${epochPrefix(placeOf(site), log, log.epoch)}${digits(start)}`

/** A group as it lies in a log. */
export interface WrittenGroup {
  /** Position of its first entry. */
  readonly first: number
  /** Its own. */
  readonly start: number
  readonly bytes: Uint8Array
}

/** How an owner writes its log: into one place, or first into the one and then into the other. */
export interface GroupWriter {
  readonly length: number
  readonly spent: number
  readonly isScattered: boolean
  readonly groupMs: number
  append(entries: readonly Uint8Array[]): Promise<WrittenGroup>
  rotate(folded: number): Promise<void>
}

/**
 * The log of one epoch as its owner writes it. Positions only grow: none is used twice, even after
 * a failed write.
 */
export class LogWriter implements GroupWriter {
  readonly #place: LogPlace
  readonly #log: LogName
  readonly #epoch: number
  /** Where the piece begins. */
  #start = 0
  /** Bytes of the piece. */
  #bytes = 0
  /** Where the last durable group ended. */
  #after = 0
  /** Where what was left by the last failed write may end. */
  #spent = 0
  /** Groups since the last rotation. */
  #groups = 0

  constructor(site: LogSite, { name, collection, epoch }: NamedLog) {
    this.#place = placeOf(site)
    this.#log = { name, collection }
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

  /** Whether there are so many objects that reading them takes long. */
  get isScattered(): boolean {
    return !this.#place.appends && this.#groups >= limits.logFoldGroups
  }

  /** Least time between two groups. */
  get groupMs(): number {
    return this.#place.groupMs
  }

  /** Appends one group. Durable when it resolves. */
  async append(entries: readonly Uint8Array[]): Promise<WrittenGroup> {
    const { appends, store } = this.#place
    if (!appends) this.#nextPiece()
    const key = `${epochPrefix(this.#place, this.#log, this.#epoch)}${digits(this.#start)}`
    const bytes = Buffer.concat([encodeGroupRecord(this.#after, entries), ...entries])
    try {
      if (appends) await store.append(key, bytes, this.#bytes)
      else if ((await store.put(key, bytes)) === 'exists') throw taken(key)
    } catch (error) {
      // Who committed meanwhile may have taken the part that was written as seen: those positions
      // are spent. What was sent to a bucket may still arrive.
      this.#start += this.#bytes + bytes.byteLength
      this.#bytes = 0
      this.#spent = this.#start
      throw error
    }
    const start = this.#start + this.#bytes
    this.#bytes += bytes.byteLength
    this.#after = this.#start + this.#bytes
    this.#groups++
    return { first: start + GROUP_RECORD_BYTES, start, bytes }
  }

  /** The next group begins a new piece; pieces that end at or before `folded` are removed. */
  async rotate(folded: number): Promise<void> {
    this.#nextPiece()
    this.#groups = 0
    await removePieces(this.#place, { ...this.#log, epoch: this.#epoch }, folded)
  }

  #nextPiece(): void {
    this.#start += this.#bytes
    this.#bytes = 0
  }
}

/** An epoch has one owner: whoever else writes under it is a copy of its machine. */
const taken = (key: string): AkidbError =>
  new AkidbError('CONFLICT', `${key} was written by somebody else`, {
    hint: 'A copy of this machine may be running. Stop one of them, and start the other again.',
    details: { key },
  })

/** Removes the logs of earlier epochs, whose rows are in segments. */
export async function removeOldLogs(site: LogSite, log: NamedLog): Promise<void> {
  const place = placeOf(site)
  const own = epochPrefix(place, log, log.epoch)
  const old: string[] = []
  for await (const { key } of place.store.list(place.prefix(log))) if (key < own) old.push(key)
  await eachAtOnce(old, place.appends ? 1 : limits.logReadsMax, async (key) => {
    await place.store.delete(key)
  })
}
