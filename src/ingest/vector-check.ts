import { limits } from '../core/limits.ts'
import type { Metric } from '../core/metric.ts'
import { Flaw } from './flaw.ts'

/** What a vector must be. `dimension` is set by the first good vector where nobody gave it. */
export interface VectorRule {
  dimension: number | undefined
  readonly metric: Metric
  /** For messages. */
  readonly column: string
}

/**
 * Components as float32 of shape (dimension,), each rounded to the nearest; too small ones become
 * 0.
 *
 * A Flaw where one is not finite or beyond float32 (NOT_FINITE), the count differs (DIMENSION) or
 * is 0 (NO_VECTOR), or all are zero and the metric is cosine (ZERO_VECTOR; the norm is taken in
 * float64, so 1e-40 is a direction).
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
  const vector = new Float32Array(found)
  let squares = 0
  for (let i = 0; i < found; i++) {
    vector[i] = values[i] as number
    const stored = vector[i] as number
    squares += stored * stored
  }
  // Squares of float32 cannot overflow float64: the sum is finite where every component is.
  if (!Number.isFinite(squares)) return notFinite(values, vector, column)
  if (squares === 0 && rule.metric === 'cosine') {
    return new Flaw('ZERO_VECTOR', 'All components are zero, which has no direction.', { column })
  }
  rule.dimension ??= found
  return vector
}

function notFinite(values: ArrayLike<number>, vector: Float32Array, column: string): Flaw {
  const at = vector.findIndex((component) => !Number.isFinite(component))
  const value = values[at] as number
  const reason = Number.isFinite(value)
    ? `Component ${at} (${value}) is beyond float32.`
    : `Component ${at} is ${value}, no finite number.`
  return new Flaw('NOT_FINITE', reason, { column })
}
