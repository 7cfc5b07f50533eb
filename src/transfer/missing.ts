import type { BundleHead } from '../bundle/head.ts'
import { SegmentReader } from '../db/segment/segment-reader.ts'
import { vectorSpecOf } from '../db/segment/view.ts'
import { writeBlob } from '../db/states/blob-store.ts'
import type { WriterPin } from '../db/states/pins.ts'
import type { OpenedStore } from '../db/store.ts'
import { AkidbError } from '../errors/errors.ts'
import { section } from '../format/blob.ts'
import type { BlobRef, CollectionState, SegmentEntry } from '../format/manifest.ts'
import { decodeState } from '../format/manifest-codec.ts'

export interface MissingWork {
  readonly head: BundleHead
  readonly states: ReadonlyMap<string, Uint8Array>
  readonly missing: readonly BlobRef[]
  readonly pin: WriterPin
}

/**
 * Makes the blobs that a bundle names but does not carry and that are not here: graphs are built
 * anew and must come out byte for byte as they were; anything else belongs to the base of a delta
 * that this store does not have.
 *
 * @throws NOT_FOUND naming the base state, INTEGRITY where a graph comes out otherwise
 */
export async function rebuildMissing(store: OpenedStore, work: MissingWork): Promise<void> {
  checkBase(work)
  const wanted = new Map(work.missing.map((ref) => [ref.digest, ref]))
  for (const [root, bytes] of work.states) {
    const state = decodeState(bytes, `state ${root}`)
    for (const entry of state.segments) {
      const ref = entry.blobs.find((blob) => wanted.has(blob.digest))
      if (ref === undefined) continue
      await rebuildGraph(store, { state, entry, ref, pin: work.pin })
      wanted.delete(ref.digest)
    }
  }
}

/** @throws NOT_FOUND where more is missing than graphs, naming the base state */
export function checkBase({ head, missing }: Pick<MissingWork, 'head' | 'missing'>): void {
  const lost = missing.filter((ref) => ref.role !== 'graph')
  if (lost.length > 0) throw baseMissing(head, lost.length)
}

interface GraphWork {
  readonly state: CollectionState
  readonly entry: SegmentEntry
  readonly ref: BlobRef
  readonly pin: WriterPin
}

async function rebuildGraph(
  store: OpenedStore,
  { state, entry, ref, pin }: GraphWork,
): Promise<void> {
  const { environment } = store
  const spec = vectorSpecOf(state.schema)
  if (spec === undefined) throw otherGraph(ref)
  const { dimension, metric } = spec
  // The build copies them into memory of its own, all at once.
  const pieces: Float32Array[] = []
  const rows = await new SegmentReader(environment.store, entry).vectorRows(spec)
  for await (const piece of rows.pieces()) pieces.push(piece.slice())
  const vectors = { rows: entry.rows, dimension, metric, pieces }
  const { graph } = await environment.builder().build(vectors, state.index)
  if (graph === undefined) throw otherGraph(ref)
  const sections = [section('graph', graph)]
  const input = { role: 'graph', records: entry.rows, dimension, sections } as const
  const made = await writeBlob(environment.store, pin, input)
  if (made.digest !== ref.digest) throw otherGraph(ref)
}

const baseMissing = (head: BundleHead, count: number): AkidbError => {
  const bases = head.collections.flatMap(({ name, baseStateRoot }) =>
    baseStateRoot === undefined ? [] : [`"${name}" at ${baseStateRoot}`],
  )
  return new AkidbError(
    'NOT_FOUND',
    `${count} blobs are not here: the bundle builds on ${bases.join(', ') || 'another state'}`,
    {
      hint: 'Import the bundle that it builds on first, or ask for a full one.',
      details: { bases, missing: count },
    },
  )
}

const otherGraph = (ref: BlobRef): AkidbError =>
  new AkidbError('INTEGRITY', `graph ${ref.digest} cannot be built anew from its vectors`, {
    hint: 'Ask for a bundle with its index.',
  })
