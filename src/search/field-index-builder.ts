import type { JsonObject } from '../core/json.ts'
import { encodeFields } from './field-index-encode.ts'
import { KEYS_MAX } from './field-index-format.ts'
import { FieldRows } from './field-rows.ts'
import { forEachField } from './field-values.ts'

export interface FieldIndexBuilder {
  /** Adds the next row. */
  add(payload: JsonObject): void
  /** The index as bytes; the same rows give the same bytes on every machine. Once, at the end. */
  encode(): Uint8Array
}

/** Builds the filter index of one segment, row by row. */
export function createFieldIndexBuilder(): FieldIndexBuilder {
  const keys = new Map<string, FieldRows>()
  let rows = 0
  let overflow = false
  return {
    add: (payload) => {
      forEachField(payload, (key, value) => {
        let known = keys.get(key)
        if (known === undefined) {
          if (keys.size >= KEYS_MAX) {
            overflow = true
            return
          }
          known = new FieldRows()
          keys.set(key, known)
        }
        known.add(value, rows)
      })
      rows++
    },
    encode: () => encodeFields(keys, rows, overflow),
  }
}
