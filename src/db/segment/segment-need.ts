import { canStayOnDisk } from '../../ann/quantization.ts'
import { planSegment } from '../../ann/segment-plan.ts'
import type { IndexParameters, VectorSpec } from '../../core/schema.ts'
import type { BlobRole, SegmentEntry } from '../../format/manifest.ts'

/** What one segment takes of memory while it can be searched by vector. Bytes. */
export interface SegmentNeed {
  /** Float32 rows: what may stay on disk. */
  readonly vectors: number
  /** Codes with their factors. */
  readonly codes: number
  readonly links: number
  /** Ids, scratch space of the threads, and what a `pack` keeps. */
  readonly other: number
  /** Whether the rows can stay on disk at all. */
  readonly movable: boolean
}

/** What always has to be in memory. */
export const leastOf = ({ vectors, codes, links, other, movable }: SegmentNeed): number =>
  (movable ? 0 : vectors) + codes + links + other

/**
 * Computed from the manifest alone, before anything is read: the same for every process of so many
 * threads, and within a per cent of what is allocated.
 *
 * @param contexts threads that may search it at once
 */
export function segmentNeed(
  entry: Pick<SegmentEntry, 'rows' | 'blobs'>,
  spec: VectorSpec,
  parameters: IndexParameters,
  contexts: number,
): SegmentNeed {
  const { rows, blobs } = entry
  const { dimension, metric } = spec
  const bytesOf = (role: BlobRole): number => blobs.find((blob) => blob.role === role)?.bytes ?? 0
  const isPack = bytesOf('pack') > 0
  // Whether a pack has a graph stands inside it.
  const graph = isPack || bytesOf('graph') > 0 ? { graph: graphOf(rows, parameters) } : undefined
  const form = parameters.quantization ?? 'int8'
  const shape = { rows, dimension, metric, form, codes: 'stored', contexts, ...graph } as const
  const whole = planSegment(shape).bytes
  const plan = planSegment({ ...shape, onDisk: true })
  const scratchAt = plan.contexts[0]?.address ?? plan.bytes
  const linksAt = plan.arrays.links0 ?? scratchAt
  const foreign = parameters.type === 'hnswlib'
  const vectors = whole - plan.bytes
  return {
    vectors,
    codes: linksAt - (plan.arrays.vectors ?? linksAt),
    links: scratchAt - linksAt,
    other: plan.bytes - scratchAt + bytesOf('ids') + bytesOf('pack') + (foreign ? vectors : 0),
    movable: !isPack && !foreign && bytesOf('codes') > 0 && canStayOnDisk(dimension),
  }
}

/** What a build of so many rows takes in the kernel's memory. Bytes. */
export function buildNeed(
  rows: number,
  spec: VectorSpec,
  parameters: IndexParameters,
  threads: number,
): number {
  const { dimension, metric } = spec
  const graph =
    parameters.type === 'hnsw' ? { ...graphOf(rows, parameters), build: true } : undefined
  const form = parameters.quantization ?? 'int8'
  const shape = { rows, dimension, metric, form, contexts: threads }
  return planSegment(graph === undefined ? shape : { ...shape, graph }).bytes
}

/** About 1/m of the rows of each level reach the next (see graphLevels). */
const graphOf = (rows: number, { m, efConstruction }: IndexParameters) => ({
  m,
  efConstruction,
  upperWords: Math.ceil(((rows * (m + 1)) / (m - 1)) * 1.02) + 1_024,
  build: false,
})
