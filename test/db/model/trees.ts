import type { QueryNode, RankBy } from '../../../src/db/api/query-api.ts'
import { fuse } from '../../../src/search/fusion.ts'
import { sampleHash } from '../../../src/search/sample-hash.ts'
import type { History } from './history.ts'
import { byBytes, type PlainCollection, type PlainHit, SPARSE_FIELD } from './plain-collection.ts'

/** A tree of queries by chance, at most `depth` levels of `prefetch`; every leaf is exact. */
export function randomTree(history: History, filter: () => object, depth = 2): QueryNode {
  const { random } = history
  const children =
    depth > 0 && random.whole(0, 2) > 0
      ? Array.from({ length: random.whole(1, 3) }, () => randomTree(history, filter, depth - 1))
      : []
  const isFused = children.length > 0 && random.whole(0, 1) === 0
  const weights = random.pick([undefined, children.map(() => random.whole(0, 4) / 2)])
  const fusion = {
    kind: random.pick(['rrf', 'linear', 'dbsf'] as const),
    ...(weights === undefined ? {} : { weights }),
  }
  const query = isFused ? { fusion } : randomRanking(history)
  const hasScores = !('orderBy' in query || 'sample' in query)
  const scoreThreshold = hasScores ? random.pick([undefined, undefined, 0.2]) : undefined
  return {
    ...(children.length === 0 ? {} : { prefetch: children }),
    query,
    ...(random.whole(0, 2) === 0 ? { filter: filter() } : {}),
    k: random.pick([1, 5, 10, 300]),
    ...(random.whole(0, 3) === 0 ? { offset: random.whole(1, 6) } : {}),
    ...(scoreThreshold === undefined ? {} : { scoreThreshold }),
    exact: true,
  }
}

function randomRanking(history: History): RankBy {
  const { random } = history
  const pairs = [...history.sparse(), ['3', 0.25] as const]
  const sparse = new Map(pairs.map(([index, value]) => [Number(index), value]))
  return random.pick<RankBy>([
    { vector: history.vector() },
    { text: history.textQuery() },
    {
      sparse: {
        indices: Uint32Array.from(sparse.keys()),
        values: Float32Array.from(sparse.values()),
      },
      using: SPARSE_FIELD,
    },
    {
      recommend: {
        positive: [history.vector()],
        negative: [history.vector()],
        strategy: 'best_score',
      },
    },
    { orderBy: { key: 'n', direction: random.pick(['asc', 'desc']) } },
    { sample: { seed: random.whole(0, 5) } },
  ])
}

/** What a tree gives: children first, a filter for all that is below it. */
export function treeHits(model: PlainCollection, node: QueryNode, outer?: object): PlainHit[] {
  const given = [outer, node.filter as object | undefined].filter((one) => one !== undefined)
  const filter = given.length === 0 ? undefined : { must: given }
  const lists = node.prefetch?.map((child) => treeHits(model, child, filter))
  const { query, offset = 0, k = 10, scoreThreshold = -Infinity } = node
  const found = { must: [{ has_id: lists?.flat().map(({ id }) => id) }] }
  const hits =
    'fusion' in query
      ? fuse(lists ?? [], query.fusion)
      : rankedBy(model, query, lists === undefined ? filter : found)
  return hits.filter(({ score }) => score >= scoreThreshold).slice(offset, offset + k)
}

function rankedBy(model: PlainCollection, by: RankBy, filter: unknown): PlainHit[] {
  const byScore = (a: PlainHit, b: PlainHit) => b.score - a.score || byBytes(a.id, b.id)
  if ('vector' in by) return model.nearest(by.vector, filter)
  if ('text' in by) return model.withWords(by.text, filter).sort(byScore)
  if ('sparse' in by) {
    const { indices, values } = by.sparse
    const pairs = new Map(Array.from(indices, (index, i) => [String(index), Number(values[i])]))
    return model.sparse(pairs, filter).sort(byScore)
  }
  if ('recommend' in by) {
    const [a, b] = [by.recommend.positive, by.recommend.negative].map((list) => list?.[0])
    return model.recommended(a as Float32Array, b as Float32Array, filter).sort(byScore)
  }
  if ('orderBy' in by) {
    const { key, direction = 'asc' } = by.orderBy
    return model.ordered(key, direction, filter).map(({ id }) => ({ id, score: 0 }))
  }
  if (!('sample' in by)) throw new Error('no such ranking')
  const hashOf = ({ id }: { readonly id: string }) =>
    sampleHash(by.sample.seed ?? 0, Buffer.from(id))
  return model
    .matching(filter)
    .sort((a, b) => hashOf(a) - hashOf(b) || byBytes(a.id, b.id))
    .map(({ id }) => ({ id, score: 0 }))
}
