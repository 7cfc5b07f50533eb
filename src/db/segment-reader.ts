import { openVectorIndex } from '../ann/open-index.ts'
import type { VectorIndex } from '../ann/vector-index.ts'
import type { IndexParameters, VectorSpec } from '../core/schema.ts'
import { AkidbError } from '../errors/errors.ts'
import { decodeIds, type IdTable } from '../format/ids-section.ts'
import type { BlobRole, SegmentEntry } from '../format/manifest.ts'
import { decodeOrigin, type OriginTable } from '../format/origin-section.ts'
import {
  decodePage,
  decodePageDirectory,
  type PayloadPage,
  pageOf,
} from '../format/payload-section.ts'
import { asFloat32 } from '../format/views.ts'
import { type FieldIndex, openFieldIndex } from '../search/field-index.ts'
import { openTextIndex, type TextIndex } from '../search/text-index.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { readBlob } from './blob-store.ts'
import { keep, Once } from './once.ts'
import { openPagedBlob, type PagedBlob } from './paged-blob.ts'

type Sections = ReadonlyMap<string, Uint8Array>

/** Decoded payload pages kept: 32 × about 64 KiB. */
const PAGES_KEPT_MAX = 32

/** Files of the optional hnswlib provider; its graphs live in the cache and never in a manifest. */
export type ForeignIndexLoader = (
  entry: SegmentEntry,
  spec: VectorSpec,
  parameters: IndexParameters,
  vectors: Float32Array,
) => Promise<VectorIndex>

/**
 * The blobs of one segment, opened as they are needed and checked before they are believed. It
 * knows nothing of tombstones: those belong to a state, and several states may share one segment.
 */
export class SegmentReader {
  readonly entry: SegmentEntry
  readonly #store: ObjectStore
  readonly #blobs = new Map<BlobRole, Promise<Sections>>()
  readonly #pageCache = new Map<number, Promise<string[]>>()
  readonly #ids = new Once<IdTable>()
  readonly #origin = new Once<OriginTable>()
  readonly #fields = new Once<FieldIndex>()
  readonly #text = new Once<TextIndex>()
  readonly #vectors = new Once<VectorIndex>()
  readonly #pages = new Once<PageSource>()

  constructor(store: ObjectStore, entry: SegmentEntry) {
    this.#store = store
    this.entry = entry
  }

  get rows(): number {
    return this.entry.rows
  }

  has(role: BlobRole): boolean {
    return this.entry.blobs.some((blob) => blob.role === role || blob.role === 'pack')
  }

  ids(): Promise<IdTable> {
    return this.#ids.get(async () => decodeIds(await this.#sections('ids'), this.rows))
  }

  origin(): Promise<OriginTable> {
    return this.#origin.get(async () => decodeOrigin(await this.#sections('origin'), this.rows))
  }

  fields(): Promise<FieldIndex> {
    return this.#fields.get(async () =>
      openFieldIndex(required(await this.#sections('fields'), 'fields'), this.rows),
    )
  }

  /** Undefined where the segment was written before the collection had text fields. */
  async text(): Promise<TextIndex | undefined> {
    if (!this.has('text')) return undefined
    const sections = await this.#sections('text')
    const bytes = sections.get('text')
    if (bytes === undefined) return undefined
    return await this.#text.get(async () => openTextIndex(bytes, this.rows))
  }

  /** Whether a graph is stored with it. */
  async hasGraph(): Promise<boolean> {
    if (this.entry.blobs.some((blob) => blob.role === 'graph')) return true
    if (!this.entry.blobs.some((blob) => blob.role === 'pack')) return false
    return (await this.#sections('pack')).has('graph')
  }

  vectorIndex(
    spec: VectorSpec,
    parameters: IndexParameters,
    foreign?: ForeignIndexLoader,
  ): Promise<VectorIndex> {
    return this.#vectors.get(() => this.#openVectors(spec, parameters, foreign))
  }

  /** The stored vectors, row major. */
  async rawVectors(spec: VectorSpec): Promise<Float32Array> {
    const vectors = asFloat32(required(await this.#sections('vectors'), 'vec'))
    this.#blobs.delete('vectors')
    if (vectors.length !== this.rows * spec.dimension) throw broken('vectors of another length')
    return vectors
  }

  /** The payload of a row as compact JSON text. */
  async payload(row: number): Promise<string> {
    const source = await this.#pages.get(() => this.#openPages())
    const number = pageOf(source.directory, row)
    const page = source.directory[number]
    if (page === undefined) throw broken('a row beyond its payload pages')
    const texts = await this.#page(source, number, page)
    return texts[row - page.firstRow] as string
  }

  /** Lets go of memory; open readers of the same segment open again by themselves. */
  close(): void {
    void this.#vectors.made?.then(
      (index) => index.close(),
      () => undefined,
    )
    this.#blobs.clear()
    this.#pageCache.clear()
    this.#vectors.forget()
  }

  async #openVectors(
    spec: VectorSpec,
    parameters: IndexParameters,
    foreign?: ForeignIndexLoader,
  ): Promise<VectorIndex> {
    const vectors = await this.rawVectors(spec)
    if (parameters.type === 'hnswlib' && foreign !== undefined) {
      return await foreign(this.entry, spec, parameters, vectors)
    }
    const codes = this.has('codes') ? (await this.#sections('codes')).get('codes') : undefined
    const graph = (await this.hasGraph())
      ? required(await this.#sections('graph'), 'graph')
      : undefined
    const index = openVectorIndex({
      rows: this.rows,
      dimension: spec.dimension,
      metric: spec.metric,
      pieces: [vectors],
      parameters,
      ...(codes === undefined ? {} : { codes }),
      ...(graph === undefined ? {} : { graph }),
    })
    // The index holds its own copy; the file's bytes need not stay.
    for (const role of ['codes', 'graph'] as const) this.#blobs.delete(role)
    return index
  }

  #sections(role: BlobRole): Promise<Sections> {
    const ref =
      this.entry.blobs.find((blob) => blob.role === role) ??
      this.entry.blobs.find((blob) => blob.role === 'pack')
    if (ref === undefined) return Promise.reject(broken(`no blob of role ${role}`))
    return keep(this.#blobs, ref.role, async () => (await readBlob(this.#store, ref)).sections)
  }

  async #openPages(): Promise<PageSource> {
    const ref = this.entry.blobs.find((blob) => blob.role === 'payload')
    if (ref === undefined) {
      const sections = await this.#sections('pack')
      const pages = required(sections, 'pages')
      const directory = required(sections, 'pagedir')
      return {
        directory: decodePageDirectory(directory, this.rows, pages.byteLength),
        stored: async (page) => pages.subarray(page.offset, page.offset + page.storedBytes),
      }
    }
    const paged: PagedBlob = await openPagedBlob(this.#store, ref)
    const bytes = paged.sectionBytes('pagedir')
    const directory = await paged.read('pagedir', 0, bytes)
    return {
      directory: decodePageDirectory(directory, this.rows, paged.sectionBytes('pages')),
      stored: (page) => paged.read('pages', page.offset, page.storedBytes),
    }
  }

  #page(source: PageSource, number: number, page: PayloadPage): Promise<string[]> {
    const kept = keep(this.#pageCache, number, async () =>
      decodePage(await source.stored(page), page),
    )
    for (const oldest of this.#pageCache.keys()) {
      if (this.#pageCache.size <= PAGES_KEPT_MAX) break
      this.#pageCache.delete(oldest)
    }
    return kept
  }
}

interface PageSource {
  readonly directory: readonly PayloadPage[]
  readonly stored: (page: PayloadPage) => Promise<Uint8Array>
}

/** What a segment's blobs are called in a cache: its content, whatever state names it. */
export const segmentIdentity = ({ rows, blobs }: Pick<SegmentEntry, 'rows' | 'blobs'>): string =>
  [rows, ...blobs.map((blob) => blob.digest)].join()

function required(sections: Sections, name: string): Uint8Array {
  const bytes = sections.get(name)
  if (bytes === undefined) throw broken(`no section ${name}`)
  return bytes
}

const broken = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `a segment is damaged: ${what}`, {
    hint: 'Run akidb check --read-data.',
  })
