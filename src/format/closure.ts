import type { BlobRef, CollectionState, Manifest } from './manifest.ts'

/**
 * Every blob that a state names, by digest: the one closure walk of export, import, check, repair,
 * gc and bundles.
 */
export function closureOf(of: Manifest | CollectionState): Map<string, BlobRef> {
  const blobs = new Map<string, BlobRef>()
  for (const ref of blobRefsOf('state' in of ? of.state : of)) blobs.set(ref.digest, ref)
  return blobs
}

/** The same with repetitions: one tombstone blob serves several segments. */
export function* blobRefsOf(state: CollectionState): Generator<BlobRef> {
  for (const { blobs, tombstones } of state.segments) {
    yield* blobs
    if (tombstones === undefined) continue
    const { count: _, ...ref } = tombstones
    yield ref
  }
  if (state.sourcesBlob !== undefined) yield state.sourcesBlob
}
