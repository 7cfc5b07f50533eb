import { limits } from '../../core/limits.ts'
import { hasCode } from '../../errors/errors.ts'
import { checkKey, compareKeys } from '../keys.ts'
import type { ListOptions, ObjectInfo, ObjectVersion } from '../object-store.ts'
import { notS3 } from './s3-errors.ts'
import { isEncoded, keyIn, type Listing, type Place, type Query, readPages } from './s3-pages.ts'
import { childrenOf, textOf, type XmlElement } from './s3-xml.ts'

/** Keys in bytewise order, page by page. Source: Amazon S3 API, ListObjectsV2. */
export async function* listObjects(
  listing: Listing,
  { after = '', limit = Number.POSITIVE_INFINITY }: ListOptions = {},
): AsyncGenerator<ObjectInfo> {
  const start: Query = after === '' ? {} : { 'start-after': listing.storePrefix + after }
  let left = limit
  if (left <= 0) return
  const pages = readPages(listing, start, {
    root: 'ListBucketResult',
    query: () => ({ 'list-type': '2', 'max-keys': String(Math.min(left, limits.s3ListKeysMax)) }),
    next: (page) => ({ 'continuation-token': textOf(page, 'NextContinuationToken') }),
    read: (page, _, place) =>
      childrenOf(page, 'Contents').flatMap((each) => infoOf(each, place) ?? []),
    repeats: false,
  })
  for await (const page of pages) {
    for (const info of page) {
      if (info.key <= after) continue
      yield info
      if (--left <= 0) return
    }
  }
}

/**
 * Versions and delete markers, by key, those of a key as the server gives them: the newest first.
 * While a page is looked at, the next is on its way. Source: S3 API, ListObjectVersions.
 */
export async function* listVersions(listing: Listing): AsyncGenerator<ObjectVersion> {
  const pages = readPages(
    listing,
    {},
    {
      root: 'ListVersionsResult',
      query: () => ({ versions: '', 'max-keys': String(limits.s3ListKeysMax) }),
      next: (page) => ({
        'key-marker': keyIn(page, 'NextKeyMarker', isEncoded(page)),
        'version-id-marker': textOf(page, 'NextVersionIdMarker'),
      }),
      read: versionsIn,
      repeats: true,
    },
  )
  // One by one: to delegate costs two turns of the queue for each of what may be millions.
  for await (const page of pages) for (const version of page) yield version
}

/** Versions and markers in the order in which they stand in the document. */
function versionsIn(page: XmlElement, text: string, place: Place): readonly ObjectVersion[] {
  const lists = {
    Version: [...childrenOf(page, 'Version')].reverse(),
    DeleteMarker: [...childrenOf(page, 'DeleteMarker')].reverse(),
  }
  const names = [...text.matchAll(/<(Version|DeleteMarker)[\s/>]/g)].map(([, name]) => name)
  if (names.length !== lists.Version.length + lists.DeleteMarker.length) {
    throw notS3('its answer is no list of versions')
  }
  const found = names.flatMap((name) => {
    const isDeleteMarker = name === 'DeleteMarker'
    const element = lists[isDeleteMarker ? 'DeleteMarker' : 'Version'].pop() ?? {}
    const info = infoOf(element, place)
    if (info === undefined) return []
    const versionId = textOf(element, 'VersionId') || 'null'
    const isLatest = textOf(element, 'IsLatest') === 'true'
    return [{ ...info, versionId, isLatest, isDeleteMarker }]
  })
  return rises(found) ? found : merged(found)
}

/** By key, where the markers of a page stand behind its versions; other disorder stays as it is. */
function merged(page: readonly ObjectVersion[]): readonly ObjectVersion[] {
  const isApart = [true, false].every((markers) =>
    rises(page.filter(({ isDeleteMarker }) => isDeleteMarker === markers)),
  )
  if (!isApart) return page
  return page.toSorted(
    (a, b) =>
      compareKeys(a.key, b.key) ||
      // Times of many servers are those of a second.
      Number(b.isLatest) - Number(a.isLatest) ||
      b.modifiedMs - a.modifiedMs,
  )
}

const rises = (page: readonly ObjectInfo[]): boolean =>
  page.every(({ key }, at) => key >= (page[at - 1]?.key ?? ''))

/** @returns undefined for what others put there, under names that no store gives */
function infoOf(element: XmlElement, place: Place): ObjectInfo | undefined {
  const { storePrefix, prefix, encoded } = place
  const whole = keyIn(element, 'Key', encoded)
  if (!whole.startsWith(prefix)) throw notS3(`it lists "${whole}", not below "${prefix}"`)
  const key = whole.slice(storePrefix.length)
  if (!isKey(key)) return undefined
  const size = textOf(element, 'Size')
  // A delete marker has none.
  if (!/^\d{0,15}$/.test(size)) throw notS3(`it lists "${key}" with a size of "${size}"`)
  const modifiedMs = Date.parse(textOf(element, 'LastModified')) || 0
  return { key, bytes: Number(size), modifiedMs }
}

function isKey(key: string): boolean {
  try {
    checkKey(key)
    return true
  } catch (error) {
    if (hasCode(error, 'BAD_INPUT')) return false
    throw error
  }
}
