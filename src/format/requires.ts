import type { Schema } from '../core/schema.ts'

/** Vectors are stored as f16: `vec` has 2 bytes a component. */
const F16 = 'f16@0.1.0'

/**
 * Features that this version reads, each `<feature>@<least version of akidb>`. A state that
 * requires another is FORMAT_VERSION.
 */
export const KNOWN_REQUIRES: readonly string[] = [F16]

/** Features without which a collection of this schema would be misread. */
export const requiresOf = ({ vectors }: Pick<Schema, 'vectors'>): string[] =>
  Object.values(vectors).some((spec) => spec.kind === 'dense' && spec.storage === 'f16')
    ? [F16]
    : []
