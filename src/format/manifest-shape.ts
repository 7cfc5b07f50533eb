import { limits } from '../core/limits.ts'
import { METRICS } from '../core/metric.ts'
import {
  type CodesMeasure,
  FIELD_TYPES,
  INDEX_TYPES,
  QUANTIZATIONS,
  type SparseSpec,
  VECTOR_STORAGES,
  type VectorSpec,
} from '../core/schema.ts'
import {
  type Check,
  dictionary,
  list,
  literal,
  object,
  optional,
  ShapeError,
  text,
  whole,
} from '../core/shape.ts'
import { chunkBytesOf } from './blob.ts'
import { chunkLayout } from './chunks.ts'
import {
  BLOB_ROLES,
  type BlobRef,
  type BlobRole,
  COMMIT_ACTS,
  type CollectionState,
  type Commit,
  type SegmentEntry,
  type SourceEntry,
} from './manifest.ts'
import { requiresOf } from './requires.ts'

/** Sources that one blob of them may list. */
const OLDER_SOURCES_MAX = 10_000_000

/** Largest segment key and source ordinal: blobs hold them as u32. */
export const ORDINAL_MAX = 2 ** 32 - 1

const digest = text(/^[0-9a-f]{64}$/)
const time = text(/^\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

const blobFields = {
  digest,
  bytes: whole(1, limits.blobBytesMax * 2),
  chunkBytes: whole(4096, limits.chunkBytesLarge),
  chunkRoot: digest,
  role: literal(...BLOB_ROLES),
}
/** A blob's entry in manifests and in bundles. */
export const blobShape: Check<BlobRef> = object(blobFields)

const share: Check<number> = (value, path) => {
  if (typeof value === 'number' && value >= 0 && value <= 1) return value
  throw new ShapeError(`${path}: expected a share of 0 to 1`)
}

export const measuredShape: Check<CodesMeasure> = object({
  form: literal(...QUANTIZATIONS),
  k: whole(1, limits.searchCountMax),
  oversampling: whole(1, limits.searchEfMax),
  samples: whole(1, limits.segmentRowsMax),
  recall: share,
})

const segment = object({
  key: whole(0, ORDINAL_MAX),
  rows: whole(1, limits.segmentRowsMax),
  blobs: list(blobShape, BLOB_ROLES.length),
  tombstones: optional(object({ ...blobFields, count: whole(1, limits.segmentRowsMax) })),
  sources: list(whole(0, ORDINAL_MAX)),
  payloadBytes: whole(),
  measured: optional(measuredShape),
})

const source = object({
  ordinal: whole(0, ORDINAL_MAX),
  name: text(),
  sha256: text(/^([0-9a-f]{64}|)$/),
  options: digest,
  rows: whole(),
  rejected: whole(),
})

/** Older sources, which have moved to a blob: as many as there were files. */
export const olderSourcesShape: Check<readonly SourceEntry[]> = list(source, OLDER_SOURCES_MAX)

const denseSpec = object({
  kind: literal('dense'),
  dimension: whole(1, limits.dimensionMax),
  metric: literal(...METRICS),
  storage: optional(literal(...VECTOR_STORAGES)),
})

const sparseSpec = object({ kind: literal('sparse') })

const vectorSpec: Check<VectorSpec | SparseSpec> = (value, path) =>
  (value as { kind?: unknown } | null)?.kind === 'sparse'
    ? sparseSpec(value, path)
    : denseSpec(value, path)

const schema = object({
  vectors: dictionary(vectorSpec),
  fields: dictionary(literal(...FIELD_TYPES)),
  text: object({
    fields: list(text(), 1_000),
    tokenizer: literal('plain/1'),
    positions: optional(literal(true)),
  }),
})

/** Line 2. Unknown top-level fields are kept: `uses` may have brought them. */
export const stateShape: Check<CollectionState> = object(
  {
    format: literal('akidb-state/1'),
    requires: list(text(), 100),
    uses: list(text(), 100),
    dropped: optional(literal(true)),
    schema,
    index: object({
      type: literal(...INDEX_TYPES),
      m: whole(2, 64),
      efConstruction: whole(2, 2_000),
      quantization: optional(literal(...QUANTIZATIONS)),
    }),
    nextSegment: whole(0, ORDINAL_MAX),
    nextSource: whole(0, ORDINAL_MAX),
    segments: list(segment, limits.segmentsMax),
    sources: list(source, limits.manifestSourcesMax),
    sourcesBlob: optional(blobShape),
  },
  true,
)

/** Line 1. */
export const commitShape: Check<Commit> = object(
  {
    format: literal('akidb-manifest/1'),
    collection: text(/^[0-9a-f]{32}$/),
    name: text(),
    version: whole(1),
    parent: (value, path) => (value === null ? null : digest(value, path)),
    epoch: whole(),
    committedAt: time,
    act: literal(...COMMIT_ACTS),
    actId: text(/^[0-9a-f]{16}$/),
    actor: text(),
    audit: object({ logId: text(), size: whole(), root: digest }),
    origin: optional(
      object({
        headDigest: digest,
        logId: text(),
        epoch: whole(),
        sequence: whole(),
        committedAt: time,
        keyId: text(),
        diverged: optional(literal(true)),
      }),
    ),
    log: optional(object({ epoch: whole(), folded: whole(), seen: whole() })),
    changed: object({ inserted: whole(), updated: whole(), deleted: whole() }),
    stateRoot: digest,
  },
  true,
)

/**
 * What is wrong with a state whose fields are all of the right kind, if anything: keys and ordinals
 * are used once and below the next one, no blob stands in another's place, nothing is larger than
 * what holds it, and a version that would misread it is told so.
 */
export function stateFlaw(state: CollectionState): string | undefined {
  const unsaid = requiresOf(state.schema).find((feature) => !state.requires.includes(feature))
  if (unsaid !== undefined) return `it needs ${unsaid} and does not say so`
  const keys = new Set<number>()
  for (const segment of state.segments) {
    if (keys.has(segment.key) || segment.key >= state.nextSegment) {
      return `segment key ${segment.key} is not one of its own`
    }
    keys.add(segment.key)
    const flaw = segmentFlaw(segment, state.nextSource)
    if (flaw !== undefined) return `segment ${segment.key} ${flaw}`
  }
  let last = -1
  for (const { ordinal } of state.sources) {
    if (ordinal <= last || ordinal >= state.nextSource) return `source ${ordinal} is out of order`
    last = ordinal
  }
  if (state.sourcesBlob !== undefined && !fitsRole(state.sourcesBlob, 'sources')) {
    return 'the blob of sources is none'
  }
  return state.index.m > state.index.efConstruction ? 'efConstruction is below m' : undefined
}

function segmentFlaw(segment: SegmentEntry, nextSource: number): string | undefined {
  const roles = new Set(segment.blobs.map(({ role }) => role))
  if (roles.size !== segment.blobs.length || roles.has('tombstones') || roles.has('sources')) {
    return 'has blobs that do not belong together'
  }
  if (!segment.blobs.every((ref) => fitsRole(ref, ref.role))) return 'has a blob of no such size'
  if (segment.sources.some((ordinal) => ordinal >= nextSource)) return 'names a source to come'
  const { tombstones } = segment
  if (tombstones === undefined) return undefined
  if (!fitsRole(tombstones, 'tombstones')) return 'has tombstones that are none'
  return tombstones.count > segment.rows ? 'has more dead rows than rows' : undefined
}

const fitsRole = (ref: BlobRef, role: BlobRole): boolean =>
  ref.role === role &&
  ref.chunkBytes === chunkBytesOf(role) &&
  chunkLayout(ref.bytes, ref.chunkBytes) !== undefined
