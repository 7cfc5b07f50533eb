import { exactDistance, type Metric, normOf } from '../core/metric.ts'
import type { IndexParameters } from '../core/schema.ts'
import { AkidbError } from '../errors/errors.ts'
import { everyRow } from './exact-search.ts'
import { rescoreCount } from './quantization.ts'
import type { RowHits, RowSearch, SegmentVectors, VectorIndex } from './vector-index.ts'

/** The part of hnswlib-node that we use; the package is optional, so its types may be absent. */
interface HnswlibModule {
  readonly HierarchicalNSW: new (space: 'l2' | 'ip', dimension: number) => HnswlibIndex
}
interface HnswlibIndex {
  initIndex(elementsMax: number, m: number, efConstruction: number, seed: number): void
  addPoint(point: number[], label: number): void
  searchKnn(
    query: number[],
    k: number,
    filter?: (label: number) => boolean,
  ): { readonly distances: number[]; readonly neighbors: number[] }
  setEf(ef: number): void
  writeIndexSync(path: string): void
  readIndexSync(path: string): void
  getCurrentCount(): number
}

/**
 * A segment searched by hnswlib. Its file is an interchange format and a cache, never part of a
 * manifest.
 */
export interface HnswlibVectorIndex extends VectorIndex {
  /** Writes the graph with all vectors to a file in hnswlib's own format. */
  save(path: string): void
}

const SEED = 100

/**
 * Builds an hnswlib index over a segment, on the calling thread. Vectors of cosine segments are
 * normalised for hnswlib; `vector` still gives them as they came. Errors: CONFIG_INVALID where
 * hnswlib-node is not installed.
 */
export async function buildHnswlibIndex(
  vectors: SegmentVectors,
  parameters: IndexParameters,
): Promise<HnswlibVectorIndex> {
  const rows = collectRows(vectors)
  const index = await createIndex(vectors)
  index.initIndex(Math.max(1, vectors.rows), parameters.m, parameters.efConstruction, SEED)
  for (let row = 0; row < vectors.rows; row++) {
    index.addPoint(pointOf(vectors.metric, rowOf(rows, row, vectors.dimension)), row)
  }
  return new HnswlibSegment(vectors, rows, index)
}

/**
 * Opens a file written by `save` for the same vectors. hnswlib does not check what it reads: a
 * damaged file kills the process, so the caller must have verified the file's digest against a
 * trusted one. Errors: CONFIG_INVALID (not installed), INTEGRITY (cannot be read, or another number
 * of rows).
 */
export async function openVerifiedHnswlibFile(
  path: string,
  vectors: SegmentVectors,
): Promise<HnswlibVectorIndex> {
  const index = await createIndex(vectors)
  try {
    index.readIndexSync(path)
  } catch (cause) {
    throw new AkidbError('INTEGRITY', `cannot read the hnswlib index ${path}`, {
      hint: 'Delete it: akidb index build makes it anew.',
      cause,
    })
  }
  if (index.getCurrentCount() !== vectors.rows) {
    throw new AkidbError(
      'INTEGRITY',
      `the hnswlib index ${path} has ${index.getCurrentCount()} rows, expected ${vectors.rows}`,
      { hint: 'Delete it: akidb index build makes it anew.' },
    )
  }
  return new HnswlibSegment(vectors, collectRows(vectors), index)
}

class HnswlibSegment implements HnswlibVectorIndex {
  readonly rows: number
  readonly dimension: number
  readonly metric: Metric
  readonly hasGraph = true
  readonly form = 'int8'
  readonly placement = 'memory'
  readonly memoryBytes: number
  readonly normMax: number
  readonly #vectors: Float32Array
  readonly #index: HnswlibIndex

  constructor(shape: SegmentVectors, vectors: Float32Array, index: HnswlibIndex) {
    this.rows = shape.rows
    this.dimension = shape.dimension
    this.metric = shape.metric
    this.memoryBytes = 2 * vectors.byteLength
    const norms = Array.from(everyRow(shape.rows), (row) =>
      normOf(rowOf(vectors, row, shape.dimension)),
    )
    this.normMax = norms.reduce((largest, norm) => Math.max(largest, norm), 0)
    this.#vectors = vectors
    this.#index = index
  }

  /** 'graph' asks hnswlib; scans are exact, in float64. */
  search({ query, k, ef, kind, allowed }: RowSearch): RowHits {
    if (query.length !== this.dimension) {
      const message = `the query has ${query.length} components, the segment ${this.dimension}`
      throw new AkidbError('DIMENSION_MISMATCH', message, { hint: 'Embed with the same model.' })
    }
    const count = Math.min(k, allowed?.count() ?? this.rows)
    if (count === 0) return hitsOf([], 0)
    const rows = kind === 'graph' ? this.#walk(query, count, ef, allowed) : undefined
    if (rows !== undefined && rows.length === count) return this.#rank(query, rows, count)
    return this.#rank(query, allowed ?? everyRow(this.rows), count)
  }

  vector(row: number): Float32Array {
    return rowOf(this.#vectors, row, this.dimension)
  }

  /** Already by exact distance, so that ranking them again changes nothing but the number. */
  candidates(request: RowSearch): RowHits {
    return this.search({ ...request, k: request.over ?? rescoreCount(request.k) })
  }

  rescore(
    query: Float32Array,
    rows: Uint32Array,
    vectors: Float32Array,
    k: number = rows.length,
  ): RowHits {
    const hits = Array.from(rows, (row, i) => ({
      row,
      distance: exactDistance(this.metric, query, rowOf(vectors, i, this.dimension)),
    }))
    hits.sort((a, b) => a.distance - b.distance || a.row - b.row)
    return hitsOf(hits.slice(0, k), rows.length)
  }

  /** hnswlib's memory is its own. */
  shared(): undefined {
    return undefined
  }

  save(path: string): void {
    this.#index.writeIndexSync(path)
  }

  close(): void {}

  #walk(query: Float32Array, k: number, ef: number, allowed: RowSearch['allowed']): number[] {
    this.#index.setEf(Math.max(ef, k))
    const filter = allowed === undefined ? undefined : (label: number) => allowed.has(label)
    return this.#index.searchKnn(pointOf(this.metric, query), k, filter).neighbors
  }

  #rank(query: Float32Array, rows: Iterable<number>, k: number): RowHits {
    const hits: Hit[] = []
    for (const row of rows) {
      hits.push({ row, distance: exactDistance(this.metric, query, this.vector(row)) })
    }
    const evaluated = hits.length
    hits.sort((a, b) => a.distance - b.distance || a.row - b.row)
    return hitsOf(hits.slice(0, k), evaluated)
  }
}

interface Hit {
  readonly row: number
  readonly distance: number
}

const hitsOf = (hits: readonly Hit[], evaluated: number): RowHits => ({
  rows: Uint32Array.from(hits, (hit) => hit.row),
  distances: Float32Array.from(hits, (hit) => hit.distance),
  evaluated,
})

const rowOf = (vectors: Float32Array, row: number, dimension: number): Float32Array =>
  vectors.subarray(row * dimension, (row + 1) * dimension)

/**
 * hnswlib has no cosine that survives extreme norms, so we hand it unit vectors and inner products.
 */
function pointOf(metric: Metric, vector: Float32Array): number[] {
  const point = Array.from(vector)
  if (metric !== 'cosine') return point
  let square = 0
  for (const component of point) square += component * component
  const norm = Math.sqrt(square)
  return norm === 0 ? point : point.map((component) => component / norm)
}

function collectRows({ rows, dimension, pieces }: SegmentVectors): Float32Array {
  const all = new Float32Array(rows * dimension)
  let at = 0
  for (const piece of pieces) {
    if (at + piece.length > all.length) break
    all.set(piece, at)
    at += piece.length
  }
  if (at === all.length) return all
  throw new AkidbError('INTEGRITY', `vectors do not fill ${rows} rows of ${dimension} components`)
}

async function createIndex({ metric, dimension }: SegmentVectors): Promise<HnswlibIndex> {
  const { HierarchicalNSW } = await loadHnswlib()
  return new HierarchicalNSW(metric === 'l2' ? 'l2' : 'ip', dimension)
}

/** CommonJS: its exports are the default one. */
async function loadHnswlib(): Promise<HnswlibModule> {
  try {
    const loaded = (await import('hnswlib-node')) as unknown as { readonly default: HnswlibModule }
    return loaded.default
  } catch (cause) {
    throw new AkidbError('CONFIG_INVALID', 'index type hnswlib needs the package hnswlib-node', {
      hint: 'Install hnswlib-node beside akidb (it needs a C++ compiler), or use --type hnsw.',
      cause,
    })
  }
}
