import type { Placement, VectorIndex } from '../../ann/vector-index.ts'
import type { WorkerPool } from '../../ann/worker-pool.ts'
import { limits } from '../../core/limits.ts'
import type { IndexParameters, VectorSpec } from '../../core/schema.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { decodeIds, type IdTable } from '../../format/ids-section.ts'
import type { BlobRole, SegmentEntry } from '../../format/manifest.ts'
import { decodeOrigin, type OriginTable } from '../../format/origin-section.ts'
import {
  decodePageDirectory,
  openPage,
  type PayloadPage,
  pageOf,
} from '../../format/payload-section.ts'
import { type FieldIndex, openFieldIndex } from '../../search/field-index.ts'
import { openSparseIndex, type SparseIndex } from '../../search/sparse-index.ts'
import { openTextIndex, type TextIndex } from '../../search/text-index.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { readBlob } from '../states/blob-store.ts'
import { CheckedBlob } from './checked-blob.ts'
import { keep, Once } from './once.ts'
import { openSegmentIndex, sectionOf } from './open-segment.ts'
import { PageCache } from './page-cache.ts'
import { sparseSection } from './sparse-fields.ts'
import { rowsInMemory, rowsOnDisk, type VectorRows } from './vector-rows.ts'

type Sections = ReadonlyMap<string, Uint8Array>

/** What the segments of one collection share. */
export interface ReaderShare {
  readonly pages: PageCache
  /** Threads that search; absent: the calling one alone. */
  readonly workers?: (() => WorkerPool) | undefined
}

/** Files of the optional hnswlib provider; its graphs live in the cache and never in a manifest. */
export type ForeignIndexLoader = (
  entry: SegmentEntry,
  spec: VectorSpec,
  parameters: IndexParameters,
  vectors: VectorRows,
) => Promise<VectorIndex>

/** How a segment's vector index is opened. */
export interface IndexOpening {
  readonly foreign?: ForeignIndexLoader | undefined
  /** Where the float32 rows go, where there is a choice; default: memory. */
  readonly placement?: Placement
}

/**
 * The blobs of one segment, opened as they are needed and checked before they are believed. It
 * knows nothing of tombstones: those belong to a state, and several states may share one segment.
 */
export class SegmentReader {
  readonly entry: SegmentEntry
  readonly #store: ObjectStore
  readonly #blobs = new Map<BlobRole, Promise<Sections>>()
  readonly #share: ReaderShare
  readonly #ids = new Once<IdTable>()
  readonly #origin = new Once<OriginTable>()
  readonly #fields = new Once<FieldIndex>()
  readonly #text = new Once<TextIndex>()
  readonly #sparse = new Map<number, Promise<SparseIndex>>()
  readonly #vectors = new Once<VectorIndex>()
  readonly #vectorRows = new Once<VectorRows>()
  #placement: Placement | undefined
  #index: VectorIndex | undefined
  /** Counts openings and lettings go. */
  #turn = 0
  readonly #pages = new Once<PageSource>()
  #pageSource: PageSource | undefined

  constructor(store: ObjectStore, entry: SegmentEntry, share: ReaderShare = ownShare()) {
    this.#store = store
    this.entry = entry
    this.#share = share
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

  /** @param number place of the field among those with sparse vectors */
  sparse(number: number): Promise<SparseIndex> {
    return keep(this.#sparse, number, async () => {
      const name = sparseSection(number)
      return openSparseIndex(required(await this.#sections('sparse'), name), this.rows)
    })
  }

  /** Whether a graph is stored with it. */
  async hasGraph(): Promise<boolean> {
    if (this.entry.blobs.some((blob) => blob.role === 'graph')) return true
    if (!this.entry.blobs.some((blob) => blob.role === 'pack')) return false
    return (await this.#sections('pack')).has('graph')
  }

  /** Where the float32 rows are while its vector index is open or being opened. */
  get placement(): Placement | undefined {
    return this.#placement
  }

  /** Its index; one that is open already is taken as it is. */
  vectorIndex(
    spec: VectorSpec,
    parameters: IndexParameters,
    opening: IndexOpening = {},
  ): Promise<VectorIndex> {
    return this.#vectors.get(async () => {
      const placement = opening.placement ?? 'memory'
      const turn = ++this.#turn
      this.#placement = placement
      try {
        const index = await this.#openVectors(spec, parameters, { ...opening, placement })
        // Somebody may have let go of it meanwhile.
        if (this.#turn === turn) this.#index = index
        return index
      } catch (error) {
        if (this.#turn === turn) this.#placement = undefined
        throw error
      }
    })
  }

  /** Lets go of the index; those who search it at this moment may finish. */
  forgetIndex(): void {
    if (this.#index !== undefined) this.#share.workers?.().forget(this.#index)
    this.#vectors.forget()
    this.#turn++
    this.#index = undefined
    this.#placement = undefined
  }

  /** The stored vectors, wherever the index has them, read as they are needed. */
  vectorRows(spec: VectorSpec): Promise<VectorRows> {
    return this.#vectorRows.get(async () => {
      const { dimension, storage } = spec
      const shape = { rows: this.rows, dimension, storage }
      const ref = this.entry.blobs.find((blob) => blob.role === 'vectors')
      if (ref !== undefined) return await rowsOnDisk(this.#store, ref, shape)
      return rowsInMemory(required(await this.#sections('vectors'), 'vec'), shape)
    })
  }

  /** A copy of a stored vector. */
  async vector(spec: VectorSpec, row: number): Promise<Float32Array> {
    if (this.#index?.placement === 'memory') return this.#index.vector(row).slice()
    return await (await this.vectorRows(spec)).read([row])
  }

  /** The payload of a row as compact JSON text. */
  async payload(row: number): Promise<string> {
    return (this.payloadNow(row) ?? (await this.payloadBytes(row))).toString('utf8')
  }

  /** The same in UTF-8, checked, where its page is in memory. A view: do not change it. */
  payloadNow(row: number): Buffer | undefined {
    const source = this.#pageSource
    if (source === undefined) return undefined
    const { number, page } = placeOf(source, row)
    return this.#share.pages.now(this, number)?.text(row - page.firstRow)
  }

  /** The same, read where it is not. */
  async payloadBytes(row: number): Promise<Buffer> {
    const source = await this.#pages.get(() => this.#openPages())
    this.#pageSource = source
    const { number, page } = placeOf(source, row)
    const decoded = await this.#share.pages.get(this, number, async () =>
      openPage(await source.stored(page), page),
    )
    return decoded.text(row - page.firstRow)
  }

  /** Lets go of memory; open readers of the same segment open again by themselves. */
  close(): void {
    void this.#vectors.made?.then(
      (index) => {
        this.#share.workers?.().forget(index)
        index.close()
      },
      () => undefined,
    )
    this.forgetIndex()
    this.#vectorRows.forget()
    this.#blobs.clear()
    this.#share.pages.forget(this)
  }

  async #openVectors(
    spec: VectorSpec,
    parameters: IndexParameters,
    { foreign, placement = 'memory' }: IndexOpening,
  ): Promise<VectorIndex> {
    const vectors = await this.vectorRows(spec)
    if (parameters.type === 'hnswlib' && foreign !== undefined) {
      return await foreign(this.entry, spec, parameters, vectors)
    }
    const { rows } = this
    const workers = this.#share.workers?.()
    const contexts = workers?.contexts ?? 1
    if (placement === 'memory' && rows * spec.dimension * 4 >= SHARED_WORK_BYTES) workers?.warm()
    const [codes, graph] = [await this.#stream('codes'), await this.#stream('graph')]
    const digests = this.#digests
    const parts = { rows, spec, parameters, placement, vectors, codes, graph, contexts, digests }
    return await openSegmentIndex(parts)
  }

  /** By the workers, where they run already; else undefined. */
  readonly #digests = async (
    bytes: Uint8Array,
    chunkBytes: number,
  ): Promise<Uint8Array | undefined> => {
    const workers = this.#share.workers?.()
    if (workers?.ready !== true) return undefined
    try {
      return (await workers.digests(bytes, chunkBytes)).digests
    } catch (error) {
      // Too many wait, or one died: this thread hashes.
      if (!hasCode(error, 'LIMIT', 'INTERNAL')) throw error
      return undefined
    }
  }

  /** A section of its own blob, or of the pack; undefined where there is none. */
  async #stream(
    role: 'codes' | 'graph',
  ): Promise<Iterable<Uint8Array> | AsyncIterable<Uint8Array> | undefined> {
    const ref = this.entry.blobs.find((blob) => blob.role === role)
    if (ref !== undefined) return sectionOf(this.#store, ref, role, this.#digests)
    if (!this.has(role)) return undefined
    const section = (await this.#sections('pack')).get(role)
    return section === undefined ? undefined : [section]
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
    const blob = await CheckedBlob.open(this.#store, ref)
    const read = async (section: string, offset: number, bytes: number): Promise<Uint8Array> => {
      const target = new Uint8Array(bytes)
      await blob.read(section, [{ offset, target }])
      return target
    }
    const directory = await read('pagedir', 0, blob.sectionBytes('pagedir') ?? 0)
    return {
      directory: decodePageDirectory(directory, this.rows, blob.sectionBytes('pages') ?? 0),
      stored: (page) => read('pages', page.offset, page.storedBytes),
    }
  }
}

interface PageSource {
  readonly directory: readonly PayloadPage[]
  readonly stored: (page: PayloadPage) => Promise<Uint8Array>
}

const placeOf = ({ directory }: PageSource, row: number): { number: number; page: PayloadPage } => {
  const number = pageOf(directory, row)
  const page = directory[number]
  if (page === undefined) throw broken('a row beyond its payload pages')
  return { number, page }
}

const ownShare = (): ReaderShare => ({ pages: new PageCache(limits.payloadCacheBytesMax) })

/** Vectors of so many bytes take longer to check than workers to start. */
const SHARED_WORK_BYTES = 128 * 2 ** 20

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
