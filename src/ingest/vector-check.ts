import { firstBeyondFloat16, roundToFloat16 } from '../core/float16.ts'
import { limits } from '../core/limits.ts'
import type { Metric } from '../core/metric.ts'
import type { VectorStorage } from '../core/schema.ts'
import { Flaw } from './flaw.ts'
import { VectorRoom } from './vector-room.ts'

/** What a vector must be. `dimension` is set by the first good vector where nobody gave it. */
export interface VectorRule {
  dimension: number | undefined
  readonly metric: Metric
  /** Absent: float32. */
  readonly storage?: VectorStorage | undefined
  /** For messages. */
  readonly column: string
  /** Where vectors are put; made at the first. */
  room?: VectorRoom
}

/**
 * Components as float32 of shape (dimension,), each rounded to the nearest that the storage has;
 * too small ones become 0.
 *
 * A Flaw where one is not finite or beyond the storage (NOT_FINITE), the count differs
 * (DIMENSION) or is 0 (NO_VECTOR), or all are zero as stored and the metric is cosine
 * (ZERO_VECTOR; the norm is taken in float64, so 1e-40 is a direction).
 */
export function checkVector(values: ArrayLike<number>, rule: VectorRule): Float32Array | Flaw {
  const column = rule.column
  const found = values.length
  if (found === 0) return new Flaw('NO_VECTOR', 'The vector is empty.', { column })
  if (rule.dimension !== undefined && found !== rule.dimension) {
    const reason = `The vector has ${found} components, wanted are ${rule.dimension}.`
    return new Flaw('DIMENSION', reason, { column, found })
  }
  if (found > limits.dimensionMax) {
    const reason = `The vector has ${found} components; at most ${limits.dimensionMax} are stored.`
    return new Flaw('LIMIT', reason, { column })
  }
  rule.room ??= new VectorRoom()
  const vector = rule.room.next(found)
  let squares = values instanceof Float32Array ? copy(values, vector) : round(values, vector)
  // Squares of float32 cannot overflow float64: the sum is finite where every component is.
  if (!Number.isFinite(squares)) return notFinite(values, vector, column)
  if (rule.storage === 'f16') {
    const at = firstBeyondFloat16(vector)
    if (at >= 0) return beyond(at, values[at] as number, 'float16', column)
    roundToFloat16(vector)
    squares = sumOfSquares(vector)
  }
  if (squares === 0 && rule.metric === 'cosine') {
    return new Flaw('ZERO_VECTOR', 'All components are zero, which has no direction.', { column })
  }
  rule.dimension ??= found
  rule.room.keep(found)
  return vector
}

/** Both give the sum of the squares of what is kept. */
function copy(values: Float32Array, vector: Float32Array): number {
  vector.set(values)
  return sumOfSquares(vector)
}

function sumOfSquares(vector: Float32Array): number {
  let squares = 0
  for (let i = 0; i < vector.length; i++) {
    const stored = vector[i] as number
    squares += stored * stored
  }
  return squares
}

function round(values: ArrayLike<number>, vector: Float32Array): number {
  let squares = 0
  for (let i = 0; i < vector.length; i++) {
    vector[i] = values[i] as number
    const stored = vector[i] as number
    squares += stored * stored
  }
  return squares
}

function notFinite(values: ArrayLike<number>, vector: Float32Array, column: string): Flaw {
  const at = vector.findIndex((component) => !Number.isFinite(component))
  const value = values[at] as number
  if (Number.isFinite(value)) return beyond(at, value, 'float32', column)
  return new Flaw('NOT_FINITE', `Component ${at} is ${value}, no finite number.`, { column })
}

const beyond = (at: number, value: number, type: string, column: string): Flaw =>
  new Flaw('NOT_FINITE', `Component ${at} (${value}) is beyond ${type}.`, { column })
