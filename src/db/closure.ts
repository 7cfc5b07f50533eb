import type { BlobRef, CollectionState, Manifest } from '../format/manifest.ts'

/**
 * Every blob that a state names, by digest: the one closure walk of export, import, check and gc.
 */
export function closureOf(of: Manifest | CollectionState): Map<string, BlobRef> {
  const state = 'state' in of ? of.state : of
  const blobs = new Map<string, BlobRef>()
  for (const { blobs: refs, tombstones } of state.segments) {
    for (const ref of refs) blobs.set(ref.digest, ref)
    if (tombstones !== undefined) blobs.set(tombstones.digest, tombstones)
  }
  if (state.sourcesBlob !== undefined) blobs.set(state.sourcesBlob.digest, state.sourcesBlob)
  return blobs
}
