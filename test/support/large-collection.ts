import { roundToFloat16 } from '../../src/core/float16.ts'
import type { JsonValue } from '../../src/core/json.ts'
import type { Metric } from '../../src/core/metric.ts'
import type { IndexParameters, VectorStorage } from '../../src/core/schema.ts'
import { IngestGroup } from '../../src/db/ingest/ingest-group.ts'
import type { OpenedStore } from '../../src/db/store.ts'
import { randomNumbers } from './temp-store.ts'

export interface LargeShape {
  /** Rows of each segment. */
  readonly segments: readonly number[]
  readonly dimension: number
  readonly metric: Metric
  readonly storage?: VectorStorage
  readonly textFields?: readonly string[]
  readonly index?: IndexParameters
  readonly seed: number
}

const CENTRES = 20
const INDEX: IndexParameters = { type: 'hnsw', m: 6, efConstruction: 24 }

/** A vector near one of a few centres. */
export function clustered(dimension: number, seed: number): () => Float32Array {
  const random = randomNumbers(seed)
  const centres = Array.from({ length: CENTRES }, () =>
    Float32Array.from({ length: dimension }, () => random() - 0.5),
  )
  return () => {
    const centre = centres[Math.floor(random() * CENTRES)] as Float32Array
    return centre.map((value) => value + (random() - 0.5) * 0.6)
  }
}

/** A collection of generated rows `<segment>-<row>` with a number `n`, a commit a segment. */
export async function largeCollection(
  store: OpenedStore,
  name: string,
  { segments, dimension, metric, storage, textFields, index = INDEX, seed }: LargeShape,
): Promise<void> {
  await store.createCollection(name, {
    dimension,
    metric,
    index,
    ...(storage && { storage }),
    ...(textFields && { textFields }),
  })
  const core = store.core(name)
  const { commit, state } = await core.head()
  const next = clustered(dimension, seed)
  for (const [number, rows] of segments.entries()) {
    const group = new IngestGroup(core, {
      schema: state.schema,
      index: state.index,
      withGraph: true,
    })
    group.announce(null)
    for (let row = 0; row < rows; row++) {
      const payload = new Map<string, JsonValue>([['n', row]])
      for (const field of textFields ?? []) payload.set(field, `row ${row % 97}`)
      const vector = next()
      if (storage === 'f16') roundToFloat16(vector)
      group.add({ id: `${number}-${row}`, vector, payload, position: row }, 0)
    }
    const source = { name: `s${number}`, sha256: '', options: '0'.repeat(64), rows, rejected: 0 }
    group.addSource(source)
    await group.commit(commit.collection, { n: 'integer' })
  }
}
