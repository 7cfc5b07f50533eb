import type { JsonObject, JsonValue } from '../core/json.ts'
import { limits } from '../core/limits.ts'
import type { Metric } from '../core/metric.ts'
import { QUANTIZATIONS, VECTOR_STORAGES } from '../core/schema.ts'
import {
  type Check,
  list,
  literal,
  object,
  optional,
  type Shape,
  ShapeError,
  text,
  whole,
} from '../core/shape.ts'
import { jsonText, jsonVector } from '../db/query/query-json.ts'
import { AkidbError } from '../errors/errors.ts'
import { FUSION_KINDS } from '../search/fusion.ts'

/** Names of the metrics as clients write them, in lower case. */
const DISTANCES: ReadonlyMap<string, Metric> = new Map([
  ['cosine', 'cosine'],
  ['dot', 'dot'],
  ['l2', 'l2'],
  ['euclid', 'l2'],
  ['euclidean', 'l2'],
])

/**
 * A parsed body as plain members; what lies deeper stays as it was parsed, so that no payload is
 * altered.
 */
const members =
  <T>(check: Check<T>): Check<T> =>
  (value, path) =>
    check(value instanceof Map ? Object.fromEntries(value as JsonObject) : value, path)

const fail = (path: string, wanted: string): never => {
  throw new ShapeError(`${path}: expected ${wanted}`)
}

const distance: Check<Metric> = (value, path) =>
  (typeof value === 'string' ? DISTANCES.get(value.toLowerCase()) : undefined) ??
  fail(path, [...DISTANCES.keys()].join(' or '))

const recordId: Check<string | number | bigint> = (value, path) =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint'
    ? value
    : fail(path, 'text or an integer')

const payload: Check<JsonObject> = (value, path) =>
  value instanceof Map ? (value as JsonObject) : fail(path, 'an object')

/** JSON null stands for "not given". */
const given =
  <T>(check: Check<T>): Check<T | undefined> =>
  (value, path) =>
    value === null ? undefined : optional(check)(value, path)

const filter: Check<JsonValue> = (value, path) =>
  value instanceof Map ? (value as JsonObject) : fail(path, 'an object')

const asOf: Check<string> = (value, path) =>
  typeof value === 'string' ? value : String(whole(1)(value, path))

const share: Check<number> = (value, path) =>
  typeof value === 'number' && value >= 0 && value <= 1 ? value : fail(path, 'a number from 0 to 1')

const CREATE = members(
  object({
    name: text(),
    vector_dim: given(whole(1)),
    distance: given(distance),
    text_fields: given(list(text(), limits.columnsMax)),
    text_positions: given(literal(true, false)),
    sparse_fields: given(list(text(), limits.sparseFieldsMax)),
    quantization: given(literal(...QUANTIZATIONS)),
    storage: given(literal(...VECTOR_STORAGES)),
  }),
)
const UPSERT = members(
  object({
    vectors: list(
      members(object({ id: recordId, vector: given(jsonVector), payload: given(payload) })),
      limits.serverRowsMax,
    ),
  }),
)
const SEARCH_FIELDS = {
  vector: given(jsonVector),
  text: given(jsonText),
  top_k: given(whole(1)),
  filter: given(filter),
  as_of: given(asOf),
  ef: given(whole(1)),
  exact: given(literal(true, false)),
  with_payload: given(literal(true, false)),
  with_vector: given(literal(true, false)),
  fusion: given(literal(...FUSION_KINDS)),
  vector_weight: given(share),
}
const SEARCH = members(object(SEARCH_FIELDS))

/** `POST /collections`. */
export const createBody = (body: JsonValue) => checked(CREATE, body)
/** `POST /collections/:c/vectors`; one `vector` a record, components as float32. */
export const upsertBody = (body: JsonValue) => checked(UPSERT, body)
/** `POST /collections/:c/search`. */
export const searchBody = (body: JsonValue): Shape<typeof SEARCH_FIELDS> => checked(SEARCH, body)

function checked<T>(check: Check<T>, body: JsonValue): T {
  try {
    return check(body, '$')
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error
    throw new AkidbError('BAD_INPUT', `the body does not fit: ${error.message}`, {
      hint: 'docs/server.md shows what each request takes.',
      cause: error,
    })
  }
}
