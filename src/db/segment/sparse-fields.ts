import type { JsonObject } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import { type Schema, type SparseSpec, sparseFieldsOf } from '../../core/schema.ts'
import { sparseFromJson } from '../../core/sparse-json.ts'
import { AkidbError } from '../../errors/errors.ts'
import { type SectionInput, section } from '../../format/blob.ts'
import { createSparseIndexBuilder } from '../../search/sparse-index-builder.ts'

/** Section with the index of a field, by its place in the order of their names. */
export const sparseSection = (number: number): string => `sparse${number}`

/**
 * Specs of named fields. @throws USAGE for a name that cannot be one, or that stands twice; LIMIT
 * over sparseFieldsMax
 */
export function sparseSpecs(fields: readonly string[] = []): Record<string, SparseSpec> {
  if (fields.length > limits.sparseFieldsMax) {
    throw new AkidbError('LIMIT', `${fields.length} fields with sparse vectors`, {
      hint: `At most ${limits.sparseFieldsMax} (sparseFieldsMax).`,
    })
  }
  const specs: Record<string, SparseSpec> = {}
  for (const field of fields) {
    if (field === '' || field === '__proto__' || Object.hasOwn(specs, field)) {
      throw new AkidbError('USAGE', `"${field}" cannot name sparse vectors, or stands twice`)
    }
    specs[field] = { kind: 'sparse' }
  }
  return specs
}

/** Indexes of a segment's sparse vectors, made of the payloads as the text index is. */
export interface SparseFields {
  /**
   * Takes the next row; returns what of its payload filters are asked about: that there is a sparse
   * vector, and not the thousands of numbers in it.
   */
  add(payload: JsonObject): JsonObject
  sections(): SectionInput[]
}

const NUMBERS: JsonObject = new Map()

export function createSparseFields(schema: Schema): SparseFields {
  const fields = sparseFieldsOf(schema)
  const builders = fields.map(() => createSparseIndexBuilder())
  return {
    add: (payload) => {
      if (fields.length === 0) return payload
      const rest = new Map(payload)
      for (const [number, field] of fields.entries()) {
        const vector = sparseFromJson(payload.get(field))
        builders[number]?.add(vector)
        if (vector !== undefined) rest.set(field, NUMBERS)
      }
      return rest
    },
    sections: () =>
      builders.map((builder, number) => section(sparseSection(number), builder.encode())),
  }
}
