import { fromPlain, type JsonObject } from '../core/json.ts'
import { parseRecordId } from '../core/record-id.ts'
import type { Schema } from '../core/schema.ts'
import { AkidbError, DimensionMismatchError } from '../errors/errors.ts'
import type { RecordInput } from './api.ts'
import type { LogRow } from './log-rows.ts'
import { vectorSpecOf } from './view.ts'

/**
 * Checks a record that a caller hands in.
 *
 * @throws BAD_INPUT for an id, payload or vector that cannot be stored; DIMENSION_MISMATCH
 */
export function checkRecord(collection: string, schema: Schema, record: RecordInput): LogRow {
  const id = parseRecordId(record.id)
  const payload = payloadOf(record)
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
  let squares = 0
  for (const value of vector) {
    if (!Number.isFinite(value)) {
      throw new AkidbError('BAD_INPUT', `the vector of record "${id}" holds ${value}`)
    }
    squares += value * value
  }
  if (spec.metric === 'cosine' && squares === 0) {
    throw new AkidbError('BAD_INPUT', `the vector of record "${id}" is zero and has no direction`)
  }
  return { id, vector: vector.slice(), payload }
}

function payloadOf(record: RecordInput): JsonObject {
  const payload = fromPlain(record.payload ?? {})
  if (payload instanceof Map) return payload
  throw new AkidbError('BAD_INPUT', 'a payload is an object')
}
