import { expect, it } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import type { QueryNode, QueryRequest } from '../../../src/db/api/api.ts'
import { sampleCollection } from './sample-collection.ts'

const deep = (levels: number): QueryNode => {
  let node: QueryNode = { query: { text: 'x' } }
  for (let i = 1; i < levels; i++) node = { prefetch: [node], query: { text: 'x' } }
  return node
}
const near = { vector: Float32Array.of(1, 0, 0, 0, 0, 0) }
const fused = (fusion: object, lists = 1): object => ({
  prefetch: Array.from({ length: lists }, () => ({ query: near })),
  query: { fusion },
})

const cases: [string, object, string][] = [
  ['no query', {}, 'USAGE'],
  ['a query of nothing', { query: {} }, 'USAGE'],
  ['two queries', { query: { ...near, text: 'x' } }, 'USAGE'],
  ['a query that is none', { query: null }, 'USAGE'],
  ['a child that is none', { query: near, prefetch: [null] }, 'USAGE'],
  ['NaN in a vector', { query: { vector: Float32Array.of(NaN, 0, 0, 0, 0, 0) } }, 'BAD_INPUT'],
  ['a vector of another length', { query: { vector: Float32Array.of(1) } }, 'DIMENSION_MISMATCH'],
  ['a plain list as a vector', { query: { vector: [1, 0, 0, 0, 0, 0] } }, 'BAD_INPUT'],
  ['an id that is not there', { query: { id: 'nobody' } }, 'NOT_FOUND'],
  ['k 0', { query: near, k: 0 }, 'BAD_INPUT'],
  ['k NaN', { query: near, k: NaN }, 'BAD_INPUT'],
  ['k over the limit', { query: near, k: limits.searchCountMax + 1 }, 'LIMIT'],
  ['k and offset over the limit', { query: near, k: 1, offset: limits.searchCountMax }, 'LIMIT'],
  ['an offset below 0', { query: near, offset: -1 }, 'BAD_INPUT'],
  ['ef over the limit', { query: near, ef: limits.searchEfMax + 1 }, 'LIMIT'],
  ['a threshold NaN', { query: near, scoreThreshold: NaN }, 'BAD_INPUT'],
  ['a threshold without scores', { query: { sample: {} }, scoreThreshold: 1 }, 'USAGE'],
  ['depth over the limit', deep(limits.queryDepthMax + 1), 'LIMIT'],
  ['depth 1,000', deep(1_000), 'LIMIT'],
  ['too many nodes', fused({ kind: 'rrf' }, limits.queryNodesMax), 'LIMIT'],
  ['a text of over 1 MB', { query: { text: 'x'.repeat(limits.queryTextBytesMax + 1) } }, 'LIMIT'],
  ['a text that is none', { query: { text: 7 } }, 'BAD_INPUT'],
  ['parts of a text that are none', { query: { text: { must: 'x' } } }, 'BAD_INPUT'],
  ['a list for a text', { query: { text: ['x'] } }, 'BAD_INPUT'],
  ['an unknown part of a text', { query: { text: { any: ['x'] } } }, 'BAD_INPUT'],
  ['a text field that is none', { query: { text: { query: 'x', fields: ['no'] } } }, 'USAGE'],
  ['a fusion of nothing', { query: { fusion: { kind: 'rrf' } } }, 'USAGE'],
  ['an unknown fusion', fused({ kind: 'max' }), 'USAGE'],
  ['a weight below 0', fused({ kind: 'rrf', weights: [-1] }), 'USAGE'],
  ['a weight NaN', fused({ kind: 'dbsf', weights: [NaN] }), 'USAGE'],
  ['a weight too many', fused({ kind: 'linear', weights: [1, 1] }), 'USAGE'],
  ['a constant below 0', fused({ kind: 'rrf', k: -1 }), 'USAGE'],
  ['no examples', { query: { recommend: {} } }, 'USAGE'],
  ['no positive example', { query: { recommend: { negative: [near.vector] } } }, 'USAGE'],
  ['an unknown strategy', { query: { recommend: { positive: ['a'], strategy: 'x' } } }, 'USAGE'],
  [
    'too many examples',
    { query: { recommend: { positive: Array(limits.queryExamplesMax + 1).fill('a') } } },
    'LIMIT',
  ],
  [
    'an example of another length',
    { query: { recommend: { positive: [Float32Array.of(1)] } } },
    'DIMENSION_MISMATCH',
  ],
  ['a diversity over 1', { query: { ...near, mmr: { diversity: 2 } } }, 'USAGE'],
  ['a diversity NaN', { query: { ...near, mmr: { diversity: NaN } } }, 'BAD_INPUT'],
  ['too few candidates', { query: { ...near, mmr: { diversity: 1, candidates: 3 } } }, 'USAGE'],
  ['too many candidates', { query: { ...near, mmr: { diversity: 1, candidates: 1e6 } } }, 'LIMIT'],
  ['an order by nothing', { query: { orderBy: { key: '' } } }, 'USAGE'],
  [
    'an order by no time',
    { query: { orderBy: { key: 'at', as: 'datetime', startFrom: 7 } } },
    'USAGE',
  ],
  ['an order from NaN', { query: { orderBy: { key: 'n', startFrom: NaN } } }, 'BAD_INPUT'],
  ['a seed of a half', { query: { sample: { seed: 0.5 } } }, 'BAD_INPUT'],
  ['no filter', { query: near, filter: { must: 7 } }, 'USAGE'],
  ['groups of nothing', { query: near, groups: 3 }, 'USAGE'],
  ['too many groups', { query: near, groupBy: 'n', groups: limits.queryGroupsMax + 1 }, 'LIMIT'],
  ['groups too large', { query: near, groupBy: 'n', groups: 1_000, groupSize: 11 }, 'LIMIT'],
  ['groups with an offset', { query: near, groupBy: 'n', offset: 1 }, 'USAGE'],
  ['groups of diverse hits', { query: { ...near, mmr: { diversity: 1 } }, groupBy: 'n' }, 'USAGE'],
]

it('every request that is wrong is refused by its code', async () => {
  const { docs } = await sampleCollection()
  for (const [what, request, code] of cases) {
    const failure = await docs.query(request as QueryRequest).catch((error: unknown) => error)
    expect(failure, what).toMatchObject({ code })
  }
  for (const [request, code] of [
    [{ key: '' }, 'USAGE'],
    [{ key: 'n', limit: 0 }, 'BAD_INPUT'],
    [{ key: 'n', limit: 10_001 }, 'LIMIT'],
  ] as const) {
    await expect(docs.facet(request)).rejects.toMatchObject({ code })
  }
  await expect(docs.scroll({ k: 0 })).rejects.toMatchObject({ code: 'BAD_INPUT' })
  await expect(docs.count({ filter: 7 })).rejects.toMatchObject({ code: 'USAGE' })
  const signal = AbortSignal.abort(new Error('enough'))
  for (const work of [
    () => docs.query({ query: near, signal }),
    () => docs.count({ signal }),
    () => docs.facet({ key: 'n', signal }),
    () => docs.scroll({ signal }),
  ]) {
    await expect(work()).rejects.toThrow('enough')
  }
})
