import type { IndexBuilder } from '../../ann/vector-index.ts'
import { decodeFloat16 } from '../../core/float16.ts'
import type { VectorSpec } from '../../core/schema.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { blobKey, decodeBlobHead } from '../../format/blob.ts'
import { decodeIds } from '../../format/ids-section.ts'
import type { BlobRef, Manifest, SegmentEntry } from '../../format/manifest.ts'
import { decodeOrigin, NO_SOURCE } from '../../format/origin-section.ts'
import {
  decodePage,
  decodePageDirectory,
  type PageSource,
  tierOfPages,
} from '../../format/payload-section.ts'
import { asFloat32, asUint16 } from '../../format/views.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { SegmentBuilder } from '../segment/segment-builder.ts'
import { payloadObject, vectorSpecOf } from '../segment/view.ts'
import type { WriterPin } from '../states/pins.ts'
import type { NamedSegment } from './check-manifests.ts'

type Sections = ReadonlyMap<string, Uint8Array>

export interface RebuildTargets {
  readonly store: ObjectStore
  readonly pin: WriterPin
  readonly builder: () => IndexBuilder
  /** Where the rebuilt blobs go: it keeps those that are wanted and drops the others. */
  readonly into: Pick<ObjectStore, 'stage'>
}

/**
 * Builds a segment anew from its ids, vectors, payloads and origins, and hands the blobs to `into`:
 * graph, codes, field and text indexes come out byte for byte as they were, so the digest proves
 * each of them. The rows are read even from a damaged blob: where a damaged byte was in what is
 * rebuilt, the digest comes out right, and otherwise nothing is taken.
 *
 * @returns whether there was anything to build from
 */
export async function rebuildSegment(
  { entry, manifest }: NamedSegment,
  targets: RebuildTargets,
): Promise<boolean> {
  const sections = await readSections(targets.store, entry)
  try {
    const builder = await builderOf(entry, manifest, sections)
    await builder.finish({ store: targets.into, pin: targets.pin, builder: targets.builder })
    return true
  } catch (error) {
    // Damaged rows do not decode, or are no vectors that an index can be built of.
    if (hasCode(error, 'INTEGRITY', 'BAD_INPUT', 'LIMIT', 'FORMAT_VERSION')) return false
    if (error instanceof RangeError) return false
    throw error
  }
}

/** All sections that can still be found, unchecked. */
async function readSections(store: ObjectStore, entry: SegmentEntry): Promise<Sections> {
  const sections = new Map<string, Uint8Array>()
  for (const ref of entry.blobs) {
    for (const [name, bytes] of await sectionsOf(store, ref)) sections.set(name, bytes)
  }
  return sections
}

/** By the header alone: the chunk list and the tail are made anew too. */
async function sectionsOf(store: ObjectStore, ref: BlobRef): Promise<Sections> {
  try {
    const bytes = await getBounded(store, blobKey(ref.digest), ref.bytes)
    const sections = new Map<string, Uint8Array>()
    for (const [name, range] of decodeBlobHead(bytes, ref).sections) {
      sections.set(name, bytes.subarray(range.offset, range.offset + range.bytes))
    }
    return sections
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND', 'INTEGRITY', 'FORMAT_VERSION')) return new Map()
    throw error
  }
}

async function builderOf(
  entry: SegmentEntry,
  manifest: Manifest,
  sections: Sections,
): Promise<SegmentBuilder> {
  const { schema, index } = manifest.state
  const withGraph = entry.blobs.some(({ role }) => role === 'graph') || sections.has('graph')
  const spec = vectorSpecOf(schema)
  const dimension = spec?.dimension ?? 0
  const vectors = spec === undefined ? undefined : vectorsOf(sections.get('vec') ?? NOTHING, spec)
  if (vectors !== undefined && vectors.length !== entry.rows * dimension) {
    throw new AkidbError('INTEGRITY', 'the vectors of a segment are lost')
  }
  const pages = pagesOf(sections, entry.rows)
  const tier = await tierOfPages(pages)
  const builder = new SegmentBuilder({ schema, index, withGraph, tier })
  const ids = decodeIds(sections, entry.rows)
  const origin = decodeOrigin(sections, entry.rows)
  let row = 0
  for await (const text of payloadsOf(pages)) {
    builder.add({
      id: ids.id(row),
      vector: vectors?.subarray(row * dimension, (row + 1) * dimension),
      payload: payloadObject(text),
      source: origin.sources[row] ?? NO_SOURCE,
      position: origin.rows[row] ?? 0n,
    })
    row++
  }
  return builder
}

const NOTHING = new Uint8Array(0)

const vectorsOf = (bytes: Uint8Array, { storage }: VectorSpec): Float32Array =>
  storage === 'f16' ? decodeFloat16(asUint16(bytes)) : asFloat32(bytes)

function pagesOf(sections: Sections, rows: number): PageSource {
  const pages = sections.get('pages') ?? NOTHING
  return {
    directory: decodePageDirectory(sections.get('pagedir') ?? NOTHING, rows, pages.byteLength),
    stored: async (page) => pages.subarray(page.offset, page.offset + page.storedBytes),
  }
}

async function* payloadsOf({ directory, stored }: PageSource): AsyncGenerator<string> {
  for (const page of directory) yield* decodePage(await stored(page), page)
}
