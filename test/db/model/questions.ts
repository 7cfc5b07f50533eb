import { inspect } from 'node:util'
import type { JsonObject, JsonValue } from '../../../src/core/json.ts'
import type { Collection } from '../../../src/db/api/api.ts'
import { fuseHybrid, type HybridFusion } from '../../../src/search/fusion.ts'
import { equal, type History } from './history.ts'
import { byBytes, type PlainCollection, type PlainHit, SPARSE_FIELD } from './plain-collection.ts'
import { randomTree, treeHits } from './trees.ts'

type Question = (
  history: History,
  docs: Collection,
  model: PlainCollection,
  state: { readonly asOf?: string },
) => Promise<void>

const bare = { withPayload: false } as const

const filterOf = ({ random }: History): { readonly filter?: object } => {
  const kind = random.whole(0, 3)
  if (kind === 0) return {}
  const range = { key: 'n', range: { [random.pick(['gte', 'lt'])]: random.whole(-9, 40) } }
  if (kind === 1) return { filter: { must: [range] } }
  return { filter: kind === 2 ? random.filter(2) : { must: [range, random.filter(1)] } }
}

const byScore = (a: PlainHit, b: PlainHit): number => b.score - a.score || byBytes(a.id, b.id)

const plainHits = (hits: readonly PlainHit[]): unknown =>
  hits.map(({ id, score, distance }) => [id, score, distance ?? null])

const plainPayloads = (
  records: readonly { readonly id: string; readonly payload?: JsonObject }[],
): unknown => records.map(({ id, payload }) => [id, payload ?? null])

/** Each asks the collection and the map of records the same, and compares the answers. */
export const QUESTIONS: Readonly<Record<string, Question>> = {
  async count(history, docs, model, state) {
    const { filter } = filterOf(history)
    const { count } = await docs.count({ ...state, ...(filter && { filter }) })
    equal('count', count, model.matching(filter).length)
  },

  async records(history, docs, model, state) {
    const { filter } = filterOf(history)
    const found = await Array.fromAsync(docs.scan({ ...state, ...(filter && { filter }) }))
    const wanted = model.matching(filter)
    const byId = new Map(found.map((record) => [record.id, record]))
    equal('scanned', found.length, wanted.length)
    const sorted = wanted.map(({ id }) => byId.get(id) ?? { id })
    equal('scan', plainPayloads(sorted), plainPayloads(wanted))
  },

  async get(history, docs, model, state) {
    const ids = Array.from({ length: 5 }, () => history.id())
    const found = await docs.get(ids, { ...state, withVector: true })
    const shown = found.map((one) => one && [one.id, one.payload, [...(one.vector ?? [])]])
    const wanted = ids.map((id) => {
      const one = model.records.get(id)
      return one && [one.id, one.payload, [...one.vector]]
    })
    equal(
      'get',
      shown.map((one) => one ?? null),
      wanted.map((one) => one ?? null),
    )
  },

  async nearest(history, docs, model, state) {
    const { random } = history
    const { filter } = filterOf(history)
    const vector = history.vector()
    const all = model.nearest(vector, filter)
    const k = random.pick([1, 10, Math.max(1, Math.min(10_000, all.length)), 40])
    const exact = random.pick([true, false])
    const request = { vector, k, exact, ...state, ...(filter && { filter }) }
    const { hits } = await docs.search({ ...request, ...bare })
    const isWhole = exact || k >= all.length
    if (isWhole) equal('hits', plainHits(hits), plainHits(all.slice(0, k)))
    const wanted = new Map(all.map((hit) => [hit.id, hit]))
    equal('found', hits.length, Math.min(k, all.length))
    equal('scores', plainHits(hits), plainHits(hits.map((hit) => wanted.get(hit.id) ?? hit)))
    equal(
      'order',
      plainHits(hits),
      plainHits(all.filter(({ id }) => hits.some((h) => h.id === id))),
    )
    const [again] = await Array.fromAsync(
      docs.searchBatch([{ vector, k, exact, ...(filter && { filter }), ...bare }], state),
    )
    equal('batch', plainHits(again?.hits ?? []), plainHits(hits))
  },

  async likeOne(history, docs, model, state) {
    const { filter } = filterOf(history)
    const one = model.records.get(history.id())
    if (one === undefined) return
    const request = { id: one.id, exact: true, k: 9, ...state, ...(filter && { filter }) }
    const { hits } = await docs.search({ ...request, ...bare })
    const wanted = model.nearest(one.vector, filter).filter(({ id }) => id !== one.id)
    equal('like one', plainHits(hits), plainHits(wanted.slice(0, 9)))
  },

  async hybrid(history, docs, model, state) {
    const { random } = history
    const { filter } = filterOf(history)
    const [vector, text] = [history.vector(), history.textQuery()]
    const fusion = random.pick<HybridFusion>([
      { kind: 'rrf' },
      { kind: 'dbsf' },
      { kind: 'linear', vectorWeight: 0.3 },
    ])
    const request = { vector, text, fusion, k: 12, exact: true, ...(filter && { filter }) }
    const { hits } = await docs.search({ ...request, ...bare, ...state })
    // The best 5 k of each part.
    const near = model.nearest(vector, filter).slice(0, 60)
    const words = model.withWords(text, filter).sort(byScore).slice(0, 60)
    const fused = fuseHybrid(near, words, fusion).slice(0, 12)
    equal('hybrid', plainHits(hits), plainHits(fused))
    const alone = { text, k: 5, ...bare }
    const batch = [{ ...request, ...bare }, alone, { vector, k: 3, exact: true, ...bare }]
    const found = await Array.fromAsync(docs.searchBatch(batch, state))
    const byWords = model.withWords(text, undefined).sort(byScore).slice(0, 5)
    const byVector = model.nearest(vector, undefined).slice(0, 3)
    equal(
      'batch',
      found.map((one) => plainHits(one.hits)),
      [fused, byWords, byVector].map(plainHits),
    )
  },

  async groups(history, docs, model, state) {
    const { filter } = filterOf(history)
    const vector = history.vector()
    const request = { query: { vector }, exact: true, groupBy: 'n', groups: 4, groupSize: 2 }
    const found = await docs.query({ ...request, ...bare, ...state, ...(filter && { filter }) })
    const groups = new Map<JsonValue | undefined, string[]>()
    for (const { id } of model.nearest(vector, filter)) {
      const value = model.records.get(id)?.payload.get('n')
      const group = groups.get(value)
      if (group === undefined) groups.set(value, [id])
      else if (group.length < 2) group.push(id)
    }
    const shown = found.groups?.map(({ value, hits }) => [value, hits.map(({ id }) => id)])
    equal('groups', shown, [...groups].slice(0, 4))
  },

  async words(history, docs, model, state) {
    const { filter } = filterOf(history)
    const text = history.textQuery()
    const all = model.withWords(text, filter)
    const k = history.random.pick([5, 1_000])
    const { hits } = await docs.search({ text, k, ...bare, ...state, ...(filter && { filter }) })
    equal(`words ${inspect(text)}`, plainHits(hits), plainHits(all.sort(byScore).slice(0, k)))
  },

  async sparse(history, docs, model, state) {
    const { filter } = filterOf(history)
    const pairs = new Map([...history.sparse(), ['3', 0.25]])
    const sparse = {
      indices: Uint32Array.from(pairs.keys(), Number),
      values: Float32Array.from(pairs.values()),
    }
    const query = { sparse, using: SPARSE_FIELD }
    const k = history.random.pick([5, 1_000])
    const { hits } = await docs.query({ query, k, ...bare, ...state, ...(filter && { filter }) })
    const wanted = model.sparse(pairs, filter).sort(byScore).slice(0, k)
    equal('sparse', plainHits(hits), plainHits(wanted))
  },

  async recommended(history, docs, model, state) {
    const { filter } = filterOf(history)
    const [a, b] = [history.vector(), history.vector()]
    const recommend = { positive: [a], negative: [b], strategy: 'best_score' as const }
    const request = { query: { recommend }, k: 8, exact: true, ...(filter && { filter }) }
    const { hits } = await docs.query({ ...request, ...bare, ...state })
    const wanted = model.recommended(a, b, filter).sort(byScore).slice(0, 8)
    equal('recommended', plainHits(hits), plainHits(wanted))
  },

  async tree(history, docs, model, state) {
    const node = randomTree(history, () => filterOf(history).filter ?? { must: [] })
    const { hits } = await docs.query({ ...node, ...bare, ...state })
    const scores = (found: readonly PlainHit[]) => found.map(({ id, score }) => [id, score])
    equal(`tree ${inspect(node, { depth: 20 })}`, scores(hits), scores(treeHits(model, node)))
  },

  async facet(history, docs, model, state) {
    const { filter } = filterOf(history)
    const key = history.random.pick(['n', 'tags'])
    const counts = model.facet(key, filter)
    const { values, distinct } = await docs.facet({
      key,
      ...state,
      limit: 100,
      ...(filter && { filter }),
    })
    equal('distinct', distinct, counts.size)
    const sorted = [...values].map(({ value, count }) => [String(value), count]).sort()
    equal('facet', sorted, [...counts].map(([v, count]) => [String(v as JsonValue), count]).sort())
  },

  async ordered(history, docs, model, state) {
    const { filter } = filterOf(history)
    const direction = history.random.pick(['asc', 'desc'] as const)
    const k = history.random.pick([7, 1_000])
    const query = { orderBy: { key: 'n', direction } }
    const { hits } = await docs.query({ query, k, ...state, ...(filter && { filter }) })
    const wanted = model.ordered('n', direction, filter).slice(0, k)
    equal('ordered', plainPayloads(hits), plainPayloads(wanted))
  },

  async changes(history, docs, model, { asOf }) {
    const { past, random } = history
    if (asOf === undefined || past.length === 0) return
    const other = random.pick(past)
    const limit = random.pick([3, 1_000])
    const { changes, inserted, updated, deleted } = await docs.diff(asOf, other.name, { limit })
    const wanted = model.changesTo(other.model)
    equal('changes', changes, wanted.slice(0, limit))
    const kinds = ['inserted', 'updated', 'deleted']
    const counts = kinds.map((kind) => wanted.filter(({ change }) => change === kind).length)
    equal('counts', [inserted, updated, deleted], counts)
  },

  async pages(history, docs, model, state) {
    if (state.asOf === undefined) await history.docs.flush()
    const { filter } = filterOf(history)
    const request = { k: history.random.pick([3, 50, 1_000]), ...(filter && { filter }) }
    const seen: { id: string; payload: JsonObject }[] = []
    let page = await docs.scroll({ ...request, ...state })
    seen.push(...page.records)
    while (page.cursor !== undefined && seen.length < 400) {
      page = await docs.scroll({ ...request, cursor: page.cursor })
      seen.push(...page.records)
    }
    const wanted = model.matching(filter)
    const isWhole = page.cursor === undefined
    equal(
      'pages',
      plainPayloads(seen),
      plainPayloads(isWhole ? wanted : wanted.slice(0, seen.length)),
    )
  },
}
