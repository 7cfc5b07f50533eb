import type { Placement, VectorIndex } from '../../ann/vector-index.ts'
import type { WorkerPool } from '../../ann/worker-pool.ts'
import { limits } from '../../core/limits.ts'
import type { IndexParameters, VectorSpec } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import { blobKey } from '../../format/blob.ts'
import { decodeIds, type IdTable } from '../../format/ids-section.ts'
import type { BlobRef, BlobRole, SegmentEntry } from '../../format/manifest.ts'
import { decodeOrigin, type OriginTable } from '../../format/origin-section.ts'
import {
  decodePageDirectory,
  openPage,
  type PageSource,
  type PayloadPage,
  type PayloadTier,
  pageOf,
  tierOfPages,
} from '../../format/payload-section.ts'
import { type FieldIndex, openFieldIndex } from '../../search/field-index.ts'
import { openSparseIndex, type SparseIndex } from '../../search/sparse-index.ts'
import { openTextIndex, type TextIndex } from '../../search/text-index.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { readBlob } from '../states/blob-store.ts'
import { CheckedBlob, type ChunkHashing } from './checked-blob.ts'
import { keep, Once } from './once.ts'
import { PageCache } from './page-cache.ts'
import { type IndexOpening, SegmentIndex } from './segment-index.ts'
import { sparseSection } from './sparse-fields.ts'
import { rowsInMemory, rowsOnDisk, type VectorRows } from './vector-rows.ts'

type Sections = ReadonlyMap<string, Uint8Array>

/** What the segments of one collection share. */
export interface ReaderShare {
  readonly pages: PageCache
  /** Threads that search; absent: the calling one alone. */
  readonly workers?: (() => WorkerPool) | undefined
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
  readonly #index: SegmentIndex
  readonly #vectorRows = new Once<VectorRows>()
  readonly #pages = new Once<PageSource>()
  #pageSource: PageSource | undefined

  constructor(store: ObjectStore, entry: SegmentEntry, share: ReaderShare = ownShare()) {
    this.#store = store
    this.entry = entry
    this.#share = share
    const hot = new Set(neededBySearches(entry).map(({ digest }) => digest))
    for (const { digest, bytes } of entry.blobs) {
      store.cache?.expect({ key: blobKey(digest), bytes }, hot.has(digest))
    }
    this.#index = new SegmentIndex({
      entry,
      store,
      workers: share.workers,
      vectorRows: (spec) => this.vectorRows(spec),
      packed: async (role) =>
        this.has('pack') ? (await this.#sections('pack')).get(role) : undefined,
    })
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

  /** Where the float32 rows are, or will soon be, while its vector index is open. */
  get placement(): Placement | undefined {
    return this.#index.placement
  }

  /** Its index; one that is open already is taken as it is. */
  vectorIndex(
    spec: VectorSpec,
    parameters: IndexParameters,
    opening: IndexOpening = {},
  ): Promise<VectorIndex> {
    return this.#index.get(spec, parameters, opening)
  }

  /**
   * Reads codes and links, where rows can stay on disk, as an opening of the index would, and keeps
   * nothing.
   */
  checkIndex(spec: VectorSpec, parameters: IndexParameters, hashing?: ChunkHashing): Promise<void> {
    return this.#index.check(spec, parameters, hashing)
  }

  /** Lets go of the index; those who search it at this moment may finish. */
  forgetIndex(): void {
    this.#index.forget()
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
    const index = this.#index.now
    if (index?.placement === 'memory') return index.vector(row).slice()
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

  /** How its payloads were compressed, found from its pages. */
  async payloadTier(): Promise<PayloadTier> {
    return await tierOfPages(await this.#pages.get(() => this.#openPages()))
  }

  /** Lets go of memory; open readers of the same segment open again by themselves. */
  close(): void {
    this.#index.close()
    this.#vectorRows.forget()
    this.#blobs.clear()
    this.#share.pages.forget(this)
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

const placeOf = ({ directory }: PageSource, row: number): { number: number; page: PayloadPage } => {
  const number = pageOf(directory, row)
  const page = directory[number]
  if (page === undefined) throw broken('a row beyond its payload pages')
  return { number, page }
}

const ownShare = (): ReaderShare => ({ pages: new PageCache(limits.payloadCacheBytesMax) })

/**
 * What searches read of a segment whatever they find: not the payload, nor where rows came from,
 * nor the float32 rows, but where there are no codes to search by.
 */
export const neededBySearches = ({ blobs }: Pick<SegmentEntry, 'blobs'>): BlobRef[] => {
  const hasCodes = blobs.some(({ role }) => role === 'codes')
  return blobs.filter(
    ({ role }) => role !== 'payload' && role !== 'origin' && !(role === 'vectors' && hasCodes),
  )
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
