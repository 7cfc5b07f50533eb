import { setImmediate } from 'node:timers/promises'
import type { BuiltIndex } from '../../ann/vector-index.ts'
import { encodeFloat16 } from '../../core/float16.ts'
import type { JsonObject } from '../../core/json.ts'
import { stringifyJson } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import type { IndexParameters, Schema } from '../../core/schema.ts'
import { type SectionInput, section } from '../../format/blob.ts'
import { encodeIds } from '../../format/ids-section.ts'
import type { BlobRef, SegmentEntry } from '../../format/manifest.ts'
import { encodeOrigin } from '../../format/origin-section.ts'
import { createPayloadPageWriter, type PayloadTier } from '../../format/payload-section.ts'
import { bytesOf } from '../../format/views.ts'
import { createFieldIndexBuilder } from '../../search/field-index-builder.ts'
import { createTextIndexBuilder } from '../../search/text-index-builder.ts'
import { PiecePool } from './piece-pool.ts'
import {
  buildParameters,
  byRole,
  indexParts,
  isLarge,
  type RoleSections,
  type SegmentTargets,
  vectorBytesOf,
  writePart,
} from './segment-blobs.ts'
import { createSparseFields } from './sparse-fields.ts'
import { vectorSpecOf } from './view.ts'

/** One row to be stored. */
export interface SegmentRow {
  readonly id: string
  /** Rounded to what is stored. */
  readonly vector?: Float32Array | undefined
  readonly payload: JsonObject
  /** Index into the segment's own list of sources; NO_SOURCE for none. */
  readonly source: number
  /** Line or row in that source. */
  readonly position: number | bigint
}

export interface SegmentPlan {
  readonly schema: Schema
  readonly index: IndexParameters
  /** false: no graph now (`--no-index`). */
  readonly withGraph: boolean
  /** How well payloads are compressed: by who writes the segment, and for how long. */
  readonly tier: PayloadTier
}

/** A segment whose blobs are durable; its key and source ordinals come with the commit. */
export interface NewSegment extends Omit<SegmentEntry, 'key' | 'sources' | 'tombstones'> {}

/** Encoding a part of so many rows takes long enough for others to want their turn. */
const TURN_ROWS = 1_024
/** Rows of vectors collected into one piece before the next begins. */
const PIECE_ROWS = 1_024

/** Rows after which a segment of this dimension is full; 0 dimensions: text alone. */
export const segmentRowsOf = (dimension: number): number =>
  Math.max(
    1,
    Math.min(
      limits.segmentRowsMax,
      dimension === 0
        ? limits.segmentRowsMax
        : Math.floor(limits.segmentBytesMax / (4 * dimension)),
    ),
  )

/**
 * Collects rows into one segment. Bytes depend on the rows and the plan alone: no clock, no thread
 * count, no memory pressure.
 */
export class SegmentBuilder {
  readonly #plan: SegmentPlan
  readonly #dimension: number
  readonly #rowsMax: number
  readonly #ids: string[] = []
  #pieces: Float32Array[] = []
  readonly #pages
  readonly #fields = createFieldIndexBuilder()
  readonly #text
  readonly #sparse
  readonly #sources: number[] = []
  readonly #positions: (number | bigint)[] = []
  readonly #pool: PiecePool

  /** @param pool where the memory of vectors comes from and goes back to */
  constructor(plan: SegmentPlan, pool = new PiecePool()) {
    this.#plan = plan
    this.#pool = pool
    this.#dimension = vectorSpecOf(plan.schema)?.dimension ?? 0
    this.#rowsMax = segmentRowsOf(this.#dimension)
    this.#pages = createPayloadPageWriter(plan.tier)
    const { fields, positions } = plan.schema.text
    this.#sparse = createSparseFields(plan.schema)
    this.#text = fields.length === 0 ? undefined : createTextIndexBuilder(fields, { positions })
  }

  get rows(): number {
    return this.#ids.length
  }

  /** Whether the next row belongs to another segment. */
  get full(): boolean {
    return this.rows >= this.#rowsMax || this.#pages.decodedBytes >= limits.segmentBytesMax
  }

  add(row: SegmentRow): void {
    const at = this.rows
    this.#ids.push(row.id)
    if (this.#dimension > 0) this.#addVector(at, row.vector)
    this.#pages.add(stringifyJson(row.payload))
    this.#fields.add(this.#sparse.add(row.payload))
    this.#text?.add(row.payload)
    this.#sources.push(row.source)
    this.#positions.push(row.position)
  }

  #addVector(row: number, vector: Float32Array | undefined): void {
    if (vector?.length !== this.#dimension) throw new Error('a row without its vector')
    const slot = row % PIECE_ROWS
    if (slot === 0) {
      const rows = Math.min(PIECE_ROWS, this.#rowsMax - row)
      this.#pieces.push(this.#pool.take(rows * this.#dimension))
    }
    this.#pieces[this.#pieces.length - 1]?.set(vector, slot * this.#dimension)
  }

  /** Builds the index and writes the blobs. At least one row. */
  async finish(targets: SegmentTargets): Promise<NewSegment> {
    const large = isLarge(this.rows, vectorSpecOf(this.#plan.schema))
    const [index, early] = await Promise.allSettled([
      this.#buildIndex(targets),
      large ? this.#writeEach(targets, this.#rowParts()) : [],
    ])
    if (index.status === 'rejected') throw index.reason
    if (early.status === 'rejected') throw early.reason
    if (large) this.#release()
    const built = index.value
    const blobs = large
      ? [...early.value, ...(await this.#writeEach(targets, this.#otherParts(built)))]
      : await this.#writeAll(targets, await this.#allParts(built))
    this.#release()
    const measured = built?.measured
    return {
      rows: this.rows,
      blobs: blobs.sort(byRole),
      payloadBytes: this.#pages.decodedBytes,
      ...(measured === undefined ? {} : { measured }),
    }
  }

  /** Searches and writes get their turn after each: a server commits its log this way. */
  async #allParts(built: BuiltIndex | undefined): Promise<RoleSections[]> {
    const parts: RoleSections[] = []
    for (const source of [this.#rowParts(), this.#otherParts(built)]) {
      for (const part of source) {
        parts.push(part)
        if (this.rows >= TURN_ROWS) await setImmediate()
      }
    }
    return parts
  }

  /** Writes a blob for each role, or one for all where they are small. */
  async #writeAll(targets: SegmentTargets, parts: RoleSections[]): Promise<BlobRef[]> {
    const total = parts.reduce((sum, part) => sum + bytesIn(part.sections), 0)
    if (total >= limits.packBytesMax) return await this.#writeEach(targets, parts)
    const sections = parts.sort(byRole).flatMap((part) => part.sections)
    return [await this.#write(targets, { role: 'pack', sections })]
  }

  /** One after the other, as each is encoded. */
  async #writeEach(targets: SegmentTargets, parts: Iterable<RoleSections>): Promise<BlobRef[]> {
    const blobs: BlobRef[] = []
    for (const part of parts) blobs.push(await this.#write(targets, part))
    return blobs
  }

  #release(): void {
    this.#pool.give(this.#pieces)
    this.#pieces = []
  }

  #vectorSection(): SectionInput {
    const bytes = vectorBytesOf(this.rows, vectorSpecOf(this.#plan.schema))
    return { name: 'vec', bytes, pieces: this.#vectorBytes() }
  }

  async #buildIndex(targets: SegmentTargets): Promise<BuiltIndex | undefined> {
    const spec = vectorSpecOf(this.#plan.schema)
    if (spec === undefined) return undefined
    const parameters = buildParameters(this.#plan.index, this.#plan.withGraph)
    const vectors = {
      rows: this.rows,
      dimension: spec.dimension,
      metric: spec.metric,
      pieces: this.#vectorPieces(),
    }
    return await targets.builder().build(vectors, parameters, targets.signal)
  }

  *#vectorPieces(): Iterable<Float32Array> {
    for (const [i, piece] of this.#pieces.entries()) {
      const rows = Math.min(PIECE_ROWS, this.rows - i * PIECE_ROWS)
      yield piece.subarray(0, rows * this.#dimension)
    }
  }

  *#vectorBytes(): Iterable<Uint8Array> {
    const half = vectorSpecOf(this.#plan.schema)?.storage === 'f16'
    for (const piece of this.#vectorPieces()) yield bytesOf(half ? encodeFloat16(piece) : piece)
  }

  /**
   * What needs no index: of a large segment it is encoded and written while the index is built.
   */
  *#rowParts(): Iterable<RoleSections> {
    if (this.#dimension > 0) yield { role: 'vectors', sections: [this.#vectorSection()] }
    yield { role: 'ids', sections: encodeIds(this.#ids) }
    yield { role: 'payload', sections: this.#pages.finish().sections }
    const origin = {
      sources: Uint32Array.from(this.#sources),
      rows: BigUint64Array.from(this.#positions, BigInt),
    }
    yield { role: 'origin', sections: encodeOrigin(origin) }
    yield { role: 'fields', sections: [section('fields', this.#fields.encode())] }
  }

  *#otherParts(built: BuiltIndex | undefined): Iterable<RoleSections> {
    if (built !== undefined) yield* indexParts(built)
    if (this.#text !== undefined) {
      yield { role: 'text', sections: [section('text', this.#text.encode())] }
    }
    const sparse = this.#sparse.sections()
    if (sparse.length > 0) yield { role: 'sparse', sections: sparse }
  }

  #write(targets: SegmentTargets, part: RoleSections): Promise<BlobRef> {
    return writePart(targets, { rows: this.rows, dimension: this.#dimension }, part)
  }
}

const bytesIn = (sections: readonly SectionInput[]): number =>
  sections.reduce((sum, item) => sum + item.bytes, 0)
