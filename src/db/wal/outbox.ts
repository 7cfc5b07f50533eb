import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { type Check, object, ShapeError, text, whole } from '../../core/shape.ts'
import { hasCode } from '../../errors/errors.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import type { PlacedEntry } from './log-entry.ts'
import { logLength, type NamedLog, readLog } from './log-file.ts'
import { folderHint, type LogName, type LogPlace } from './log-place.ts'

// Single writes to a store in a bucket that are acknowledged in the state folder:
//
//   outbox/<name>/<collection id>/<epoch>-<position>   groups, as in the bucket, with equal places
//   outbox/<name>/<collection id>/<epoch>.json         what of them is in the bucket: SentMark

const OUTBOX = 'outbox/'
const KEY =
  /^outbox\/([A-Za-z0-9_][A-Za-z0-9._-]{0,127})\/([0-9a-f]{32})\/(\d{20})(-\d{20}|\.json)$/

export const outboxPlace = (state: ObjectStore): LogPlace => ({
  store: state,
  prefix: ({ name, collection }) => `${OUTBOX}${name}/${collection}/`,
  roots: () => [OUTBOX],
  appends: true,
  groupMs: 0,
  hint: folderHint,
})

/** The log of one owner, as it lies in its state folder. */
export type OutboxLog = LogName & { readonly epoch: number }

/** What of a log has reached the bucket. It may be older than the truth, never newer. */
export interface SentMark {
  /** Up to where every group was there while nobody else owned the log. */
  readonly sent: number
  /** Up to where it is in segments. */
  readonly folded: number
  /** When the oldest one behind it was acknowledged, milliseconds since 1970; 0: there was none. */
  readonly sinceMs: number
}

const markShape: Check<SentMark & { readonly check: string }> = object({
  sent: whole(),
  folded: whole(),
  sinceMs: whole(),
  check: text(),
})

const NO_MARK: SentMark = { sent: 0, folded: 0, sinceMs: 0 }

/** So that a mark of which a digit is damaged is none: rows must not count as sent by it. */
const checkOf = ({ sent, folded, sinceMs }: SentMark): string =>
  sha256Hex(Buffer.from(`${sent} ${folded} ${sinceMs}`)).slice(0, 16)

const markKey = (log: OutboxLog): string =>
  `${OUTBOX}${log.name}/${log.collection}/${String(log.epoch).padStart(20, '0')}.json`

/** Not fsynced: what a power failure takes of it is sent, or told of, once more. */
export async function writeMark(state: ObjectStore, log: OutboxLog, mark: SentMark): Promise<void> {
  const body = Buffer.from(JSON.stringify({ ...mark, check: checkOf(mark) }))
  await state.put(markKey(log), body, { mode: 'replace', durable: false })
}

export async function readMark(state: ObjectStore, log: OutboxLog): Promise<SentMark> {
  const key = markKey(log)
  try {
    const bytes = await getBounded(state, key, limits.ownerCommandBytesMax)
    const mark = markShape(JSON.parse(Buffer.from(bytes).toString('utf8')), key)
    return mark.check === checkOf(mark) ? mark : NO_MARK
  } catch (error) {
    const isNone = hasCode(error, 'NOT_FOUND', 'INTEGRITY')
    if (!isNone && !(error instanceof SyntaxError || error instanceof ShapeError)) throw error
    return NO_MARK
  }
}

/** The logs that lie there, of one collection or of all, in the order of their epochs. */
export async function outboxLogs(state: ObjectStore, name?: string): Promise<OutboxLog[]> {
  const found = new Map<string, OutboxLog>()
  for await (const { key } of state.list(name === undefined ? OUTBOX : `${OUTBOX}${name}/`)) {
    const [, of = '', collection = '', digits = ''] = KEY.exec(key) ?? []
    // A name that we never give is not ours to judge.
    const epoch = Number(digits)
    if (of === '' || !Number.isSafeInteger(epoch)) continue
    found.set(`${of} ${collection} ${digits}`, { name: of, collection, epoch })
  }
  return [...found.values()].sort((a, b) => a.epoch - b.epoch)
}

/**
 * Entries of a log there behind a position.
 *
 * @throws INTEGRITY where acknowledged entries are missing or damaged
 */
export async function readOutbox(
  state: ObjectStore,
  { name, collection, epoch }: OutboxLog,
  folded: number,
): Promise<PlacedEntry[]> {
  const log = { name, collection, epoch, log: { epoch, folded, seen: folded } }
  const entries = await readLog(outboxPlace(state), log)
  return entries.filter(({ end }) => end > folded)
}

/** Bytes of the log of a head's epoch there; 0 where its owner acknowledges in the bucket. */
export const outboxLength = (state: ObjectStore, log: NamedLog): Promise<number> =>
  logLength(outboxPlace(state), log)

/** Removes all of a log. */
export async function removeOutbox(
  state: ObjectStore,
  { name, collection, epoch }: OutboxLog,
): Promise<void> {
  const digits = String(epoch).padStart(20, '0')
  const keys: string[] = []
  const prefix = `${outboxPlace(state).prefix({ name, collection })}${digits}`
  for await (const { key } of state.list(prefix)) keys.push(key)
  // The mark goes last: without it all of the rest would count as not sent.
  const isMark = (key: string) => Number(key.endsWith('.json'))
  for (const key of keys.sort((a, b) => isMark(a) - isMark(b))) await state.delete(key)
}
