import { limits } from '../core/limits.ts'
import type { CodesMeasure, IndexParameters } from '../core/schema.ts'
import { encodeCodes } from './codes.ts'
import { encodeGraph } from './graph.ts'
import type { KernelMemory } from './kernel/wasm.ts'
import { KernelIndex } from './kernel-index.ts'
import { graphLevels } from './levels.ts'
import { measureCodes } from './measure-codes.ts'
import { mendGraph } from './mend-graph.ts'
import { checkQuantization, F32_WALK_DIMENSION_MAX } from './quantization.ts'
import { Segment } from './segment.ts'
import type { BuiltIndex, SegmentVectors } from './vector-index.ts'

/** How to build, beside the parameters that a manifest records. */
export interface BuildOptions {
  /** Rows from which a segment gets a graph; default limits.graphRowsMin. */
  readonly graphRowsMin?: number
}

/**
 * Builds a segment's index on the calling thread: codes, and a graph where the parameters and the
 * number of rows call for one. The bytes are those that any number of workers would make. Errors:
 * BAD_INPUT (pieces do not add up, NaN or infinity), USAGE (vectors too short for the
 * quantization), LIMIT, NO_SPACE.
 */
export function buildIndexSync(
  vectors: SegmentVectors,
  parameters: IndexParameters,
  options: BuildOptions = {},
): BuiltIndex {
  const segment = createForBuild(vectors, parameters, { ...options, threads: 1 })
  segment.loadRows(vectors.pieces, 'BAD_INPUT')
  const codes = prepareBuild(segment)
  const measured = measureBuilt(segment)
  const built = measured === undefined ? { codes } : { codes, measured }
  if (!canBuildGraph(segment)) return built
  segment.exports.build(segment.plan.index, segment.context.address, 0, 1)
  return { ...built, graph: finishGraph(segment) }
}

/** What is left to do on one thread once all rows are linked. @returns the graph's bytes */
export function finishGraph(segment: Segment): Uint8Array {
  mendGraph(segment)
  return encodeGraph(segment)
}

/** A segment in shared memory with room for its rows, and for a graph where one is wanted. */
export function createForBuild(
  { rows, dimension, metric }: Omit<SegmentVectors, 'pieces'>,
  parameters: IndexParameters,
  options: BuildOptions & { readonly threads: number; readonly memory?: KernelMemory | undefined },
): Segment {
  const form = parameters.quantization ?? 'int8'
  checkQuantization(form, dimension)
  const wanted =
    parameters.type === 'hnsw' && rows >= Math.max(1, options.graphRowsMin ?? limits.graphRowsMin)
  const contexts = wanted ? options.threads : 1
  const shape = { rows, dimension, metric, form, codes: 'computed', contexts } as const
  return wanted
    ? createWithGraph(shape, parameters, options.memory)
    : Segment.create(shape, options.memory)
}

/** Measures and codes the rows; returns the codes' bytes. */
export function prepareBuild(segment: Segment): Uint8Array {
  segment.measure('BAD_INPUT')
  segment.quantise()
  return encodeCodes(segment)
}

/**
 * How good a prepared segment's codes are. Undefined for int8, whose scans with rescoring are as
 * good as exact, and where there are too few rows to tell.
 */
export const measureBuilt = (segment: Segment): CodesMeasure | undefined =>
  segment.form === 'int8' ? undefined : measureCodes(new KernelIndex(segment))

/**
 * Whether a prepared segment gets its graph. Short vectors of extreme norms do not: int8 is too
 * coarse to walk them and float32 cannot hold their distances, so they are scanned.
 */
export function canBuildGraph(segment: Segment): boolean {
  if (segment.plan.shape.graph === undefined) return false
  return !(segment.wide && segment.dimension <= F32_WALK_DIMENSION_MAX)
}

function createWithGraph(
  shape: Omit<Parameters<typeof Segment.create>[0], 'graph'>,
  { m, efConstruction }: IndexParameters,
  memory: KernelMemory | undefined,
): Segment {
  const levels = graphLevels(shape.rows, m)
  const graph = { m, efConstruction, upperWords: levels.upperWords, build: true }
  const segment = Segment.create({ ...shape, graph }, memory)
  segment.setLevels(levels)
  return segment
}
