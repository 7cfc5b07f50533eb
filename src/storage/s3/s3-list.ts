import type { IncomingMessage } from 'node:http'
import { limits } from '../../core/limits.ts'
import { hasCode } from '../../errors/errors.ts'
import { checkKey } from '../keys.ts'
import type { ListOptions, ObjectInfo, ObjectVersion } from '../object-store.ts'
import { readText } from './s3-answers.ts'
import type { Bucket } from './s3-bucket.ts'
import { meaningOf, notS3, type S3Failure } from './s3-errors.ts'
import { childrenOf, parseXml, textOf, type XmlElement } from './s3-xml.ts'

/** Where a listing looks: the prefix is that of the store, and is taken off what is found. */
export interface Listing {
  readonly bucket: Bucket
  readonly storePrefix: string
  /** Below the store's. */
  readonly prefix: string
  readonly what: string
  /** See DeleteOptions. */
  readonly tidies?: boolean
}

type Query = Readonly<Record<string, string>>

/** Pages without a key that may follow one another; a server that gives more never ends. */
const EMPTY_PAGES_MAX = 100

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
  })
  for await (const info of inOrder(listing, pages)) {
    if (info.key <= after) continue
    yield info
    if (--left <= 0) return
  }
}

/**
 * Versions and delete markers, by key, those of a key as the server gives them: the newest first.
 * Source: S3 API, ListObjectVersions.
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
    },
  )
  yield* inOrder(listing, pages)
}

/** Keys rise, whatever else they are. @throws UNREACHABLE where they do not */
async function* inOrder<T extends ObjectInfo>(
  listing: Listing,
  found: AsyncIterable<T>,
): AsyncGenerator<T> {
  let last = ''
  for await (const info of found) {
    if (info.key < last) throw broken(listing, notS3(`it lists "${info.key}" after "${last}"`))
    last = info.key
    yield info
  }
}

/** How a listing is asked for and read. */
interface Kind<T> {
  /** Of its XML. */
  readonly root: string
  readonly query: () => Query
  /** Where the next page begins, as a page says. */
  readonly next: (page: XmlElement) => Query
  readonly read: (page: XmlElement, text: string, place: Place) => readonly T[]
}

async function* readPages<T>(listing: Listing, start: Query, kind: Kind<T>): AsyncGenerator<T> {
  let at = start
  for (let emptyPages = 0; emptyPages <= EMPTY_PAGES_MAX; ) {
    const { found, count, following } = await readPage(listing, at, kind)
    yield* found
    if (following === undefined) return
    const isStuck = Object.entries(following).every(([name, value]) => at[name] === value)
    if (isStuck) throw broken(listing, notS3('there is more, and it does not say where'))
    at = following
    emptyPages = count > 0 ? 0 : emptyPages + 1
  }
  throw broken(listing, notS3('page after page is empty'))
}

interface Page<T> {
  readonly found: readonly T[]
  /** With those that are none of ours. */
  readonly count: number
  /** Where the next page begins; absent: there is none. */
  readonly following?: Query
}

async function readPage<T>(
  { bucket, storePrefix, prefix, what, tidies = false }: Listing,
  at: Query,
  kind: Kind<T>,
): Promise<Page<T>> {
  const whole = storePrefix + prefix
  const query = { ...kind.query(), ...at, prefix: whole, 'encoding-type': 'url' }
  const read = async (response: IncomingMessage): Promise<Page<T>> => {
    const text = await readText(response, limits.s3ListBytesMax)
    const page = parseXml(text, kind.root)
    const place = { storePrefix, prefix: whole, encoded: isEncoded(page) }
    const found = kind.read(page, text, place)
    const count = LISTED.reduce((sum, name) => sum + childrenOf(page, name).length, 0)
    if (textOf(page, 'IsTruncated') !== 'true') return { found, count }
    const given = Object.entries(kind.next(page)).filter(([, value]) => value !== '')
    return { found, count, following: Object.fromEntries(given) }
  }
  return await bucket.call({ method: 'GET', query, what, read, tidies })
}

const LISTED = ['Contents', 'Version', 'DeleteMarker']

/** What keys of a page are seen against. */
interface Place {
  readonly storePrefix: string
  /** That was asked for. */
  readonly prefix: string
  readonly encoded: boolean
}

/** A server need not encode keys only because it was asked to. */
const isEncoded = (page: XmlElement): boolean => textOf(page, 'EncodingType') === 'url'

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
  return names.flatMap((name) => {
    const isDeleteMarker = name === 'DeleteMarker'
    const element = lists[isDeleteMarker ? 'DeleteMarker' : 'Version'].pop() ?? {}
    const info = infoOf(element, place)
    if (info === undefined) return []
    const versionId = textOf(element, 'VersionId') || 'null'
    const isLatest = textOf(element, 'IsLatest') === 'true'
    return [{ ...info, versionId, isLatest, isDeleteMarker }]
  })
}

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

function keyIn(element: XmlElement, name: string, encoded: boolean): string {
  const text = textOf(element, name)
  if (!encoded) return text
  try {
    return decodeURIComponent(text.replaceAll('+', '%20'))
  } catch {
    throw notS3(`it lists "${text}", which is not encoded as it says`)
  }
}

const broken = ({ what }: Listing, failure: S3Failure) => meaningOf(failure, what)
