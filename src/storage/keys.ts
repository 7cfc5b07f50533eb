import { AkidbError } from '../errors/errors.ts'

/** Longest key, in bytes (S3's limit), and longest segment (that of common file systems). */
export const KEY_BYTES_MAX = 1024
export const KEY_SEGMENT_BYTES_MAX = 255

const segment = String.raw`(?!\.{1,2}(?:/|$))[A-Za-z0-9._@=+-]{1,${KEY_SEGMENT_BYTES_MAX}}`
const SEGMENT = new RegExp(`^${segment}$`)
const KEY = new RegExp(`^${segment}(?:/${segment})*$`)

/** Folder of unfinished writes in a store on disk; no key may lie under it. */
export const TEMPORARY_FOLDER = '.tmp'

/**
 * Refuses a key that is not a relative path of plain segments (see ObjectStore), so that none
 * leaves its store.
 * @throws BAD_INPUT
 */
export function checkKey(key: string): void {
  const isPlain = key.length <= KEY_BYTES_MAX && KEY.test(key)
  if (!isPlain || isReservedName(key.split('/', 1)[0] ?? '')) {
    throw new AkidbError('BAD_INPUT', `"${printable(key)}" is not a valid object key`, {
      hint: 'Keys are segments of letters, digits and . _ @ = + - joined by "/".',
    })
  }
}

/** Whether a file or folder name can be a segment of a key. */
export const isKeySegment = (name: string): boolean => SEGMENT.test(name)

/**
 * Whether a name at the top of a store is never an object's: hidden names (our temporary files,
 * desktops' litter) and what ext4 keeps there when a store is a mount point.
 */
export const isReservedName = (name: string): boolean =>
  name.startsWith('.') || name === 'lost+found'

/** Bytewise order; keys are ASCII, where UTF-16 order is the same. */
export const compareKeys = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Place of the first of some sorted keys that is not below `least`. */
export function firstFrom(keys: readonly string[], least: string): number {
  let low = 0
  for (let high = keys.length; low < high; ) {
    const middle = (low + high) >>> 1
    if ((keys[middle] ?? '') < least) low = middle + 1
    else high = middle
  }
  return low
}

const printable = (key: string): string => JSON.stringify(key.slice(0, 200)).slice(1, -1)
