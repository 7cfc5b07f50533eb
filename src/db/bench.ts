import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OnProgress } from './api/api.ts'
import { IngestGroup } from './ingest/ingest-group.ts'
import { initStore } from './open/init.ts'
import { openStore } from './store.ts'

/** Sizes of the made-up data. */
export interface BenchRequest {
  readonly rows: number
  readonly dimension: number
  readonly queries: number
  readonly threads?: number
  /** Where the temporary store lies; default: the system's folder for temporary files. */
  readonly folder?: string
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

/** Measurements, each with its unit. */
export interface BenchResult {
  readonly rows: number
  readonly dimension: number
  readonly measurements: readonly {
    readonly name: string
    readonly value: number
    readonly unit: string
  }[]
}

const NEIGHBOURS = 10

/**
 * Measures this machine on generated rows in a store that is removed afterwards. Clustered, as
 * embeddings are.
 */
export async function runBench(request: BenchRequest): Promise<BenchResult> {
  const folder = await mkdtemp(join(request.folder ?? tmpdir(), 'akidb-bench-'))
  try {
    await initStore({ url: folder })
    return await measure(folder, request)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function measure(folder: string, request: BenchRequest): Promise<BenchResult> {
  const { rows, dimension, queries, threads, onProgress } = request
  const options = threads === undefined ? {} : { threads }
  await using store = await openStore({ url: folder, mode: 'write', ...options })
  await store.createCollection('bench', { dimension, metric: 'cosine' })
  const core = store.core('bench')
  const { commit, state } = await core.head()
  const random = generator(SEED)
  const centres = Array.from({ length: CENTRES }, () => gaussian(random, dimension))
  const ingestStarted = performance.now()
  const plan = { schema: state.schema, index: state.index, withGraph: true }
  const group = new IngestGroup(core, plan, request.signal)
  group.announce(null)
  for (let row = 0; row < rows; row++) {
    if (group.segmentFull) await group.seal()
    const vector = near(random, centres)
    group.add({ id: String(row), vector, payload: new Map([['n', row]]), position: row }, 0)
    if (row % 1_000 === 0) onProgress?.({ stage: 'bench', done: row, total: rows, unit: 'rows' })
  }
  group.addSource({ name: 'generated', sha256: '', options: NO_OPTIONS, rows, rejected: 0 })
  await group.commit(commit.collection)
  const ingestMs = performance.now() - ingestStarted
  const collection = await store.collection('bench')
  const times: number[] = []
  for (let i = 0; i < queries; i++) {
    const vector = near(random, centres)
    const started = performance.now()
    await collection.search({ vector, k: NEIGHBOURS, withPayload: false, cached: false })
    times.push(performance.now() - started)
  }
  const { recall } = await collection.recall({ samples: Math.min(queries, 100) })
  times.sort((a, b) => a - b)
  const at = (share: number): number => times[Math.floor((times.length - 1) * share)] ?? 0
  return {
    rows,
    dimension,
    measurements: [
      { name: 'ingest with index', value: Math.round(rows / (ingestMs / 1_000)), unit: 'rows/s' },
      { name: 'search p50', value: rounded(at(0.5)), unit: 'ms' },
      { name: 'search p99', value: rounded(at(0.99)), unit: 'ms' },
      { name: `recall@${NEIGHBOURS}`, value: rounded(recall), unit: 'share' },
    ],
  }
}

const SEED = 20_260_101
const CENTRES = 100
const NO_OPTIONS = '0'.repeat(64)

const rounded = (value: number): number => Math.round(value * 1_000) / 1_000

/** A small generator with a fixed seed (mulberry32): the same rows at every run. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

function gaussian(random: () => number, dimension: number): Float32Array {
  const sum = () => random() + random() + random() + random() - 2
  return Float32Array.from({ length: dimension }, sum)
}

function near(random: () => number, centres: readonly Float32Array[]): Float32Array {
  const centre = centres[Math.floor(random() * centres.length)] as Float32Array
  return Float32Array.from(centre, (value) => value + (random() + random() - 1) * 0.9)
}
