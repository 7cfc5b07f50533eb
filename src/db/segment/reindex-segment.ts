import type { IndexParameters, Schema } from '../../core/schema.ts'
import type { SegmentEntry } from '../../format/manifest.ts'
import { NO_SOURCE } from '../../format/origin-section.ts'
import type { Environment } from '../states/environment.ts'
import { reserveBuild } from './build-memory.ts'
import { openRowCursor } from './row-cursor.ts'
import {
  buildParameters,
  byRole,
  indexParts,
  isLarge,
  type SegmentTargets,
  writePart,
} from './segment-blobs.ts'
import { type NewSegment, SegmentBuilder } from './segment-builder.ts'
import type { SegmentReader } from './segment-reader.ts'
import { payloadObject, vectorSpecOf } from './view.ts'

export interface ReindexPlan {
  readonly schema: Schema
  readonly index: IndexParameters
  readonly targets: SegmentTargets
}

/** Whether both have codes of one form: a segment's are read as its collection's index says. */
export const haveSameCodes = (a: IndexParameters, b: IndexParameters): boolean =>
  (a.quantization ?? 'int8') === (b.quantization ?? 'int8')

/** Whether a graph that is built with one is what the other says, byte for byte. */
export const haveSameIndex = (a: IndexParameters, b: IndexParameters): boolean =>
  a.type === b.type && a.m === b.m && a.efConstruction === b.efConstruction && haveSameCodes(a, b)

/** Whether a segment's index has blobs of its own, so that the others can stay as they are. */
export const isIndexApart = ({ rows, blobs }: SegmentEntry, schema: Schema): boolean =>
  isLarge(rows, vectorSpecOf(schema)) && blobs.some(({ role }) => role === 'vectors')

/**
 * Builds a segment's index anew, its graph too: the same rows in the same order, dead ones
 * included, so that tombstones keep their meaning. The bytes are those of a segment that was
 * written with that index at once.
 *
 * @throws INTEGRITY where a blob that is read is missing or damaged; as IndexBuilder.build
 */
export async function reindexSegment(reader: SegmentReader, plan: ReindexPlan): Promise<Reindexed> {
  const apart = isIndexApart(reader.entry, plan.schema)
  return apart ? await newIndex(reader, plan) : await newPack(reader, plan)
}

/** What of a segment's entry is another than before. */
export type Reindexed = Pick<NewSegment, 'blobs' | 'measured'>

/** A segment with the index that was built anew for it. */
export function withIndex<T extends Reindexed>(segment: T, { blobs, measured }: Reindexed): T {
  const { measured: _, ...former } = segment
  return { ...former, blobs, ...(measured === undefined ? {} : { measured }) } as T
}

/**
 * Has open segments make room for building a segment's index anew.
 *
 * @throws as reserveBuild
 */
export function reserveReindex(
  environment: Environment,
  entry: SegmentEntry,
  { schema, index }: Pick<ReindexPlan, 'schema' | 'index'>,
): void {
  const collected = !isIndexApart(entry, schema)
  reserveBuild(environment, { schema, index, rows: entry.rows, collected })
}

/** Of a large segment only vectors are read, and only codes and graph are written. */
async function newIndex(
  reader: SegmentReader,
  { schema, index, targets }: ReindexPlan,
): Promise<Reindexed> {
  const spec = vectorSpecOf(schema)
  if (spec === undefined) throw new Error('a segment without vectors')
  const { rows } = reader
  const { dimension, metric } = spec
  const pieces = (await reader.vectorRows(spec)).pieces()
  const built = await targets
    .builder()
    .build({ rows, dimension, metric, pieces }, buildParameters(index, true), targets.signal)
  const blobs = reader.entry.blobs.filter(({ role }) => role !== 'codes' && role !== 'graph')
  for (const part of indexParts(built)) {
    blobs.push(await writePart(targets, { rows, dimension }, part))
  }
  const { measured } = built
  return { blobs: blobs.sort(byRole), ...(measured === undefined ? {} : { measured }) }
}

/** A small one is a single blob, which is written anew. */
async function newPack(
  reader: SegmentReader,
  { schema, index, targets }: ReindexPlan,
): Promise<Reindexed> {
  const spec = vectorSpecOf(schema)
  // Payloads stay as they are, too: a blob of their own keeps its digest.
  const tier = await reader.payloadTier()
  const builder = new SegmentBuilder({ schema, index, withGraph: true, tier })
  const vectors = spec === undefined ? undefined : await openRowCursor(reader, spec)
  const [ids, origin] = [await reader.ids(), await reader.origin()]
  for (let row = 0; row < reader.rows; row++) {
    builder.add({
      id: ids.id(row),
      vector: await vectors?.at(row),
      payload: payloadObject(await reader.payload(row)),
      source: origin.sources[row] ?? NO_SOURCE,
      position: origin.rows[row] ?? 0,
    })
  }
  return await builder.finish(targets)
}
