import { setImmediate } from 'node:timers/promises'
import { distanceFrom, scoreOf } from '../../core/metric.ts'
import type { VectorSpec } from '../../core/schema.ts'
import { maximalMarginalRelevance } from '../../search/mmr.ts'
import { getRecord } from '../collection/records.ts'
import type { RankedRecord } from '../search/search-vector.ts'
import { vectorSpecOf } from '../segment/view.ts'
import type { QueryContext } from './query-context.ts'

/**
 * The first `count` of the hits of a vector search in the order of maximal marginal relevance, with
 * the scores that they have; similarity of two records is the score of one for the other.
 */
export async function diverseHits(
  context: QueryContext,
  hits: readonly RankedRecord[],
  { diversity, count }: { diversity: number; count: number },
): Promise<RankedRecord[]> {
  const { core, view, signal } = context
  const { metric } = vectorSpecOf(view.manifest.state.schema) as VectorSpec
  const distances: ((vector: Float32Array) => number)[] = []
  const vectors: Float32Array[] = []
  for (const { id } of hits) {
    const record = await getRecord(core, view, id, { payload: false, vector: true, source: false })
    const vector = record?.vector as Float32Array
    vectors.push(vector)
    distances.push(distanceFrom(metric, vector))
  }
  const order = maximalMarginalRelevance({
    relevance: hits.map(({ score }) => score),
    similarity: (a, b) => scoreOf(metric, distances[a]?.(vectors[b] as Float32Array) ?? 0),
    diversity,
  })
  const chosen: RankedRecord[] = []
  for (const at of order) {
    chosen.push(hits[at] as RankedRecord)
    if (chosen.length >= count) break
    // One step compares all candidates with one record.
    await setImmediate()
    signal?.throwIfAborted()
  }
  return chosen
}
