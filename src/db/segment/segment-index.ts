import type { EarlyIndex, Placement, VectorIndex } from '../../ann/vector-index.ts'
import type { WorkerPool } from '../../ann/worker-pool.ts'
import type { IndexParameters, VectorSpec } from '../../core/schema.ts'
import { hasCode } from '../../errors/errors.ts'
import type { BlobRole, SegmentEntry } from '../../format/manifest.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import type { ChunkHashing } from './checked-blob.ts'
import { Once } from './once.ts'
import { checkSegmentIndex, openSegmentEarly, openSegmentIndex, sectionOf } from './open-segment.ts'
import { segmentNeed } from './segment-need.ts'
import type { VectorRows } from './vector-rows.ts'

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
  /**
   * Rows that go to memory are there before it is given. Else the first search of many rows does
   * not wait for them: it reads those that it ranks, and the second search has them brought.
   */
  readonly whole?: boolean
  /** Called where it is let go of because its rows, which came later, could not be read. */
  readonly onGone?: () => void
}

/** What an index is opened from. */
export interface IndexSource {
  readonly entry: SegmentEntry
  readonly store: ObjectStore
  readonly workers?: (() => WorkerPool) | undefined
  readonly vectorRows: (spec: VectorSpec) => Promise<VectorRows>
  /** A section of the blob that has everything; undefined where there is none of that name. */
  readonly packed: (role: BlobRole) => Promise<Uint8Array | undefined>
}

/** One that is open without its rows, which are to be in memory. */
interface Early extends EarlyIndex {
  readonly turn: number
  readonly stop: AbortController
  readonly onGone: (() => void) | undefined
  /** How many were given it; how many wait for its rows. */
  given: number
  waiting: number
  whole?: Promise<VectorIndex>
}

/** The vector index of one segment while it is open, and how it comes to be and goes. */
export class SegmentIndex {
  readonly #source: IndexSource
  readonly #made = new Once<VectorIndex>()
  #placement: Placement | undefined
  #index: VectorIndex | undefined
  /** Counts openings and lettings go. */
  #turn = 0
  #early: Early | undefined
  /** Its rows could not be read: who opens it next is to be told. */
  #failed = false
  /** Those that were searched before the one that is open; workers may know them still. */
  #former: VectorIndex[] = []

  constructor(source: IndexSource) {
    this.#source = source
  }

  /** Where the float32 rows are, or will soon be, while it is open or being opened. */
  get placement(): Placement | undefined {
    return this.#placement
  }

  /** The index as it can be searched now, where it is open. */
  get now(): VectorIndex | undefined {
    return this.#index
  }

  /** One that is open already is taken as it is. @throws as openSegmentIndex */
  async get(
    spec: VectorSpec,
    parameters: IndexParameters,
    opening: IndexOpening = {},
  ): Promise<VectorIndex> {
    const index = await this.#made.get(() => this.#open(spec, parameters, opening))
    const early = this.#early
    if (early === undefined) return index
    if (opening.whole === true) return await this.#wait(early)
    // Its failure is that of the next opening.
    if (early.given++ > 0) this.#addRows(early).catch(() => undefined)
    return index
  }

  /**
   * Reads its codes and links as an opening would whose rows stay on disk, and keeps nothing.
   * @throws as openSegmentIndex
   */
  async check(
    spec: VectorSpec,
    parameters: IndexParameters,
    hashing?: ChunkHashing,
  ): Promise<void> {
    const { entry, vectorRows } = this.#source
    const { rows } = entry
    const vectors = await vectorRows(spec)
    const [codes, graph] = [await this.#stream('codes', hashing), await this.#stream('graph')]
    const parts = { rows, spec, parameters, placement: 'disk', vectors, contexts: 1 } as const
    await checkSegmentIndex({ ...parts, codes, graph })
  }

  /** Lets go of it; those who search it at this moment may finish. */
  forget(): void {
    for (const index of [this.#index, ...this.#former]) this.#forgetInWorkers(index)
    if (this.#early?.waiting === 0) this.#early.stop.abort()
    this.#made.forget()
    this.#turn++
    this.#index = undefined
    this.#former = []
    this.#early = undefined
    this.#placement = undefined
  }

  close(): void {
    void this.#made.made?.then(
      (index) => {
        this.#forgetInWorkers(index)
        index.close()
      },
      () => undefined,
    )
    this.forget()
  }

  async #open(
    spec: VectorSpec,
    parameters: IndexParameters,
    opening: IndexOpening,
  ): Promise<VectorIndex> {
    const placement = opening.placement ?? 'memory'
    const turn = ++this.#turn
    this.#placement = placement
    try {
      const { index, early } = await this.#read(spec, parameters, { ...opening, placement })
      // Somebody may have let go of it meanwhile.
      if (this.#turn === turn) {
        const { onGone } = opening
        const fresh = { turn, stop: new AbortController(), onGone, given: 0, waiting: 0 }
        this.#index = index
        this.#early = early && { ...early, ...fresh }
        this.#failed = false
      }
      return index
    } catch (error) {
      if (this.#turn === turn) this.#placement = undefined
      throw error
    }
  }

  async #wait(early: Early): Promise<VectorIndex> {
    early.waiting++
    try {
      return await this.#addRows(early)
    } finally {
      early.waiting--
    }
  }

  #addRows(early: Early): Promise<VectorIndex> {
    early.whole ??= this.#added(early)
    return early.whole
  }

  async #added({ index: before, addRows, turn, stop, onGone }: Early): Promise<VectorIndex> {
    try {
      const index = await addRows(stop.signal)
      if (this.#turn !== turn) {
        this.#forgetInWorkers(index)
        return index
      }
      this.#former.push(before)
      this.#index = index
      this.#early = undefined
      this.#made.set(index)
      return index
    } catch (error) {
      if (this.#turn === turn) {
        this.forget()
        this.#failed = true
        onGone?.()
      }
      throw error
    }
  }

  /** Where an index is open workers may have it; else there may be no workers yet. */
  #forgetInWorkers(index: VectorIndex | undefined): void {
    if (index !== undefined) this.#source.workers?.().forget(index)
  }

  async #read(
    spec: VectorSpec,
    parameters: IndexParameters,
    { foreign, placement = 'memory', whole }: IndexOpening,
  ): Promise<{ readonly index: VectorIndex; readonly early?: EarlyIndex }> {
    const { entry, vectorRows } = this.#source
    const vectors = await vectorRows(spec)
    if (parameters.type === 'hnswlib' && foreign !== undefined) {
      return { index: await foreign(entry, spec, parameters, vectors) }
    }
    const workers = this.#source.workers?.()
    const contexts = workers?.contexts ?? 1
    const need = segmentNeed(entry, spec, parameters, contexts)
    const rowsBytes = placement === 'memory' ? need.vectors : 0
    const mayWait = need.movable && rowsBytes >= EARLY_ROWS_BYTES
    const isEarly = mayWait && whole !== true && !this.#failed
    const workBytes = need.codes + need.links + (isEarly ? 0 : rowsBytes)
    if (workBytes >= SHARED_WORK_BYTES) workers?.warm()
    const digests = this.#digests
    const hashing = { digests }
    const codes = await this.#stream('codes', hashing)
    const graph = await this.#stream('graph', hashing)
    const { rows } = entry
    const parts = { rows, spec, parameters, placement, vectors, codes, graph, contexts, digests }
    if (!isEarly) return { index: await openSegmentIndex(parts) }
    const early = await openSegmentEarly(parts)
    return { index: early.index, early }
  }

  /** By the workers, where they run already; else undefined. */
  readonly #digests = async (
    bytes: Uint8Array,
    chunkBytes: number,
  ): Promise<Uint8Array | undefined> => {
    const workers = this.#source.workers?.()
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
    hashing?: ChunkHashing,
  ): Promise<Iterable<Uint8Array> | AsyncIterable<Uint8Array> | undefined> {
    const { store, entry, packed } = this.#source
    const ref = entry.blobs.find((blob) => blob.role === role)
    if (ref !== undefined) return sectionOf(store, ref, role, hashing)
    const section = await packed(role)
    return section === undefined ? undefined : [section]
  }
}

/** Rows of so many bytes are not waited for by the first search. */
const EARLY_ROWS_BYTES = 16 * 2 ** 20
/** So many bytes take longer to check than workers to start. */
const SHARED_WORK_BYTES = 128 * 2 ** 20
