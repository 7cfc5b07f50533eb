import type { IncomingMessage } from 'node:http'
import { limits } from '../../core/limits.ts'
import type { ObjectInfo } from '../object-store.ts'
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

/** What is asked, by name. */
export type Query = Readonly<Record<string, string>>

/** Pages without a key that may follow one another; a server that gives more never ends. */
const EMPTY_PAGES_MAX = 100

/** How a listing is asked for and read. */
interface Kind<T> {
  /** Of its XML. */
  readonly root: string
  readonly query: () => Query
  /** Where the next page begins, as a page says. */
  readonly next: (page: XmlElement) => Query
  readonly read: (page: XmlElement, text: string, place: Place) => readonly T[]
  /**
   * Of a key there may be more than one page has. Such listings are read to their end, so each page
   * is asked for before the one in front of it was looked at.
   */
  readonly repeats: boolean
}

/**
 * The pages of a listing, their keys in order.
 *
 * @throws UNREACHABLE for a listing in disorder, or one that does not go on; what Bucket throws
 */
export async function* readPages<T extends ObjectInfo>(
  listing: Listing,
  start: Query,
  kind: Kind<T>,
): AsyncGenerator<readonly T[]> {
  const stop = new AbortController()
  const read = (at: Query): Promise<Page<T>> => {
    const page = readPage(listing, at, kind, stop.signal)
    // Its failure is that of the listing, when it comes to it.
    page.catch(() => undefined)
    return page
  }
  try {
    const comesRound = ringWatch(start)
    let at = start
    let last = ''
    let end = ''
    let coming: Promise<Page<T>> | undefined = read(at)
    for (let emptyPages = 0; emptyPages <= EMPTY_PAGES_MAX; ) {
      const page: Page<T> = await (coming ?? read(at))
      const { found, lastKey, following } = page
      last = checkOrder(listing, last, found)
      if (following === undefined) return yield found
      const isStuck: boolean = isSame(following, at) || comesRound(following)
      coming = kind.repeats && !isStuck ? read(following) : undefined
      yield found
      if (isStuck) throw broken(listing, notS3('there is more, and it does not say where'))
      at = following
      emptyPages = lastKey === '' ? emptyPages + 1 : 0
      if (lastKey === '') continue
      checkProgress(listing, { end, lastKey, repeats: kind.repeats })
      end = lastKey
    }
    throw broken(listing, notS3('page after page is empty'))
  } finally {
    // Nobody wants what is on its way.
    stop.abort()
  }
}

const isSame = (following: Query, at: Query): boolean =>
  Object.entries(following).every(([name, value]) => at[name] === value)

/**
 * Tells where a listing begins anew in a page that it came by: it would never end. Source: Brent,
 * "An improved Monte Carlo factorization algorithm", 1980, of rings in a sequence.
 */
function ringWatch(start: Query): (following: Query) => boolean {
  let known = start
  let steps = 0
  let stepsMax = 1
  return (following) => {
    if (isSame(following, known)) return true
    if (++steps < stepsMax) return false
    known = following
    stepsMax *= 2
    steps = 0
    return false
  }
}

/**
 * Pages go on, those without a key of ours too.
 *
 * @throws UNREACHABLE where one ends before, or at, the end of the one in front of it
 */
function checkProgress(
  listing: Listing,
  { end, lastKey, repeats }: { end: string; lastKey: string; repeats: boolean },
): void {
  const order = Buffer.compare(Buffer.from(lastKey), Buffer.from(end))
  if (order > 0 || (repeats && order === 0)) return
  throw broken(listing, notS3(`a page ends at "${lastKey}", and the one before it at "${end}"`))
}

/** Keys rise, whatever else they are. @returns the last. @throws UNREACHABLE where they do not */
function checkOrder(listing: Listing, before: string, found: readonly ObjectInfo[]): string {
  let last = before
  for (const { key } of found) {
    if (key < last) throw broken(listing, notS3(`it lists "${key}" after "${last}"`))
    last = key
  }
  return last
}

interface Page<T> {
  readonly found: readonly T[]
  /** The whole key it ends with, which may be none of ours; '' where it has none. */
  readonly lastKey: string
  /** Where the next page begins; absent: there is none. */
  readonly following?: Query
}

async function readPage<T>(
  { bucket, storePrefix, prefix, what, tidies = false }: Listing,
  at: Query,
  kind: Kind<T>,
  signal: AbortSignal,
): Promise<Page<T>> {
  const whole = storePrefix + prefix
  const query = { ...kind.query(), ...at, prefix: whole, 'encoding-type': 'url' }
  const read = async (response: IncomingMessage): Promise<Page<T>> => {
    const text = await readText(response, limits.s3ListBytesMax)
    const page = parseXml(text, kind.root)
    const place = { storePrefix, prefix: whole, encoded: isEncoded(page) }
    const found = kind.read(page, text, place)
    const lastKey = lastKeyIn(page, place)
    if (textOf(page, 'IsTruncated') !== 'true') return { found, lastKey }
    const given = Object.entries(kind.next(page)).filter(([, value]) => value !== '')
    return { found, lastKey, following: Object.fromEntries(given) }
  }
  return await bucket.call({ method: 'GET', query, what, read, tidies, signal })
}

const LISTED = ['Contents', 'Version', 'DeleteMarker']

/** In bytewise order, whichever of its lists it ends. */
function lastKeyIn(page: XmlElement, { encoded }: Place): string {
  const ends = LISTED.map((name) => childrenOf(page, name).at(-1) ?? {})
  const keys = ends.map((element) => Buffer.from(keyIn(element, 'Key', encoded)))
  return keys.toSorted(Buffer.compare).at(-1)?.toString() ?? ''
}

/** What keys of a page are seen against. */
export interface Place {
  readonly storePrefix: string
  /** That was asked for. */
  readonly prefix: string
  readonly encoded: boolean
}

/** A server need not encode keys only because it was asked to. */
export const isEncoded = (page: XmlElement): boolean => textOf(page, 'EncodingType') === 'url'

/** The text of a page's element that is a key. */
export function keyIn(element: XmlElement, name: string, encoded: boolean): string {
  const text = textOf(element, name)
  if (!encoded) return text
  try {
    return decodeURIComponent(text.replaceAll('+', '%20'))
  } catch {
    throw notS3(`it lists "${text}", which is not encoded as it says`)
  }
}

const broken = ({ what }: Listing, failure: S3Failure) => meaningOf(failure, what)
