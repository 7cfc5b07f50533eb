import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { CollectionState, Manifest, SegmentEntry } from '../../format/manifest.ts'
import { NO_SOURCE } from '../../format/origin-section.ts'
import type { OnProgress } from '../api/api.ts'
import { checkFollowing } from '../collection/append.ts'
import { type CollectionCore, commitLockName } from '../collection/collection-core.ts'
import { fitsBuild, reserveBuild } from '../segment/build-memory.ts'
import { DeadRows, withSegments } from '../segment/hiding.ts'
import { haveSameIndex } from '../segment/reindex-segment.ts'
import { openRowCursor } from '../segment/row-cursor.ts'
import { type NewSegment, SegmentBuilder, segmentRowsOf } from '../segment/segment-builder.ts'
import { segmentIdentity } from '../segment/segment-reader.ts'
import { deadRows, payloadObject, vectorSpecOf } from '../segment/view.ts'
import { runAct } from '../states/acts.ts'
import { commitManifest, type NextState } from '../states/commit.ts'
import { createWriterPin, holdState, isStateRemoved, type WriterPin } from '../states/pins.ts'
import { type MergePlan, nextCompaction, nextMerge, nextTail } from './merge-policy.ts'

const RULES = { policy: nextMerge, compact: nextCompaction, tail: nextTail } as const

/** Merges of one call: far more than 4,096 segments can need. */
const MERGES_MAX = 10_000
/** Times that 'compact' begins again where another writer changed what it merged. */
const AGAIN_MAX = 8

export interface MergeOptions {
  /**
   * 'policy': what the pure rule calls for; 'compact': as few segments as fit; 'tail': the small
   * ones at the end become one.
   */
  readonly kind: 'policy' | 'compact' | 'tail'
  /** Merges to do at most. */
  readonly mergesMax?: number
  /** A merge of more input is left for another time. */
  readonly inputBytesMax?: number
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

/**
 * Merges until the rule calls for no more. Another writer that changes what is being merged ends it
 * quietly; 'compact' begins again with what there is then.
 *
 * @returns merges done
 * @throws LIMIT where 'compact' needs more memory than the budget; CONFLICT where writers got in
 *   its way again and again
 */
export async function mergeSegments(core: CollectionCore, options: MergeOptions): Promise<number> {
  const rule = RULES[options.kind]
  const mergesMax = options.mergesMax ?? MERGES_MAX
  let again = 0
  for (let done = 0; done < mergesMax; ) {
    options.signal?.throwIfAborted()
    const head = await core.head()
    const rowsMax = segmentRowsOf(vectorSpecOf(head.state.schema)?.dimension ?? 0)
    const plan = rule(head.state.segments, rowsMax)
    if (plan === undefined || inputBytes(head, plan) > (options.inputBytesMax ?? Infinity)) {
      return done
    }
    const inputs = head.state.segments.slice(plan.from, plan.to)
    const rows = inputs.reduce((sum, entry) => sum + liveRows(entry), 0)
    const build = { ...head.state, rows }
    // What the rule calls for can wait for a process that has the memory.
    if (options.kind !== 'compact' && !fitsBuild(core.environment, build)) return done
    reserveBuild(core.environment, build)
    try {
      await mergeOnce(core, head, plan, options)
      done++
    } catch (error) {
      if (hasCode(error, 'CONFLICT') && options.kind !== 'compact') return done
      if (!areInputsChanged(error) && !isStateRemoved(error)) throw error
      if (++again > AGAIN_MAX) throw error
    }
  }
  return mergesMax
}

const liveRows = ({ rows, tombstones }: SegmentEntry): number => rows - (tombstones?.count ?? 0)

const inputBytes = ({ state }: Manifest, { from, to }: MergePlan): number =>
  state.segments
    .slice(from, to)
    .flatMap((segment) => segment.blobs)
    .reduce((sum, blob) => sum + blob.bytes, 0)

/** Where the rows of one input went: old row → merged row, −1 where it was dead. */
type RowMap = Int32Array

async function mergeOnce(
  core: CollectionCore,
  head: Manifest,
  plan: MergePlan,
  options: MergeOptions,
): Promise<void> {
  const inputs = head.state.segments.slice(plan.from, plan.to)
  checkFollowing(core.name, head, 'merge')
  const details = { segments: inputs.length, rows: inputs.reduce((sum, s) => sum + s.rows, 0) }
  const act = { act: 'merge', collection: core.name, parent: head, details }
  await runAct(core.environment, act, async (running) => {
    const pin = createWriterPin(core.environment)
    try {
      await holdState(pin, core.manifests, head)
      const merged = await rewrite(core, head, inputs, pin, options)
      const manifest = await commitManifest(core.environment, {
        manifests: core.manifests,
        name: core.name,
        lock: commitLockName(head.commit.collection),
        kind: 'merge',
        act: running,
        pin,
        next: (now) => replace(core, pin, { before: head, inputs, merged }, now),
      })
      return {
        result: undefined,
        outcome: {
          version: manifest?.commit.version,
          manifest: manifest?.digest,
          stateRoot: manifest?.commit.stateRoot,
        },
      }
    } finally {
      await pin.release()
    }
  })
}

interface Merged {
  /** Undefined where no row was alive. */
  readonly segment: NewSegment | undefined
  readonly sources: readonly number[]
  readonly maps: readonly RowMap[]
}

async function rewrite(
  core: CollectionCore,
  head: Manifest,
  inputs: readonly SegmentEntry[],
  pin: WriterPin,
  options: MergeOptions,
): Promise<Merged> {
  const { schema, index } = head.state
  const builder = new SegmentBuilder({ schema, index, withGraph: true, tier: 'merged' })
  const sources: number[] = []
  const maps: RowMap[] = []
  for (const entry of inputs) {
    options.signal?.throwIfAborted()
    maps.push(await copyRows(core, entry, head.state, { builder, sources }))
    options.onProgress?.({ stage: 'merge', done: builder.rows, unit: 'rows' })
  }
  if (builder.rows === 0) return { segment: undefined, sources, maps }
  const { environment } = core
  const targets = { store: environment.store, pin, builder: environment.builder }
  return { segment: await builder.finish({ ...targets, signal: options.signal }), sources, maps }
}

async function copyRows(
  core: CollectionCore,
  entry: SegmentEntry,
  state: CollectionState,
  into: { builder: SegmentBuilder; sources: number[] },
): Promise<RowMap> {
  const reader = core.reader(entry)
  const spec = vectorSpecOf(state.schema)
  const vectors = spec === undefined ? undefined : await openRowCursor(reader, spec)
  const ids = await reader.ids()
  const origin = await reader.origin()
  const map: RowMap = new Int32Array(entry.rows)
  for (const row of await deadRows(core.environment.store, entry)) map[row] = -1
  for (let row = 0; row < entry.rows; row++) {
    if (map[row] === -1) continue
    map[row] = into.builder.rows
    const ordinal = entry.sources[origin.sources[row] as number]
    into.builder.add({
      id: ids.id(row),
      vector: await vectors?.at(row),
      payload: payloadObject(await reader.payload(row)),
      source: ordinal === undefined ? NO_SOURCE : localOf(into.sources, ordinal),
      position: origin.rows[row] as bigint,
    })
  }
  return map
}

function localOf(sources: number[], ordinal: number): number {
  const known = sources.indexOf(ordinal)
  return known >= 0 ? known : sources.push(ordinal) - 1
}

interface Replacement {
  readonly before: Manifest
  readonly inputs: readonly SegmentEntry[]
  readonly merged: Merged
}

/**
 * The state with the inputs replaced; rows that died since the merge began are dead in the merged
 * segment too.
 */
async function replace(
  core: CollectionCore,
  pin: WriterPin,
  { before, inputs, merged }: Replacement,
  head: Manifest | undefined,
): Promise<NextState> {
  const now = head?.state.segments ?? []
  const first = now.findIndex((entry) => entry.key === inputs[0]?.key)
  const same = inputs.every((input, i) => isSameSegment(input, now[first + i]))
  if (
    head === undefined ||
    first < 0 ||
    !same ||
    head.commit.collection !== before.commit.collection ||
    !haveSameIndex(head.state.index, before.state.index)
  ) {
    throw inputsChanged(core.name)
  }
  const died = await diedSince(core, now.slice(first, first + inputs.length), merged.maps)
  const { state } = head
  const base = { changed: { inserted: 0, updated: 0, deleted: 0 } }
  const rest = [now.slice(0, first), now.slice(first + inputs.length)] as const
  if (merged.segment === undefined) {
    return { ...base, state: withSegments(state, [...rest[0], ...rest[1]]) }
  }
  const entry: SegmentEntry = {
    key: state.nextSegment,
    rows: merged.segment.rows,
    blobs: merged.segment.blobs,
    sources: merged.sources,
    payloadBytes: merged.segment.payloadBytes,
    ...(merged.segment.measured === undefined ? {} : { measured: merged.segment.measured }),
  }
  const dead = new DeadRows(core.environment.store)
  for (const row of died) await dead.kill(entry, row)
  const segments = await dead.apply([...rest[0], entry, ...rest[1]], pin)
  return {
    ...base,
    state: { ...withSegments(state, segments), nextSegment: state.nextSegment + 1 },
  }
}

/** A revert sets the numbers of segments and sources back: an equal key alone says nothing. */
const isSameSegment = (a: SegmentEntry, b: SegmentEntry | undefined): boolean =>
  a.key === b?.key &&
  segmentIdentity(a) === segmentIdentity(b) &&
  a.sources.length === b.sources.length &&
  a.sources.every((ordinal, i) => ordinal === b.sources[i])

/**
 * Merged rows whose inputs died since the merge began.
 *
 * @throws CONFLICT where a revert brought rows back that were dead when it began: they are not in
 * the merge
 */
async function diedSince(
  core: CollectionCore,
  now: readonly SegmentEntry[],
  maps: readonly RowMap[],
): Promise<number[]> {
  const died: number[] = []
  for (const [i, map] of maps.entries()) {
    let stillDead = 0
    for (const row of await deadRows(core.environment.store, now[i] as SegmentEntry)) {
      const target = map[row] as number
      if (target < 0) stillDead++
      else died.push(target)
    }
    const deadBefore = map.reduce((count, target) => count + (target < 0 ? 1 : 0), 0)
    if (stillDead < deadBefore) throw inputsChanged(core.name)
  }
  return died
}

const inputsChanged = (name: string): AkidbError =>
  new AkidbError('CONFLICT', `segments of "${name}" changed during the merge`, {
    hint: 'Run it again when fewer writers are at work.',
    details: { why: INPUTS_CHANGED },
  })

const INPUTS_CHANGED = 'the segments changed'

const areInputsChanged = (error: unknown): boolean =>
  hasCode(error, 'CONFLICT') && error.details.why === INPUTS_CHANGED
