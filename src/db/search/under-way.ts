import type { CollectionCore } from '../collection/collection-core.ts'
import type { CheckedSearch } from './search-vector.ts'

/**
 * Searches under way that read their rows from disk while all rows are still coming: each reads
 * chunks of its own, and many of them would keep those that all wait for from coming.
 */
export const EARLY_SEARCHES_MAX = 4

/** How vector searches are done; their results do not depend on it. */
export type SearchCourse = Pick<CheckedSearch, 'parallel' | 'whole'>

/**
 * Counts a search or a query as one that is under way until `work` has ended.
 *
 * @param work is given how to search beside all that are under way at that moment
 */
export async function underWay<T>(
  core: CollectionCore,
  { offThread = false }: { readonly offThread?: boolean },
  work: (course: () => SearchCourse) => Promise<T>,
): Promise<T> {
  core.searches++
  core.searchCount++
  try {
    return await work(() => ({
      parallel: offThread || core.searches > 1,
      whole: core.searches > EARLY_SEARCHES_MAX,
    }))
  } finally {
    core.searches--
  }
}
