import { limits } from '../../core/limits.ts'
import { blobKey } from '../../format/blob.ts'
import type { BlobRole } from '../../format/manifest.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { neededBySearches } from './segment-reader.ts'
import type { View } from './view.ts'

/** What a search reads of every segment. */
export type SearchParts = 'vector' | 'text' | 'vector, filter' | 'text, filter'

const ROLES: Readonly<Record<'vector' | 'text' | 'filter', readonly BlobRole[]>> = {
  vector: ['pack', 'codes', 'graph', 'ids', 'vectors'],
  text: ['pack', 'text', 'ids'],
  filter: ['fields'],
}

/** Of each state, what was begun already. */
const begun = new WeakMap<View['manifest'], Set<SearchParts>>()

/**
 * Begins to fetch what a search will need of all segments, where they lie in a bucket: it opens
 * them one after the other, and would wait for the server at each. At most
 * limits.cachePrefetchBytes, the segments that are searched first before others. Waits for nothing.
 */
export function prefetchSegments(store: ObjectStore, view: View, parts: SearchParts): void {
  const { cache } = store
  if (cache === undefined) return
  const known = begun.get(view.manifest) ?? new Set()
  begun.set(view.manifest, known)
  if (known.has(parts)) return
  known.add(parts)
  const roles = new Set(parts.split(', ').flatMap((part) => ROLES[part as keyof typeof ROLES]))
  let left: number = limits.cachePrefetchBytes
  for (const { entry } of view.segments) {
    for (const { role, digest, bytes } of neededBySearches(entry)) {
      if (!roles.has(role)) continue
      left -= Math.min(bytes, limits.cacheAheadBytes)
      if (left < 0) return
      cache.begin(blobKey(digest))
    }
  }
}
