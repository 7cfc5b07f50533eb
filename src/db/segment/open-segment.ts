import { setImmediate } from 'node:timers/promises'
import { checkCodesAndLinks, openEarly, openVectorIndexStream } from '../../ann/open-index.ts'
import type { EarlyIndex, OpenIndexStream, Placement, VectorIndex } from '../../ann/vector-index.ts'
import type { IndexParameters, VectorSpec } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { ChunkDigests } from '../../format/chunks.ts'
import type { BlobRef, BlobRole } from '../../format/manifest.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { CheckedBlob, type ChunkHashing } from './checked-blob.ts'
import type { VectorRows } from './vector-rows.ts'

/** One section of a segment, as it is read. */
type SectionStream = Iterable<Uint8Array> | AsyncIterable<Uint8Array>

/** The parts that a vector index is opened from. */
export interface IndexParts {
  readonly rows: number
  readonly spec: VectorSpec
  readonly parameters: IndexParameters
  readonly placement: Placement
  readonly vectors: VectorRows
  readonly codes: SectionStream | undefined
  readonly graph: SectionStream | undefined
  /** Threads that may search it at once. */
  readonly contexts: number
  readonly digests?: ChunkDigests
}

/**
 * Reads the parts straight into the memory where they are searched, piece by piece, each piece
 * checked before it is believed: what is read is never whole in JavaScript's memory.
 *
 * @throws INTEGRITY, LIMIT, NO_SPACE
 */
export const openSegmentIndex = (parts: IndexParts): Promise<VectorIndex> =>
  openVectorIndexStream(streamOf(parts))

/**
 * The same without the rows at first (see openEarly): of a segment whose codes are stored and whose
 * rows could stay on disk.
 */
export const openSegmentEarly = (parts: IndexParts): Promise<EarlyIndex> =>
  openEarly(streamOf(parts))

/** The same checks of codes and links, whose rows can stay on disk; nothing is kept. */
export const checkSegmentIndex = (parts: IndexParts): Promise<void> =>
  checkCodesAndLinks(streamOf({ ...parts, placement: 'disk' }))

function streamOf(parts: IndexParts): OpenIndexStream {
  const { rows, spec, parameters, placement, vectors, codes, graph, contexts, digests } = parts
  return {
    rows,
    dimension: spec.dimension,
    metric: spec.metric,
    parameters,
    ...(placement === 'memory' ? rowsOf(vectors, digests) : {}),
    ...(codes === undefined ? {} : { codes }),
    ...(graph === undefined ? {} : { graph }),
    contexts,
    pause: () => setImmediate(),
  }
}

/** Straight into place where that can be done. */
const rowsOf = (
  vectors: VectorRows,
  digests?: ChunkDigests,
): Pick<OpenIndexStream, 'pieces' | 'fill'> =>
  vectors.fill === undefined
    ? { pieces: vectors.pieces() }
    : {
        pieces: vectors.pieces(),
        fill: (into, signal) => vectors.fill?.(into, digests, signal) ?? Promise.resolve(),
      }

/** The one section of a blob of role `codes` or `graph`. @throws INTEGRITY */
export async function* sectionOf(
  store: ObjectStore,
  ref: BlobRef,
  section: BlobRole,
  hashing?: ChunkHashing,
): AsyncIterable<Uint8Array> {
  const blob = await CheckedBlob.open(store, ref)
  if (blob.sectionBytes(section) === undefined) {
    throw new AkidbError('INTEGRITY', `a segment is damaged: no section ${section}`, {
      hint: 'Run akidb check --read-data.',
    })
  }
  yield* blob.stream(section, hashing)
}
