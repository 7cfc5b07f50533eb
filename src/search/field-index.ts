import { Bitset } from '../core/bitset.ts'
import { type Check, list, literal, object, ShapeError, text, whole } from '../core/shape.ts'
import {
  type Directory,
  FIELD_INDEX_FORMAT,
  KEYS_MAX,
  type KeyEntry,
  type Part,
  PREFIX_BYTES,
} from './field-index-format.ts'
import type { Condition, Filter } from './filter.ts'
import { damagedIndex, KeyIndex } from './key-index.ts'

/**
 * What a filter selects, as far as the index knows: surely `sure`, at most `maybe`. Equal where it
 * knows all.
 */
export interface Selection {
  readonly sure: Bitset
  readonly maybe: Bitset
  /** Whether `maybe` has rows that only their payload can decide. */
  readonly exact: boolean
}

export interface FieldIndex {
  /** @param rowsOfId rows of the segment with this id */
  select(filter: Filter, rowsOfId: (id: string) => readonly number[]): Selection
  /** Rows that a filter leaves, at most; from the lengths of the postings alone. */
  estimate(filter: Filter): number
}

/** @throws INTEGRITY where the bytes are no index of `rows` rows */
export function openFieldIndex(bytes: Uint8Array, rows: number): FieldIndex {
  const { directory, start } = readDirectory(bytes, rows)
  const partOf = ([offset, length]: Part): Uint8Array => {
    if (start + offset + length > bytes.byteLength) {
      throw damagedIndex('a part lies outside')
    }
    return bytes.subarray(start + offset, start + offset + length)
  }
  const entries = new Map<string, KeyEntry>(directory.keys.map((entry) => [entry.key, entry]))
  const open = new Map<string, KeyIndex>()
  const keyIndex = (key: string): KeyIndex | undefined => {
    const entry = entries.get(key)
    if (entry === undefined) return undefined
    const known = open.get(key) ?? new KeyIndex(entry, rows, partOf)
    open.set(key, known)
    return known
  }
  const reader = { rows, overflow: directory.overflow, keyIndex }
  return {
    select: (filter, rowsOfId) => {
      const { sure, maybe } = selectFilter(filter, { ...reader, rowsOfId })
      return { sure, maybe, exact: sure.count() === maybe.count() }
    },
    estimate: (filter) => Math.min(rows, estimateFilter(filter, reader)),
  }
}

function readDirectory(
  bytes: Uint8Array,
  rows: number,
): { readonly directory: Directory; readonly start: number } {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.byteLength < PREFIX_BYTES || view.readUInt32LE(0) !== FIELD_INDEX_FORMAT) {
    throw damagedIndex('no directory')
  }
  const start = PREFIX_BYTES + view.readUInt32LE(4)
  if (start > view.byteLength) throw damagedIndex('its directory is cut')
  const directory = parseDirectory(view.toString('utf8', PREFIX_BYTES, start))
  if (directory.rows !== rows) throw damagedIndex('it is of another segment')
  return { directory, start }
}

const partShape: Check<Part> = (value, path) => {
  const [offset, bytes] = list(whole(), 2)(value, path)
  if (offset !== undefined && bytes !== undefined) return [offset, bytes]
  throw new ShapeError(`${path}: expected an offset and a length`)
}

const directoryShape: Check<Directory> = object({
  rows: whole(),
  overflow: literal(true, false),
  keys: list(
    object({
      key: text(),
      indexed: literal(true, false),
      strings: whole(),
      numbers: whole(),
      stringOffsets: partShape,
      stringBytes: partShape,
      numberTags: partShape,
      numberValues: partShape,
      postings: partShape,
      words: partShape,
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

interface Reader {
  readonly rows: number
  readonly overflow: boolean
  keyIndex(key: string): KeyIndex | undefined
}

interface Selector extends Reader {
  rowsOfId(id: string): readonly number[]
}

interface Both {
  readonly sure: Bitset
  readonly maybe: Bitset
}

function selectFilter(filter: Filter, selector: Selector): Both {
  const sure = Bitset.full(selector.rows)
  const maybe = Bitset.full(selector.rows)
  for (const condition of filter.must) {
    const part = selectCondition(condition, selector)
    sure.and(part.sure)
    maybe.and(part.maybe)
  }
  if (filter.should.length > 0) {
    const anySure = new Bitset(selector.rows)
    const anyMaybe = new Bitset(selector.rows)
    for (const condition of filter.should) {
      const part = selectCondition(condition, selector)
      anySure.or(part.sure)
      anyMaybe.or(part.maybe)
    }
    sure.and(anySure)
    maybe.and(anyMaybe)
  }
  for (const condition of filter.mustNot) {
    const part = selectCondition(condition, selector)
    sure.andNot(part.maybe)
    maybe.andNot(part.sure)
  }
  return { sure, maybe }
}

function selectCondition(condition: Condition, selector: Selector): Both {
  if (condition.kind === 'filter') return selectFilter(condition.filter, selector)
  const rows = new Bitset(selector.rows)
  if (condition.kind === 'has_id') {
    for (const id of condition.ids) for (const row of selector.rowsOfId(id)) rows.add(row)
    return { sure: rows, maybe: rows }
  }
  const index = selector.keyIndex(condition.key)
  if (index === undefined) {
    if (selector.overflow) return { sure: rows, maybe: Bitset.full(selector.rows) }
    if (condition.kind === 'is_empty') return both(Bitset.full(selector.rows))
    return both(rows)
  }
  switch (condition.kind) {
    case 'is_null':
      index.addExtra('null', rows)
      return both(rows)
    case 'is_empty':
      index.addExtra('filled', rows)
      return both(rows.not())
  }
  if (!index.entry.indexed) {
    index.addExtra('filled', rows)
    return { sure: new Bitset(selector.rows), maybe: rows }
  }
  if (condition.kind === 'match') index.addMatches(condition.any, rows)
  else if (condition.kind === 'except') index.addOthers(condition.except, rows)
  else if (condition.kind === 'range') index.addRange(condition.bounds, rows)
  else index.addTimes(condition.bounds, rows)
  return both(rows)
}

const both = (rows: Bitset): Both => ({ sure: rows, maybe: rows })

function estimateFilter(filter: Filter, reader: Reader): number {
  let rows = reader.rows
  for (const condition of filter.must) rows = Math.min(rows, estimateCondition(condition, reader))
  if (filter.should.length > 0) {
    const any = filter.should.reduce((sum, one) => sum + estimateCondition(one, reader), 0)
    rows = Math.min(rows, any)
  }
  return rows
}

function estimateCondition(condition: Condition, reader: Reader): number {
  if (condition.kind === 'filter') return estimateFilter(condition.filter, reader)
  if (condition.kind === 'has_id') return condition.ids.length
  const index = reader.keyIndex(condition.key)
  if (index === undefined) {
    return reader.overflow || condition.kind === 'is_empty' ? reader.rows : 0
  }
  if (condition.kind === 'is_null') return index.countExtra('null')
  if (condition.kind === 'is_empty') return reader.rows - index.countExtra('filled')
  if (!index.entry.indexed) return index.countExtra('filled')
  if (condition.kind === 'match') return index.countMatches(condition.any)
  if (condition.kind === 'range') return index.countRange(condition.bounds)
  return index.countExtra('filled')
}
