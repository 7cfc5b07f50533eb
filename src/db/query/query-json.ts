import type { JsonObject, JsonValue } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import { type Check, list, literal, object, optional, ShapeError, text } from '../../core/shape.ts'
import { type SparsePairs, sparseFromJson } from '../../core/sparse-json.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { FUSION_KINDS, type Fusion } from '../../search/fusion.ts'
import { RECOMMEND_STRATEGIES } from '../../search/recommend.ts'
import type { OrderBy, QueryNode, QueryRequest, RankBy } from '../api/query-api.ts'
import type { TextSearch } from '../api/search-api.ts'

const fail = (path: string, wanted: string): never => {
  throw new ShapeError(`${path}: expected ${wanted}`)
}

/** A JSON list of numbers as shape (dimension,). */
export const jsonVector: Check<Float32Array> = (value, path) => {
  if (!Array.isArray(value) || value.length > limits.dimensionMax) {
    return fail(path, `a list of at most ${limits.dimensionMax} numbers`)
  }
  const numbers = new Float32Array(value.length)
  for (let i = 0; i < numbers.length; i++) {
    const component: unknown = value[i]
    if (typeof component !== 'number' && typeof component !== 'bigint') {
      return fail(`${path}[${i}]`, 'a number')
    }
    numbers[i] = Number(component)
    if (!Number.isFinite(numbers[i])) return fail(`${path}[${i}]`, 'a number within float32')
  }
  return numbers
}

/**
 * Members of an object in the library's spelling: `score_threshold` is scoreThreshold, and `top_k`
 * is k.
 */
const members =
  <T>(check: Check<T>): Check<T> =>
  (value, path) => {
    if (!(value instanceof Map)) return check(value, path)
    const named: Record<string, JsonValue> = Object.create(null)
    for (const [name, member] of value as JsonObject) {
      const key = name === 'top_k' ? 'k' : name.replace(/_([a-z])/g, (_, c) => c.toUpperCase())
      if (key in named) fail(`${path}.${name}`, `"${key}" once`)
      named[key] = member
    }
    return check(named, path)
  }

/** JSON null stands for "not given". */
const given =
  <T>(check: Check<T>): Check<T | undefined> =>
  (value, path) =>
    value === null ? undefined : optional(check)(value, path)

const number: Check<number> = (value, path) =>
  typeof value === 'number' ? value : fail(path, 'a number')

const recordId: Check<string> = (value, path) =>
  typeof value === 'string'
    ? value
    : typeof value === 'bigint' || Number.isSafeInteger(value)
      ? String(value)
      : fail(path, 'the id of a record')

const example: Check<string | Float32Array> = (value, path) =>
  Array.isArray(value) ? jsonVector(value, path) : recordId(value, path)

const filter: Check<JsonValue> = (value, path) =>
  value instanceof Map ? (value as JsonObject) : fail(path, 'an object')

const boundary: Check<string | number | bigint> = (value, path) =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint'
    ? value
    : fail(path, 'a number or text')

/** In any of the forms in which a payload holds one. */
const sparse: Check<SparsePairs> = (value, path) => {
  try {
    const pairs = sparseFromJson(value as JsonValue)
    return pairs ?? fail(path, 'a sparse vector')
  } catch (error) {
    if (hasCode(error, 'BAD_INPUT')) return fail(path, error.message)
    throw error
  }
}

const texts = given(list(text(), limits.queryTermsMax))

/** Words, or what they are for. */
export const jsonText: Check<string | TextSearch> = (value, path) =>
  typeof value === 'string'
    ? value
    : members(
        object({ query: given(text()), must: texts, phrase: texts, prefix: texts, fields: texts }),
      )(value, path)

const weights = given(list(number, limits.queryNodesMax))

/** `"dbsf"` is short for `{"kind": "dbsf"}`. */
const fusion: Check<Fusion> = (value, path) =>
  typeof value === 'string'
    ? { kind: literal(...FUSION_KINDS)(value, path) }
    : (members(object({ kind: literal(...FUSION_KINDS), k: given(number), weights }))(
        value,
        path,
      ) as Fusion)

/** `"year"` is short for `{"key": "year"}`. */
export const jsonOrder: Check<OrderBy> = (value, path) =>
  typeof value === 'string'
    ? { key: value }
    : (members(
        object({
          key: text(),
          direction: given(literal('asc', 'desc')),
          as: given(literal('datetime')),
          startFrom: given(boundary),
        }),
      )(value, path) as OrderBy)

const rankBy = members(
  object({
    vector: given(jsonVector),
    id: given(recordId),
    text: given(jsonText),
    sparse: given(sparse),
    using: given(text()),
    recommend: given(
      members(
        object({
          positive: given(list(example, limits.queryExamplesMax + 1)),
          negative: given(list(example, limits.queryExamplesMax + 1)),
          strategy: given(literal(...RECOMMEND_STRATEGIES)),
        }),
      ),
    ),
    fusion: given(fusion),
    orderBy: given(jsonOrder),
    sample: given(members(object({ seed: given(number) }))),
    mmr: given(members(object({ diversity: number, candidates: given(number) }))),
  }),
) as Check<unknown> as Check<RankBy>

const node: Check<QueryNode> = (value, path) =>
  members(object(nodeFields))(value, path) as QueryNode

const nodeFields = {
  prefetch: given(list(node, limits.queryNodesMax)),
  query: rankBy,
  filter: given(filter),
  k: given(number),
  ef: given(number),
  exact: given(literal(true, false)),
  scoreThreshold: given(number),
  offset: given(number),
}

const asOf: Check<string> = (value, path) =>
  typeof value === 'string'
    ? value
    : Number.isSafeInteger(value)
      ? String(value)
      : fail(path, 'a version, label, state root or time')

const pageFields = {
  filter: given(filter),
  asOf: given(asOf),
  withPayload: given(literal(true, false)),
  withVector: given(literal(true, false)),
  withSource: given(literal(true, false)),
}

const request = members(
  object({
    ...nodeFields,
    ...pageFields,
    groupBy: given(text()),
    groupSize: given(number),
    groups: given(number),
  }),
) as Check<unknown> as Check<QueryRequest>

const count = members(object({ filter: given(filter), asOf: given(asOf) }))
const facet = members(
  object({ key: text(), filter: given(filter), asOf: given(asOf), limit: given(number) }),
)
const scroll = members(
  object({ ...pageFields, k: given(number), cursor: given(text()), orderBy: given(jsonOrder) }),
)

/**
 * A query as parsed JSON: the members of QueryRequest in its spelling or in snake_case, vectors as
 * lists of numbers.
 *
 * @throws BAD_INPUT where it does not fit, naming the member
 */
export const parseQuery = (json: JsonValue): QueryRequest => checked(request, json)
export const parseCount = (json: JsonValue) => checked(count, json)
export const parseFacet = (json: JsonValue) => checked(facet, json)
export const parseScroll = (json: JsonValue) => checked(scroll, json)

function checked<T>(check: Check<T>, json: JsonValue): T {
  try {
    return check(json, '$')
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error
    throw new AkidbError('BAD_INPUT', `the query does not fit: ${error.message}`, {
      hint: 'docs/library.md shows what a query holds.',
      cause: error,
    })
  }
}
