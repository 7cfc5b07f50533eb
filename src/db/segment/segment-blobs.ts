import type { BuiltIndex, IndexBuilder } from '../../ann/vector-index.ts'
import { limits } from '../../core/limits.ts'
import { componentBytes, type IndexParameters, type VectorSpec } from '../../core/schema.ts'
import { type SectionInput, section } from '../../format/blob.ts'
import type { BlobRef, BlobRole } from '../../format/manifest.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { writeBlob } from '../states/blob-store.ts'
import type { WriterPin } from '../states/pins.ts'

/** Where a segment's blobs go, and who builds its index. */
export interface SegmentTargets {
  readonly store: Pick<ObjectStore, 'stage'>
  readonly pin: WriterPin
  readonly builder: () => IndexBuilder
  readonly signal?: AbortSignal | undefined
}

/** What one blob of a segment is made of. */
export interface RoleSections {
  readonly role: BlobRole
  readonly sections: readonly SectionInput[]
}

/** The order of a segment's blobs, and of the sections of a pack. */
const ROLES: readonly BlobRole[] = [
  'ids',
  'vectors',
  'codes',
  'graph',
  'payload',
  'origin',
  'fields',
  'text',
  'sparse',
]

export const byRole = (a: { readonly role: BlobRole }, b: { readonly role: BlobRole }): number =>
  ROLES.indexOf(a.role) - ROLES.indexOf(b.role)

/** Bytes of the float rows as they are stored. */
export const vectorBytesOf = (rows: number, spec: VectorSpec | undefined): number =>
  spec === undefined ? 0 : rows * spec.dimension * componentBytes(spec.storage)

/** Whether every role gets a blob of its own, whatever the index takes. */
export const isLarge = (rows: number, spec: VectorSpec | undefined): boolean =>
  vectorBytesOf(rows, spec) >= limits.packBytesMax

/** What a segment is built with: codes alone where no graph is wanted. */
export const buildParameters = (index: IndexParameters, withGraph: boolean): IndexParameters =>
  withGraph && index.type === 'hnsw' ? index : { ...index, type: 'flat' }

/** What a build left, as parts of a segment. */
export function* indexParts({ codes, graph }: BuiltIndex): Iterable<RoleSections> {
  yield { role: 'codes', sections: [section('codes', codes)] }
  if (graph !== undefined) yield { role: 'graph', sections: [section('graph', graph)] }
}

/** Writes one blob of a segment of that shape and makes it durable. */
export function writePart(
  { store, pin }: SegmentTargets,
  shape: { readonly rows: number; readonly dimension: number },
  { role, sections }: RoleSections,
): Promise<BlobRef> {
  const { rows, dimension } = shape
  return writeBlob(store, pin, { role, records: rows, dimension, sections })
}
