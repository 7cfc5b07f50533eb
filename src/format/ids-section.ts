import { AkidbError } from '../errors/errors.ts'
import { type SectionInput, section } from './blob.ts'
import { asUint32, bytesOf } from './views.ts'

/**
 * Sections of role `ids`: `idoff` u32[n + 1] offsets into `idbytes` (UTF-8, row order), and
 * `idsort` u32[n], the rows in bytewise order of their ids (equal ids: lower row first), so that an
 * upsert is a look-up.
 */
export function encodeIds(ids: readonly string[]): SectionInput[] {
  const buffers = ids.map((id) => Buffer.from(id, 'utf8'))
  const offsets = new Uint32Array(ids.length + 1)
  for (const [i, bytes] of buffers.entries()) {
    offsets[i + 1] = (offsets[i] as number) + bytes.byteLength
  }
  const order = Uint32Array.from(buffers.keys())
  order.sort((a, b) => Buffer.compare(buffers[a] as Buffer, buffers[b] as Buffer) || a - b)
  return [
    section('idoff', bytesOf(offsets)),
    section('idbytes', Buffer.concat(buffers)),
    section('idsort', bytesOf(order)),
  ]
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
}

/** @throws INTEGRITY where offsets or order do not fit. */
export function decodeIds(sections: ReadonlyMap<string, Uint8Array>, count: number): IdTable {
  const offsets = asUint32(sections.get('idoff') ?? new Uint8Array())
  const bytes = sections.get('idbytes') ?? new Uint8Array()
  const order = asUint32(sections.get('idsort') ?? new Uint8Array())
  if (offsets.length !== count + 1 || order.length !== count) throw broken('wrong lengths')
  for (let i = 0; i < count; i++) {
    if ((offsets[i + 1] as number) < (offsets[i] as number)) throw broken('offsets go back')
    if ((order[i] as number) >= count) throw broken('a row beyond the end')
  }
  if (offsets[count] !== bytes.byteLength) throw broken('wrong byte count')
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
    count,
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

const broken = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `the id table of a segment is damaged: ${what}`)
