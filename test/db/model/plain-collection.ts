import { Bitset } from '../../../src/core/bitset.ts'
import { type JsonObject, type JsonValue, stringifyJson } from '../../../src/core/json.ts'
import { exactDistance, type Metric, scoreOf } from '../../../src/core/metric.ts'
import { matchesFilter } from '../../../src/search/evaluate.ts'
import { parseFilter } from '../../../src/search/filter.ts'
import { recommendScorer } from '../../../src/search/recommend.ts'
import { parseTextQuery, type TextSearch } from '../../../src/search/text-query.ts'
import { plainSearch } from '../../search/plain-bm25.ts'

/** Fields of the collections that are compared with this one: texts, and sparse vectors. */
export const TEXT_FIELDS = ['words', 'a']
export const SPARSE_FIELD = 'sparse'

/** One record as its last writer left it. */
export interface PlainRecord {
  readonly id: string
  readonly vector: Float32Array
  readonly payload: JsonObject
  /** SHA-256 of the file that it came from; absent where it was written alone. */
  readonly source?: string
}

export interface PlainHit {
  readonly id: string
  readonly score: number
  readonly distance?: number
}

export const byBytes = (a: string, b: string): number =>
  Buffer.compare(Buffer.from(a), Buffer.from(b))

/** What a collection means: a map of records. Every question is put to each of them. */
export class PlainCollection {
  readonly records: Map<string, PlainRecord>
  /** Files that were taken, and how: they are skipped from then on. */
  readonly taken: Set<string>
  readonly #metric: Metric

  constructor(metric: Metric, from?: Pick<PlainCollection, 'records' | 'taken'>) {
    this.#metric = metric
    this.records = new Map(from?.records)
    this.taken = new Set(from?.taken)
  }

  clone(): PlainCollection {
    return new PlainCollection(this.#metric, this)
  }

  put(record: PlainRecord): void {
    this.records.set(record.id, record)
  }

  /** How many went. */
  remove(isMeant: (record: PlainRecord) => boolean): number {
    const meant = [...this.records.values()].filter(isMeant)
    for (const { id } of meant) this.records.delete(id)
    return meant.length
  }

  /** Those that pass, in the order of their ids. */
  matching(filter: unknown): PlainRecord[] {
    const parsed = filter === undefined ? undefined : parseFilter(filter)
    return [...this.records.values()]
      .filter((record) => parsed === undefined || matchesFilter(parsed, record))
      .sort((a, b) => byBytes(a.id, b.id))
  }

  /** Ids of records that are not the same in a later one, and how they differ. */
  changesTo(later: PlainCollection): { readonly id: string; readonly change: string }[] {
    const ids = new Set([...this.records.keys(), ...later.records.keys()])
    return [...ids].sort(byBytes).flatMap((id) => {
      const [was, is] = [this.records.get(id), later.records.get(id)]
      if (was === undefined) return { id, change: 'inserted' }
      if (is === undefined) return { id, change: 'deleted' }
      return textOf(was) === textOf(is) ? [] : { id, change: 'updated' }
    })
  }

  /** All that pass, the nearest first. */
  nearest(query: Float32Array, filter: unknown): PlainHit[] {
    return this.matching(filter)
      .map(({ id, vector }) => {
        const distance = exactDistance(this.#metric, query, vector)
        return { id, score: scoreOf(this.#metric, distance), distance: distance + 0 }
      })
      .sort((a, b) => a.distance - b.distance || byBytes(a.id, b.id))
  }

  /** All that pass, those first that are like `a` and unlike `b`. */
  recommended(a: Float32Array, b: Float32Array, filter: unknown): PlainHit[] {
    const examples = { positive: [a], negative: [b] }
    const scoreOfVector = recommendScorer(this.#metric, 'best_score', examples)
    return this.matching(filter).map(({ id, vector }) => ({ id, score: scoreOfVector(vector) }))
  }

  /** All that pass and share an index with the sparse vector, by the dot product with it. */
  sparse(query: ReadonlyMap<string, number>, filter: unknown): PlainHit[] {
    return this.matching(filter).flatMap(({ id, payload }) => {
      const sparse = (payload.get(SPARSE_FIELD) ?? new Map()) as ReadonlyMap<string, number>
      const shared = [...sparse].filter(
        ([index, value]) => value !== 0 && (query.get(index) ?? 0) !== 0,
      )
      if (shared.length === 0) return []
      const score = shared.reduce(
        (sum, [index, value]) => sum + value * Number(query.get(index)),
        0,
      )
      return [{ id, score }]
    })
  }

  /** All that pass and have some of the words, the best first. */
  withWords(text: string | TextSearch, filter: unknown): PlainHit[] {
    const rows = this.matching(undefined)
    const passing = new Set(this.matching(filter).map(({ id }) => id))
    const [alive, allowed] = [new Bitset(rows.length), new Bitset(rows.length)]
    for (const [row, { id }] of rows.entries()) {
      alive.add(row)
      if (passing.has(id)) allowed.add(row)
    }
    const payloads = rows.map(({ payload }) => payload)
    return plainSearch(
      [{ payloads, alive, allowed }],
      parseTextQuery(text, TEXT_FIELDS),
      TEXT_FIELDS,
    ).map(({ row, score }) => ({ id: (rows[row] as PlainRecord).id, score }))
  }

  /** Records a value of a field that holds scalars or arrays of them, the most frequent first. */
  facet(key: string, filter: unknown): Map<JsonValue, number> {
    const counts = new Map<JsonValue, number>()
    for (const { payload } of this.matching(filter)) {
      for (const value of new Set([payload.get(key) ?? []].flat() as JsonValue[])) {
        counts.set(value, (counts.get(value) ?? 0) + 1)
      }
    }
    return counts
  }

  /** Those that pass and have a number in the field, by it. */
  ordered(key: string, direction: 'asc' | 'desc', filter: unknown): PlainRecord[] {
    const sign = direction === 'asc' ? 1 : -1
    return this.matching(filter)
      .filter(({ payload }) => typeof payload.get(key) === 'number')
      .sort((a, b) => sign * (Number(a.payload.get(key)) - Number(b.payload.get(key))))
  }
}

const textOf = ({ vector, payload }: PlainRecord): string => stringifyJson([[...vector], payload])
