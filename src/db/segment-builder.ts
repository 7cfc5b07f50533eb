import type { BuiltIndex, IndexBuilder } from '../ann/vector-index.ts'
import type { JsonObject } from '../core/json.ts'
import { stringifyJson } from '../core/json.ts'
import { limits } from '../core/limits.ts'
import type { IndexParameters, Schema } from '../core/schema.ts'
import { type SectionInput, section } from '../format/blob.ts'
import { encodeIds } from '../format/ids-section.ts'
import type { BlobRef, BlobRole, SegmentEntry } from '../format/manifest.ts'
import { encodeOrigin } from '../format/origin-section.ts'
import { createPayloadPageWriter } from '../format/payload-section.ts'
import { bytesOf } from '../format/views.ts'
import { createFieldIndexBuilder } from '../search/field-index-builder.ts'
import { createTextIndexBuilder } from '../search/text-index-builder.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { writeBlob } from './blob-store.ts'
import { PiecePool } from './piece-pool.ts'
import type { WriterPin } from './pins.ts'

/** One row to be stored. */
export interface SegmentRow {
  readonly id: string
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
}

/** A segment whose blobs are durable; its key and source ordinals come with the commit. */
export interface NewSegment extends Omit<SegmentEntry, 'key' | 'sources' | 'tombstones'> {}

export interface SegmentTargets {
  readonly store: Pick<ObjectStore, 'stage'>
  readonly pin: WriterPin
  readonly builder: () => IndexBuilder
  readonly signal?: AbortSignal | undefined
}

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
 * Collects rows into one segment. Bytes depend on the rows alone: no clock, no thread count, no
 * memory pressure.
 */
export class SegmentBuilder {
  readonly #plan: SegmentPlan
  readonly #dimension: number
  readonly #rowsMax: number
  readonly #ids: string[] = []
  #pieces: Float32Array[] = []
  readonly #pages = createPayloadPageWriter()
  readonly #fields = createFieldIndexBuilder()
  readonly #text
  readonly #sources: number[] = []
  readonly #positions: bigint[] = []
  readonly #pool: PiecePool

  /** @param pool where the memory of vectors comes from and goes back to */
  constructor(plan: SegmentPlan, pool = new PiecePool()) {
    this.#plan = plan
    this.#pool = pool
    this.#dimension = plan.schema.vectors['']?.dimension ?? 0
    this.#rowsMax = segmentRowsOf(this.#dimension)
    const textFields = plan.schema.text.fields
    this.#text = textFields.length === 0 ? undefined : createTextIndexBuilder(textFields)
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
    this.#fields.add(row.payload)
    this.#text?.add(row.payload)
    this.#sources.push(row.source)
    this.#positions.push(BigInt(row.position))
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
    const { built, vectors } = await this.#finishVectors(targets)
    const pages = this.#pages.finish()
    const parts = this.#sections(built, pages.sections)
    const total = parts.reduce((sum, part) => sum + bytesIn(part.sections), 0)
    const blobs: BlobRef[] = []
    if (total < limits.packBytesMax) {
      const sections = parts.flatMap((part) => part.sections)
      blobs.push(await this.#write(targets, 'pack', sections))
    } else {
      for (const { role, sections } of parts) {
        const written = role === 'vectors' ? vectors : undefined
        blobs.push(written ?? (await this.#write(targets, role, sections)))
      }
    }
    this.#release()
    return { rows: this.rows, blobs, payloadBytes: pages.decodedBytes }
  }

  /** Builds the index; vectors that get a blob of their own are written meanwhile. */
  async #finishVectors(
    targets: SegmentTargets,
  ): Promise<{ built: BuiltIndex | undefined; vectors: BlobRef | undefined }> {
    const section = this.#vectorSection()
    const early = section.bytes >= limits.packBytesMax
    const [built, vectors] = await Promise.allSettled([
      this.#buildIndex(targets),
      early ? this.#write(targets, 'vectors', [section]) : undefined,
    ])
    if (built.status === 'rejected') throw built.reason
    if (vectors.status === 'rejected') throw vectors.reason
    if (early) this.#release()
    return { built: built.value, vectors: vectors.value }
  }

  #release(): void {
    this.#pool.give(this.#pieces)
    this.#pieces = []
  }

  #vectorSection(): SectionInput {
    return { name: 'vec', bytes: this.rows * this.#dimension * 4, pieces: this.#vectorBytes() }
  }

  async #buildIndex(targets: SegmentTargets): Promise<BuiltIndex | undefined> {
    const spec = this.#plan.schema.vectors['']
    if (spec === undefined) return undefined
    const graph = this.#plan.withGraph && this.#plan.index.type === 'hnsw'
    const parameters: IndexParameters = graph
      ? this.#plan.index
      : { ...this.#plan.index, type: 'flat' }
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
    for (const piece of this.#vectorPieces()) yield bytesOf(piece)
  }

  #sections(built: BuiltIndex | undefined, pages: readonly SectionInput[]): RoleSections[] {
    const origin = {
      sources: Uint32Array.from(this.#sources),
      rows: BigUint64Array.from(this.#positions),
    }
    const parts: RoleSections[] = [{ role: 'ids', sections: encodeIds(this.#ids) }]
    if (built !== undefined) {
      parts.push({ role: 'vectors', sections: [this.#vectorSection()] })
      parts.push({ role: 'codes', sections: [section('codes', built.codes)] })
      if (built.graph !== undefined) {
        parts.push({ role: 'graph', sections: [section('graph', built.graph)] })
      }
    }
    parts.push({ role: 'payload', sections: pages })
    parts.push({ role: 'origin', sections: encodeOrigin(origin) })
    parts.push({ role: 'fields', sections: [section('fields', this.#fields.encode())] })
    if (this.#text !== undefined) {
      parts.push({ role: 'text', sections: [section('text', this.#text.encode())] })
    }
    return parts
  }

  #write(
    targets: SegmentTargets,
    role: BlobRole,
    sections: readonly SectionInput[],
  ): Promise<BlobRef> {
    const input = { role, records: this.rows, dimension: this.#dimension, sections }
    return writeBlob(targets.store, targets.pin, input)
  }
}

interface RoleSections {
  readonly role: BlobRole
  readonly sections: readonly SectionInput[]
}

const bytesIn = (sections: readonly SectionInput[]): number =>
  sections.reduce((sum, item) => sum + item.bytes, 0)
