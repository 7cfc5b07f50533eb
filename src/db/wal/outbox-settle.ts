import { stringifyJson } from '../../core/json.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { randomHex } from '../states/environment.ts'
import { claimOf } from './claim.ts'
import type { LogEntry, PlacedEntry } from './log-entry.ts'
import type { NamedLog } from './log-file.ts'
import { type OutboxLog, outboxLogs, readMark, readOutbox, removeOutbox } from './outbox.ts'

/** Folder of the state folder in which rows are kept that did not get into the bucket. */
export const UNSENT_FOLDER = 'unsent/'
/** Entries that become text at once. */
const ENTRIES_A_PIECE = 256

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
  const { state } = core.environment
  for (const log of await outboxLogs(state, core.name)) {
    const isLive = head !== undefined && head.state.dropped !== true
    const isOfHead = isLive && log.collection === head.commit.collection
    if (isOfHead && log.epoch === head.commit.epoch) continue
    const committed = isOfHead ? await committedOf(core, log) : 0
    const { sent } = await readMark(state, log)
    const unsent = await readOutbox(state, log, Math.min(Math.max(sent, committed), SAFE))
    if (unsent.length > 0) {
      const why = isOfHead ? { replacedBy: head.commit.epoch } : { dropped: true }
      await keep(core, log, unsent, why)
    }
    await removeOutbox(state, log)
  }
}

const SAFE = Number.MAX_SAFE_INTEGER

/**
 * Up to where an epoch's log is in segments, by the manifests that are left; all of it where its
 * machine took it over itself: a takeover commits what lies in the outbox.
 */
async function committedOf(core: CollectionCore, { epoch }: OutboxLog): Promise<number> {
  let next: number | undefined
  for await (const { commit } of core.manifests.history()) {
    if (commit.epoch > epoch) {
      next = commit.epoch
      continue
    }
    if (next !== undefined && (await isOurs(core, next))) return SAFE
    return commit.epoch === epoch ? (commit.log?.folded ?? 0) : 0
  }
  return 0
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
  const file = `${UNSENT_FOLDER}${name}/${epoch}-${randomHex(environment, 8)}.jsonl`
  const staged = await environment.state.stage()
  try {
    for (let at = 0; at < entries.length; at += ENTRIES_A_PIECE) {
      const some = entries.slice(at, at + ENTRIES_A_PIECE)
      await staged.write(Buffer.from(some.map(({ entry }) => `${textOf(entry)}\n`).join('')))
    }
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
  { state }: CollectionCore['environment'],
  heads: ReadonlyMap<string, Manifest>,
): Promise<UnsentRows[]> {
  const found: UnsentRows[] = []
  for (const log of await outboxLogs(state)) {
    const commit: NamedLog | undefined = heads.get(log.name)?.commit
    const isOfHead = commit?.collection === log.collection && commit.epoch === log.epoch
    const { sent, sinceMs } = await readMark(state, log)
    const folded = isOfHead ? (commit.log?.folded ?? 0) : 0
    const rows = (await readOutbox(state, log, Math.max(sent, folded))).length
    if (rows > 0) found.push({ collection: log.name, rows, sinceMs })
  }
  return found
}

/** Files with rows that did not reach the bucket, by key in the state folder. */
export const unsentFiles = async ({
  state,
}: Pick<CollectionCore['environment'], 'state'>): Promise<string[]> =>
  (await Array.fromAsync(state.list(UNSENT_FOLDER))).map(({ key }) => key)
