import { firstBeyondFloat16, roundToFloat16 } from '../../core/float16.ts'
import { float32Of } from '../../core/float32-input.ts'
import { fromPlain, type JsonObject, type JsonValue } from '../../core/json.ts'
import { parseRecordId } from '../../core/record-id.ts'
import { type Schema, sparseFieldsOf, type VectorSpec } from '../../core/schema.ts'
import { sparseFromJson, sparseToJson } from '../../core/sparse-json.ts'
import { AkidbError, DimensionMismatchError } from '../../errors/errors.ts'
import { checkedSparse } from '../../search/sparse-vector.ts'
import type { RecordInput } from '../api/api.ts'
import type { LogRow } from '../segment/log-rows.ts'
import { vectorSpecOf } from '../segment/view.ts'

/**
 * Checks a record that a caller hands in.
 *
 * @throws BAD_INPUT for an id, payload or vector that cannot be stored; DIMENSION_MISMATCH
 */
export function checkRecord(collection: string, schema: Schema, record: RecordInput): LogRow {
  if (typeof record !== 'object' || record === null) {
    throw new AkidbError('BAD_INPUT', 'a record is an object with an id')
  }
  const id = parseRecordId(record.id)
  const payload = payloadOf(record, schema)
  const spec = vectorSpecOf(schema)
  const { vector } = record
  if (spec === undefined) {
    if (vector === undefined) return { id, vector: undefined, payload }
    throw new AkidbError('BAD_INPUT', `collection "${collection}" holds no vectors`)
  }
  if (vector === undefined) throw new AkidbError('BAD_INPUT', `record "${id}" has no vector`)
  if (vector.length !== spec.dimension) {
    throw new DimensionMismatchError(collection, spec.dimension, vector.length)
  }
  return { id, vector: storedVector(id, float32Of(vector), spec), payload }
}

/** A copy, rounded to what is stored. */
function storedVector(id: string, vector: Float32Array, spec: VectorSpec): Float32Array {
  const stored = vector.slice()
  if (spec.storage === 'f16') {
    const beyond = firstBeyondFloat16(stored)
    if (beyond >= 0) {
      const found = `the vector of record "${id}" holds ${stored[beyond]}`
      throw new AkidbError('BAD_INPUT', `${found}: f16 goes to ±65,504`)
    }
    roundToFloat16(stored)
  }
  let squares = 0
  for (const value of stored) {
    if (!Number.isFinite(value)) {
      throw new AkidbError('BAD_INPUT', `the vector of record "${id}" holds ${value}`)
    }
    squares += value * value
  }
  if (spec.metric === 'cosine' && squares === 0) {
    throw new AkidbError('BAD_INPUT', `the vector of record "${id}" is zero and has no direction`)
  }
  return stored
}

/** The payload, with the sparse vectors that were handed in beside it. */
function payloadOf(record: RecordInput, schema: Schema): JsonObject {
  const payload = fromPlain(record.payload ?? {})
  if (!(payload instanceof Map)) throw new AkidbError('BAD_INPUT', 'a payload is an object')
  const whole = new Map<string, JsonValue>(payload as JsonObject)
  const fields = sparseFieldsOf(schema)
  for (const [name, vector] of Object.entries(record.sparse ?? {})) {
    if (!fields.includes(name)) {
      throw new AkidbError('BAD_INPUT', `there are no sparse vectors "${name}" here`)
    }
    if (whole.has(name)) {
      throw new AkidbError('BAD_INPUT', `"${name}" stands in the payload and in sparse`)
    }
    whole.set(name, sparseToJson(checkedSparse(vector)))
  }
  for (const field of fields) sparseFromJson(whole.get(field))
  return whole
}
