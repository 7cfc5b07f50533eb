import { type Check, list, literal, object, ShapeError, text, whole } from '../core/shape.ts'
import { asUint32 } from '../format/views.ts'
import type { Filter, Scalar } from './condition.ts'
import { estimateFilter } from './field-estimate.ts'
import {
  BLOCK_BYTES,
  checksum,
  type Directory,
  damagedIndex,
  FIELD_INDEX_FORMAT,
  KEYS_MAX,
  type KeyEntry,
  type Part,
  PREFIX_BYTES,
} from './field-index-format.ts'
import { selectFilter } from './field-selection.ts'
import { KeyIndex } from './key-index.ts'
import { PartReader } from './part-reader.ts'
import type { Selection } from './selection.ts'

export interface FieldIndex {
  /**
   * The rows that a filter lets through; `exact` is false where some can be decided by their
   * payload alone. @throws INTEGRITY where a part that it needs is damaged
   *
   * @param rowsOfId rows of the segment with this id
   */
  select(
    filter: Filter,
    rowsOfId: (id: string) => readonly number[],
  ): Selection & { readonly exact: boolean }
  /** Rows that a filter lets through, at most; far cheaper than to select them. */
  estimate(filter: Filter): number
  /**
   * Calls back with every value under a key and each of its rows.
   *
   * @returns rows whose payloads alone can tell what else they hold; undefined where the index does
   *   not know the key, and some row may have it
   */
  forEachValue(key: string, visit: (value: Scalar, row: number) => void): Uint32Array | undefined
}

/** @throws INTEGRITY where the bytes are no index of `rows` rows */
export function openFieldIndex(bytes: Uint8Array, rows: number): FieldIndex {
  const { directory, reader } = openDirectory(bytes, rows)
  const entries = new Map<string, KeyEntry>(directory.keys.map((entry) => [entry.key, entry]))
  const open = new Map<string, KeyIndex>()
  const keyIndex = (key: string): KeyIndex | undefined => {
    const entry = entries.get(key)
    if (entry === undefined) return undefined
    const known = open.get(key) ?? new KeyIndex(entry, rows, reader)
    open.set(key, known)
    return known
  }
  const segment = { rows, overflow: directory.overflow, keyIndex }
  return {
    select: (filter, rowsOfId) => {
      const { sure, maybe } = selectFilter(filter, { ...segment, rowsOfId })
      return { sure, maybe, exact: sure === maybe || sure.count() === maybe.count() }
    },
    estimate: (filter) => Math.min(rows, estimateFilter(filter, segment)),
    forEachValue: (key, visit) => {
      const index = keyIndex(key)
      if (index !== undefined) return index.forEachValue(visit)
      return directory.overflow ? undefined : new Uint32Array()
    },
  }
}

interface Opened {
  readonly directory: Directory
  readonly reader: PartReader
}

function openDirectory(input: Uint8Array, rows: number): Opened {
  const view = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  // No Buffer: its slice is a view, where typed arrays need a copy at an even place.
  const bytes = new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
  if (view.byteLength < PREFIX_BYTES || view.readUInt32LE(0) !== FIELD_INDEX_FORMAT) {
    throw damagedIndex('no directory')
  }
  const sumsStart = PREFIX_BYTES + view.readUInt32LE(4)
  const blocks = view.readUInt32LE(12)
  const start = sumsStart + Math.ceil(blocks / 2) * 8
  if (start > view.byteLength) throw damagedIndex('its directory is cut')
  if (checksum(view.subarray(PREFIX_BYTES, start)) !== view.readUInt32LE(8)) {
    throw damagedIndex('its directory has another checksum')
  }
  if (blocks !== Math.ceil((view.byteLength - start) / BLOCK_BYTES)) {
    throw damagedIndex('it has another length')
  }
  const directory = parseDirectory(view.toString('utf8', PREFIX_BYTES, sumsStart))
  if (directory.rows !== rows) throw damagedIndex('it is of another segment')
  const sums = asUint32(bytes.subarray(sumsStart, sumsStart + blocks * 4))
  return { directory, reader: new PartReader(bytes.subarray(start), sums) }
}

const part: Check<Part> = (value, path) => {
  const [offset, bytes] = list(whole(), 2)(value, path)
  if (offset !== undefined && bytes !== undefined) return [offset, bytes]
  throw new ShapeError(`${path}: expected an offset and a length`)
}

const orNull =
  <T>(check: Check<T>): Check<T | null> =>
  (value, path) =>
    value === null ? null : check(value, path)

const postings = { heads: part, words: part }
const texts = object({ count: whole(), offsets: part, bytes: part, ...postings })
const sorted = { count: whole(), starts: part, rows: part }

const directoryShape: Check<Directory> = object({
  rows: whole(),
  overflow: literal(true, false),
  keys: list(
    object({
      key: text(),
      sets: object(postings),
      counts: object({ numbers: part, ...postings }),
      texts: orNull(texts),
      unlisted: orNull(part),
      shortUnlisted: literal(true, false),
      tokens: orNull(texts),
      numbers: orNull(object({ ...sorted, tags: part, values: part })),
      times: orNull(object({ ...sorted, seconds: part, nanoseconds: part })),
      points: orNull(object({ count: whole(), lons: part, lats: part, rows: part })),
    }),
    KEYS_MAX,
  ),
})

function parseDirectory(json: string): Directory {
  try {
    return directoryShape(JSON.parse(json), 'directory')
  } catch (cause) {
    if (!(cause instanceof ShapeError || cause instanceof SyntaxError)) throw cause
    throw damagedIndex(`its directory cannot be read (${cause.message})`)
  }
}
