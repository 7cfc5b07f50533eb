import { isUtf8 } from 'node:buffer'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { type SectionInput, section } from './blob.ts'
import { bytesOf, exactUint32 } from './views.ts'

/**
 * Sections of role `ids`: `idoff` u32[n + 1] offsets into `idbytes` (UTF-8, row order), and
 * `idsort` u32[n], the rows in bytewise order of their ids (equal ids: lower row first), so that an
 * upsert is a look-up.
 */
export function encodeIds(ids: readonly string[]): SectionInput[] {
  const offsets = new Uint32Array(ids.length + 1)
  for (let i = 0; i < ids.length; i++) {
    offsets[i + 1] = (offsets[i] as number) + Buffer.byteLength(ids[i] as string, 'utf8')
  }
  const bytes = Buffer.allocUnsafeSlow(offsets[ids.length] as number)
  for (let i = 0; i < ids.length; i++) bytes.write(ids[i] as string, offsets[i] as number, 'utf8')
  return [
    section('idoff', bytesOf(offsets)),
    section('idbytes', bytes),
    section('idsort', bytesOf(bytewiseOrder(offsets, bytes))),
  ]
}

/** Bytes that one comparison of two numbers decides on. */
const KEY_BYTES = 6

/** Rows in the bytewise order of their ids; equal ids: the lower row first. */
function bytewiseOrder(offsets: Uint32Array, bytes: Buffer): Uint32Array {
  const count = offsets.length - 1
  const order = new Uint32Array(count)
  for (let row = 0; row < count; row++) order[row] = row
  // Ids often begin alike: what follows tells most of them apart.
  const shared = sharedPrefix(offsets, bytes)
  const keys = new Float64Array(count)
  for (let row = 0; row < count; row++) {
    const start = (offsets[row] as number) + shared
    const end = offsets[row + 1] as number
    let key = 0
    for (let at = start; at < start + KEY_BYTES; at++) {
      key = key * 256 + (at < end ? (bytes[at] as number) : 0)
    }
    keys[row] = key
  }
  return order.sort(
    (a, b) =>
      (keys[a] as number) - (keys[b] as number) || compareIds(offsets, bytes, a, b) || a - b,
  )
}

/** Bytes with which all ids begin. */
function sharedPrefix(offsets: Uint32Array, bytes: Uint8Array): number {
  let shared = offsets[1] ?? 0
  for (let row = 1; row < offsets.length - 1; row++) {
    const start = offsets[row] as number
    shared = Math.min(shared, (offsets[row + 1] as number) - start)
    let same = 0
    while (same < shared && bytes[start + same] === bytes[same]) same++
    shared = same
  }
  return shared
}

/** The ids of one segment: rows to ids and back. */
export interface IdTable {
  readonly count: number
  id(row: number): string
  idBytes(row: number): Uint8Array
  /** Rows with this id, ascending. */
  rowsOf(id: Uint8Array): number[]
  /** Row at a place of the bytewise order. */
  sorted(place: number): number
  /** All ids, one after the other; that of a row stands from `start` to `end`. */
  readonly text: Buffer
  start(row: number): number
  end(row: number): number
}

/** Bytewise: below 0 where the id of `a` comes first, 0 where both are the same. */
export const compareIdsOf = (a: IdTable, rowA: number, b: IdTable, rowB: number): number =>
  a.text.compare(b.text, b.start(rowB), b.end(rowB), a.start(rowA), a.end(rowA))

/** @throws INTEGRITY where offsets or order do not fit. */
export function decodeIds(sections: ReadonlyMap<string, Uint8Array>, count: number): IdTable {
  const offsets = exactUint32(sections.get('idoff'), count + 1)
  const bytes = sections.get('idbytes') ?? new Uint8Array()
  const order = exactUint32(sections.get('idsort'), count)
  if (offsets === undefined || order === undefined) throw broken('wrong lengths')
  checkOffsets(offsets, bytes)
  checkOrder(offsets, bytes, order)
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const start = (row: number) => offsets[row] as number
  const end = (row: number) => offsets[row + 1] as number
  const compareAt = (place: number, id: Uint8Array): number => {
    const row = order[place] as number
    return text.compare(id, 0, id.byteLength, start(row), end(row))
  }
  const lowerBound = (id: Uint8Array): number => {
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareAt(middle, id) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
  return {
    ...{ count, text, start, end },
    id: (row) => text.toString('utf8', start(row), end(row)),
    idBytes: (row) => bytes.subarray(start(row), end(row)),
    sorted: (place) => order[place] as number,
    rowsOf: (id) => {
      const rows: number[] = []
      for (let at = lowerBound(id); at < count && compareAt(at, id) === 0; at++) {
        rows.push(order[at] as number)
      }
      return rows
    },
  }
}

/** Every id is 1…limits.idBytesMax bytes of whole UTF-8 characters. */
function checkOffsets(offsets: Uint32Array, bytes: Uint8Array): void {
  const count = offsets.length - 1
  if (offsets[0] !== 0 || offsets[count] !== bytes.byteLength) throw broken('wrong byte count')
  if (!isUtf8(bytes)) throw broken('an id is not UTF-8')
  for (let i = 0; i < count; i++) {
    const start = offsets[i] as number
    const length = (offsets[i + 1] as number) - start
    if (length < 1 || length > limits.idBytesMax) throw broken(`an id of ${length} bytes`)
    if (((bytes[start] as number) & 0xc0) === 0x80) throw broken('an id begins inside a character')
  }
}

/** Strictly ascending by id and row: so every row stands in the order exactly once. */
function checkOrder(offsets: Uint32Array, bytes: Uint8Array, order: Uint32Array): void {
  for (let place = 0; place < order.length; place++) {
    const row = order[place] as number
    if (row >= order.length) throw broken('a row beyond the end')
    if (place === 0) continue
    const before = order[place - 1] as number
    const sign = compareIds(offsets, bytes, before, row)
    if (sign > 0 || (sign === 0 && before >= row)) throw broken('its rows are not in order')
  }
}

/** As Buffer.compare, without a call into the runtime for each of a million pairs. */
function compareIds(offsets: Uint32Array, bytes: Uint8Array, a: number, b: number): number {
  const aStart = offsets[a] as number
  const bStart = offsets[b] as number
  const aLength = (offsets[a + 1] as number) - aStart
  const bLength = (offsets[b + 1] as number) - bStart
  const shared = Math.min(aLength, bLength)
  for (let i = 0; i < shared; i++) {
    const order = (bytes[aStart + i] as number) - (bytes[bStart + i] as number)
    if (order !== 0) return order
  }
  return aLength - bLength
}

const broken = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `the id table of a segment is damaged: ${what}`)
