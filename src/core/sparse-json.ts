import { AkidbError } from '../errors/errors.ts'
import { parseJson } from './json.ts'
import type { JsonObject, JsonValue } from './json-value.ts'
import { limits } from './limits.ts'

/** Pairs of a sparse vector, shape (pairs,) each, ascending by index; each index once. */
export interface SparsePairs {
  readonly indices: Uint32Array
  readonly values: Float32Array
}

/**
 * The sparse vector that a payload field holds: `{"indices": […], "values": […]}`, or an object of
 * index → value, or a list of [index, value] (a map of Parquet), or such JSON as text (CSV).
 *
 * @returns undefined where there is none: the field is missing or null
 * @throws BAD_INPUT where it is no such vector: an index beyond u32 or twice, a value that is not
 *   finite in f32; LIMIT over sparsePairsMax
 */
export function sparseFromJson(value: JsonValue | undefined): SparsePairs | undefined {
  if (value === undefined || value === null) return undefined
  const pairs = pairsOf(typeof value === 'string' ? parseJson(value) : value)
  if (pairs.length > limits.sparsePairsMax) {
    throw new AkidbError('LIMIT', `a sparse vector has ${pairs.length} pairs`, {
      details: { limit: 'sparsePairsMax', max: limits.sparsePairsMax },
    })
  }
  const checked = pairs.map(([index, number]) => [indexOf(index), numberOf(number)] as const)
  checked.sort(([a], [b]) => a - b)
  for (let i = 1; i < checked.length; i++) {
    if (checked[i]?.[0] === checked[i - 1]?.[0]) throw wrong(`index ${checked[i]?.[0]} twice`)
  }
  return {
    indices: Uint32Array.from(checked, ([index]) => index),
    values: Float32Array.from(checked, ([, number]) => number),
  }
}

/** The form that is stored where a program hands in the pairs themselves. */
export const sparseToJson = ({ indices, values }: SparsePairs): JsonObject =>
  new Map<string, JsonValue>([
    ['indices', Array.from(indices)],
    ['values', Array.from(values)],
  ])

type Pair = readonly [index: JsonValue | undefined, value: JsonValue | undefined]

function pairsOf(value: JsonValue): Pair[] {
  if (Array.isArray(value)) {
    return value.map((pair: JsonValue): Pair => {
      if (!Array.isArray(pair) || pair.length !== 2) throw wrong('a list of no pairs')
      return [pair[0], pair[1]]
    })
  }
  if (!(value instanceof Map)) throw wrong('no object')
  const object = value as JsonObject
  const [indices, values] = [object.get('indices'), object.get('values')]
  if (!Array.isArray(indices) || !Array.isArray(values)) return [...object]
  if (indices.length !== values.length) {
    throw wrong(`${indices.length} indices and ${values.length} values`)
  }
  return indices.map((index: JsonValue, i) => [index, values[i] as JsonValue])
}

function indexOf(value: JsonValue | undefined): number {
  const index = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value
  if (Number.isInteger(index) && (index as number) >= 0 && (index as number) <= 0xffff_ffff) {
    return index as number
  }
  throw wrong(`the index ${shown(value)}`)
}

function numberOf(value: JsonValue | undefined): number {
  const number = Math.fround(typeof value === 'bigint' ? Number(value) : (value as number))
  if ((typeof value === 'number' || typeof value === 'bigint') && Number.isFinite(number)) {
    return number
  }
  throw wrong(`the value ${shown(value)}`)
}

const shown = (value: unknown): string => String(value).slice(0, 40)

const wrong = (what: string): AkidbError =>
  new AkidbError('BAD_INPUT', `not a sparse vector: ${what}`, {
    hint: 'Write {"indices": [1, 7], "values": [0.5, 2]} or {"1": 0.5, "7": 2}.',
  })
