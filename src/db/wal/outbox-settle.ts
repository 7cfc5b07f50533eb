import { runningSha256 } from '../../core/digest.ts'
import { stringifyJson } from '../../core/json.ts'
import { hasCode } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { claimOf } from './claim.ts'
import type { LogEntry, PlacedEntry } from './log-entry.ts'
import type { NamedLog } from './log-file.ts'
import { type OutboxLog, outboxLogs, readMark, readOutbox, removeOutbox } from './outbox.ts'

/** Folder of the state folder in which rows are kept that did not get into the bucket. */
export const UNSENT_FOLDER = 'unsent/'
/** Entries that become text at once. */
const ENTRIES_A_PIECE = 256
/** Looks at a log that its owner is changing before its damage is believed. */
const ATTEMPTS_MAX = 16

/**
 * Ends what former owners of this state folder left of a collection's logs, but for the log of the
 * head's epoch, which the next takeover commits. What another machine's takeover came before is
 * never applied late, over newer rows: it is kept in `unsent/<name>/<epoch>-<16 hex>.jsonl`, and
 * told of, by a warning and in the audit log.
 *
 * Only whoever holds the lock of log owners calls this.
 *
 * @param head undefined where there is no such collection any more
 * @throws INTEGRITY where what was acknowledged is damaged
 */
export async function settleOutbox(
  core: CollectionCore,
  head: Manifest | undefined,
): Promise<void> {
  for (const log of await outboxLogs(core.environment.state, core.name)) {
    const isNext = isOfHead(log, head) && log.epoch === head?.commit.epoch
    if (!isNext) await settleLog(core, log, head)
  }
}

/** The same of one log, to which nothing is written any more. */
export async function settleLog(
  core: CollectionCore,
  { name, collection, epoch }: OutboxLog,
  head: Manifest | undefined,
): Promise<void> {
  const { state } = core.environment
  const log = { name, collection, epoch }
  const unsent = await readOutbox(state, log, Math.min(await settledTo(core, log), SAFE))
  if (unsent.length > 0) {
    const isLive = isOfHead(log, head)
    await keep(core, log, unsent, isLive ? { replacedBy: head?.commit.epoch } : { dropped: true })
  }
  await removeOutbox(state, log)
}

const isOfHead = ({ collection }: OutboxLog, head: Manifest | undefined): boolean =>
  head !== undefined && head.state.dropped !== true && head.commit.collection === collection

const SAFE = Number.MAX_SAFE_INTEGER

/**
 * Up to where a log's entries have found their place, by the manifests that are left: in segments;
 * in the bucket, before another owner came; or seen by who dropped the collection. All of it where
 * this machine took the log over itself: a takeover commits what lies in the outbox.
 */
async function settledTo(core: CollectionCore, log: OutboxLog): Promise<number> {
  const { sent, folded } = await readMark(core.environment.state, log)
  let next: number | undefined
  // What reached the bucket after the drop is read by nobody.
  let seen: number | undefined
  for await (const { commit, state } of core.manifests.history()) {
    if (commit.collection !== log.collection) continue
    if (commit.epoch > log.epoch) {
      next = commit.epoch
      continue
    }
    // What came after the drop took none of its rows over.
    if (state.dropped === true) next = undefined
    if (next !== undefined && (await isOurs(core, next))) return SAFE
    if (commit.epoch < log.epoch) break
    const end = commit.log?.folded ?? 0
    if (state.dropped !== true) return Math.max(folded, end, Math.min(sent, seen ?? sent))
    seen ??= end
  }
  const isKnown = next !== undefined || seen !== undefined
  return isKnown ? Math.max(folded, Math.min(sent, seen ?? sent)) : folded
}

async function isOurs(core: CollectionCore, epoch: number): Promise<boolean> {
  const { logId } = await core.environment.audit()
  return (await claimOf(core, epoch))?.logId === logId
}

async function keep(
  core: CollectionCore,
  { name, collection, epoch }: OutboxLog,
  entries: readonly PlacedEntry[],
  why: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { environment } = core
  const digest = runningSha256()
  const staged = await environment.state.stage()
  let file: string
  try {
    for (let at = 0; at < entries.length; at += ENTRIES_A_PIECE) {
      const some = entries.slice(at, at + ENTRIES_A_PIECE)
      const lines = Buffer.from(some.map(({ entry }) => `${textOf(entry)}\n`).join(''))
      digest.update(lines)
      await staged.write(lines)
    }
    // The same rows have the same name: what is kept twice, after a crash, is one file.
    file = `${UNSENT_FOLDER}${name}/${epoch}-${digest.hex().slice(0, 16)}.jsonl`
    await staged.commit(file)
  } catch (error) {
    await staged.abort()
    throw error
  }
  const rows = entries.length
  const details = { rows, epoch, id: collection, file, ...why }
  const { actor } = environment
  const event = { act: 'upsert.unsent', phase: 'event', actor, collection: name, details } as const
  await (await environment.audit()).append([event])
  environment.warn({
    code: 'ROWS_UNSENT',
    message:
      `${rows} acknowledged writes to "${name}" are not known to be in the bucket: another owner ` +
      `came, or it was dropped; they are kept in ${environment.state.localPath(file) ?? file}`,
  })
}

/** `{"id","vector","payload"}`, or `{"id","deleted":true}`; the later of one id counts. */
function textOf(entry: LogEntry): string {
  if (entry.kind === 'delete') return stringifyJson({ id: entry.id, deleted: true })
  const { id, vector, payload } = entry.row
  return stringifyJson({ id, ...(vector && { vector: [...vector] }), payload })
}

/** Of each log that is not wholly in the bucket, how many rows, and since when. */
export interface UnsentRows {
  readonly collection: string
  readonly rows: number
  /** When the oldest was acknowledged; 0 where that is not known. */
  readonly sinceMs: number
}

/** Rows at risk as any process of this machine sees them. @throws INTEGRITY */
export async function unsentRows(
  { state }: Pick<CollectionCore['environment'], 'state'>,
  heads: ReadonlyMap<string, Manifest>,
): Promise<UnsentRows[]> {
  const found: UnsentRows[] = []
  for (const log of await outboxLogs(state)) {
    const commit: NamedLog | undefined = heads.get(log.name)?.commit
    const isOfHead = commit?.collection === log.collection && commit.epoch === log.epoch
    const folded = isOfHead ? (commit.log?.folded ?? 0) : 0
    const { rows, sinceMs } = await unsentOf(state, log, folded)
    if (rows > 0) found.push({ collection: log.name, rows, sinceMs })
  }
  return found
}

async function unsentOf(
  state: ObjectStore,
  log: OutboxLog,
  folded: number,
): Promise<Pick<UnsentRows, 'rows' | 'sinceMs'>> {
  for (let attempt = 1; ; attempt++) {
    const { sent, sinceMs } = await readMark(state, log)
    try {
      const { length } = await readOutbox(state, log, Math.max(sent, folded))
      return { rows: length, sinceMs }
    } catch (error) {
      // Its owner may have committed and removed a part of it: its mark said so before.
      const isMoved = attempt < ATTEMPTS_MAX && (await readMark(state, log)).sent !== sent
      if (!isMoved || !hasCode(error, 'INTEGRITY')) throw error
    }
  }
}

/** Files with rows that did not reach the bucket, by key in the state folder. */
export const unsentFiles = async ({
  state,
}: Pick<CollectionCore['environment'], 'state'>): Promise<string[]> =>
  (await Array.fromAsync(state.list(UNSENT_FOLDER))).map(({ key }) => key)
