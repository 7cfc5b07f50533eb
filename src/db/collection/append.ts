import { limits } from '../../core/limits.ts'
import type { FieldType, IndexParameters, Schema } from '../../core/schema.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { CommitAct, LogPosition, Manifest, SegmentEntry } from '../../format/manifest.ts'
import { DeadRows, killRepeats, killReplaced, withSegments } from '../segment/hiding.ts'
import {
  haveSameCodes,
  haveSameIndex,
  reindexSegment,
  reserveReindex,
  withIndex,
} from '../segment/reindex-segment.ts'
import type { NewSegment } from '../segment/segment-builder.ts'
import type { Act } from '../states/acts.ts'
import { commitManifest, type NextState } from '../states/commit.ts'
import type { WriterPin } from '../states/pins.ts'
import { type NewSource, withSources } from '../states/sources.ts'
import { type CollectionCore, commitLockName, noCollection } from './collection-core.ts'

export interface AppendedSegment extends NewSegment {
  /** Indexes into `sources`, in the order of the origin section's local ordinals. */
  readonly sources: readonly number[]
}

/** Segments to be added: rows that hide older rows of the same ids. */
export interface AppendInput {
  readonly kind: CommitAct
  /** The collection that the rows were made for; another one of that name is a CONFLICT. */
  readonly collection: string
  readonly schema: Schema
  /** What the segments were built with. */
  readonly index: IndexParameters
  readonly segments: readonly AppendedSegment[]
  readonly sources: readonly NewSource[]
  /** Ids deleted along with it (a log owner's fold). */
  readonly deletedIds?: readonly string[]
  readonly epoch?: number
  readonly log?: LogPosition
  /** Told, at every attempt, how many rows of each source replaced an older one. */
  readonly onUpdated?: (bySource: readonly (number | undefined)[]) => void
  /** Commits on this head or not at all; elsewhere CONFLICT with details.why HEAD_MOVED. */
  readonly onlyOn?: string
  /** Refuses a head of a higher epoch (a log owner that was replaced). */
  readonly ownEpoch?: number
  /** See CommitRequest. */
  readonly onQuiet?: () => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Commits new segments; computed again against each newer head. Where the collection was given
 * another index meanwhile, theirs are made anew: a state says of all its graphs what they were
 * built with, and who takes it to another site without them builds them by that.
 *
 * @throws CONFLICT, LIMIT
 */
export async function commitAppend(
  core: CollectionCore,
  act: Act,
  pin: WriterPin,
  input: AppendInput,
): Promise<Manifest> {
  const { environment } = core
  let { index, segments } = input
  for (let attempt = 0; attempt < limits.commitAttemptsMax; attempt++) {
    let other: IndexParameters | undefined
    const committed = await commitManifest(environment, {
      manifests: core.manifests,
      name: core.name,
      lock: commitLockName(input.collection),
      kind: input.kind,
      act,
      pin,
      ...(input.onQuiet === undefined ? {} : { onQuiet: input.onQuiet }),
      next: async (head) => {
        checkHead(core.name, input, head)
        other = haveSameIndex(index, head.state.index) ? undefined : head.state.index
        return other === undefined
          ? await nextState(core, pin, { ...input, segments }, head)
          : undefined
      },
    })
    if (committed === undefined) throw noCollection(core.name)
    if (other === undefined) return committed
    segments = await withIndexOf(other, core, pin, { ...input, index, segments })
    index = other
  }
  throw conflict(core.name, 'its index changed meanwhile, again and again')
}

/** The segments with codes, and graphs where they have one, of another index. */
async function withIndexOf(
  other: IndexParameters,
  core: CollectionCore,
  pin: WriterPin,
  { schema, index, segments, signal }: AppendInput,
): Promise<AppendedSegment[]> {
  const { store, builder } = core.environment
  const made: AppendedSegment[] = []
  for (const segment of segments) {
    const entry: SegmentEntry = { ...segment, key: 0 }
    const reader = core.reader(entry)
    if (haveSameCodes(index, other) && !(await reader.hasGraph())) {
      made.push(segment)
      continue
    }
    const plan = { schema, index: other, targets: { store, pin, builder, signal } }
    reserveReindex(core.environment, entry, plan)
    made.push(withIndex(segment, await reindexSegment(reader, plan)))
  }
  return made
}

async function nextState(
  core: CollectionCore,
  pin: WriterPin,
  input: AppendInput,
  head: Manifest,
): Promise<NextState> {
  const { store } = core.environment
  const withNew = await withSources(store, pin, head.state, input.sources)
  const added: SegmentEntry[] = input.segments.map((segment, i) => ({
    key: head.state.nextSegment + i,
    rows: segment.rows,
    blobs: segment.blobs,
    sources: segment.sources.map((index) => head.state.nextSource + index),
    payloadBytes: segment.payloadBytes,
    ...(segment.measured === undefined ? {} : { measured: segment.measured }),
  }))
  const dead = new DeadRows(store)
  const deleted = await killIds(core, head.state.segments, input.deletedIds ?? [], dead)
  const replaced = added.map((entry, i) => ({ entry, sources: input.segments[i]?.sources ?? [] }))
  const bySource = await hideOlder(core, head.state.segments, replaced, dead)
  const updated = bySource.reduce((sum, count) => sum + (count ?? 0), 0)
  input.onUpdated?.(bySource)
  const segments = await dead.apply([...head.state.segments, ...added], pin)
  const rows = added.reduce((sum, segment) => sum + segment.rows, 0)
  const state = {
    ...withSegments(withNew, segments),
    nextSegment: head.state.nextSegment + added.length,
    schema: mergeFields(head.state.schema, input.schema),
  }
  return {
    state,
    changed: { inserted: rows - updated, updated, deleted },
    ...(input.epoch === undefined ? {} : { epoch: input.epoch }),
    log: input.log ?? (await seenLog(core, head)),
  }
}

/** Existing log entries lose to this commit's rows. */
export async function seenLog(core: CollectionCore, head: Manifest): Promise<LogPosition> {
  const seen = (await core.log?.length(head)) ?? 0
  const base = logOf(head)
  return { ...base, seen: Math.max(base.seen, seen) }
}

/** Nothing of the log that is not in segments: every open entry wins over this commit. */
export const foldedLog = (head: Manifest): LogPosition => {
  const base = logOf(head)
  return { ...base, seen: base.folded }
}

const logOf = ({ commit }: Manifest): LogPosition =>
  commit.log ?? { epoch: commit.epoch, folded: 0, seen: 0 }

function checkHead(
  name: string,
  input: AppendInput,
  head: Manifest | undefined,
): asserts head is Manifest {
  checkSame(name, input.collection, head)
  if (input.ownEpoch !== undefined && head.commit.epoch > input.ownEpoch) {
    throw conflict(name, `another log owner (epoch ${head.commit.epoch}) took over`)
  }
  if (input.onlyOn !== undefined && input.onlyOn !== head.digest) throw headMoved(name)
  checkFollowing(name, head, input.kind)
  if (vectorsText(head.state.schema) !== vectorsText(input.schema)) {
    throw conflict(name, 'its schema changed meanwhile')
  }
}

/** What a collection holds in vectors, whatever order they are named in. */
const vectorsText = ({ vectors }: Schema): string =>
  JSON.stringify(Object.entries(vectors).sort(([a], [b]) => (a < b ? -1 : 1)))

/**
 * What was decided about one collection is not done to another one that took its name meanwhile.
 *
 * @param collection id of the one that it was decided about
 * @throws CONFLICT
 */
export function checkSame(
  name: string,
  collection: string,
  head: Manifest | undefined,
): asserts head is Manifest {
  if (head === undefined || head.state.dropped === true) {
    throw conflict(name, 'it was dropped meanwhile')
  }
  if (head.commit.collection === collection) return
  throw conflict(name, 'another collection of that name took its place')
}

/** What an append with `onlyOn` throws where another writer was faster. */
export const headMoved = (name: string): AkidbError =>
  new AkidbError('CONFLICT', `"${name}" changed meanwhile`, { details: { why: HEAD_MOVED } })

export const isHeadMoved = (error: unknown): boolean =>
  hasCode(error, 'CONFLICT') && error.details.why === HEAD_MOVED

const HEAD_MOVED = 'the head moved'

/** An imported collection follows its origin: changing it here would fork it (design §6). */
export function checkFollowing(name: string, head: Manifest, kind: CommitAct): void {
  const origin = head.commit.origin
  const allowed: readonly CommitAct[] = ['import', 'drop', 'owner']
  if (origin === undefined || origin.diverged === true || allowed.includes(kind)) return
  throw new AkidbError(
    'CONFLICT',
    `collection "${name}" follows another site and is not changed here`,
    {
      hint: 'Import it again with --diverge to go your own way with it.',
      details: { collection: name, origin: origin.headDigest },
    },
  )
}

const conflict = (name: string, why: string): AkidbError =>
  new AkidbError('CONFLICT', `cannot change "${name}": ${why}`, {
    hint: 'Run the command again.',
  })

async function hideOlder(
  core: CollectionCore,
  existing: readonly SegmentEntry[],
  added: readonly AddedSegment[],
  dead: DeadRows,
): Promise<number[]> {
  const updated: number[] = []
  const earlier = existing.map((entry) => ({ entry, reader: core.reader(entry) }))
  for (const { entry, sources } of added) {
    const reader = core.reader(entry)
    const origin = await reader.origin()
    const count = (row: number) => {
      const source = sources[origin.sources[row] as number] ?? NO_SOURCE_INDEX
      updated[source] = (updated[source] ?? 0) + 1
    }
    await killRepeats(entry, reader, dead, count)
    for (const older of earlier) await killReplaced(older, reader, dead, count)
    earlier.push({ entry, reader })
  }
  return updated
}

/** Where rows that came from no file are counted. */
const NO_SOURCE_INDEX = 0

interface AddedSegment {
  readonly entry: SegmentEntry
  /** Indexes into the append's sources. */
  readonly sources: readonly number[]
}

async function killIds(
  core: CollectionCore,
  entries: readonly SegmentEntry[],
  ids: readonly string[],
  dead: DeadRows,
): Promise<number> {
  let killed = 0
  for (const entry of ids.length === 0 ? [] : entries) {
    const table = await core.reader(entry).ids()
    for (const id of ids) {
      for (const row of table.rowsOf(Buffer.from(id, 'utf8'))) {
        if (await dead.kill(entry, row)) killed++
      }
    }
  }
  return killed
}

/** The head's schema with the fields that are new. A field keeps the type that it has. */
function mergeFields(now: Schema, made: Schema): Schema {
  const fields: Record<string, FieldType> = Object.create(null)
  Object.assign(fields, now.fields)
  for (const [name, type] of Object.entries(made.fields)) fields[name] ??= type
  return { ...now, fields }
}
