import type { JsonObject, JsonValue } from '../core/json.ts'
import { limits } from '../core/limits.ts'
import type { Metric } from '../core/metric.ts'
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
import { AkidbError } from '../errors/errors.ts'

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

/** A list of numbers as shape (dimension,). */
const vector: Check<Float32Array> = (value, path) => {
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

const CREATE = members(
  object({
    name: text(),
    vector_dim: given(whole(1)),
    distance: given(distance),
    text_fields: given(list(text(), limits.columnsMax)),
  }),
)
const UPSERT = members(
  object({
    vectors: list(
      members(object({ id: recordId, vector: given(vector), payload: given(payload) })),
      limits.serverRowsMax,
    ),
  }),
)
const SEARCH_FIELDS = {
  vector: given(vector),
  text: given(text()),
  top_k: given(whole(1)),
  filter: given(filter),
  as_of: given(asOf),
  ef: given(whole(1)),
  exact: given(literal(true, false)),
  with_payload: given(literal(true, false)),
  with_vector: given(literal(true, false)),
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
