import { limits } from '../core/limits.ts'
import { METRICS } from '../core/metric.ts'
import { AkidbError } from '../errors/errors.ts'
import { LINK_READER, SCRATCH_ROWS } from './kernel/layout.ts'
import type { Segment } from './segment.ts'

/**
 * Bytes of a segment's graph (role `graph`): links only, little endian:
 *
 * | offset | bytes | meaning                                                                   |
 * |--------|-------|---------------------------------------------------------------------------|
 * | 0      | 4     | magic `AKGR`                                                              |
 * | 4      | 2     | version, 1                                                                |
 * | 6      | 1     | metric: 0 cosine, 1 dot, 2 l2                                             |
 * | 7      | 1     | zero                                                                      |
 * | 8      | 4     | rows                                                                      |
 * | 12     | 4     | dimension                                                                 |
 * | 16     | 2     | m                                                                         |
 * | 18     | 2     | efConstruction                                                            |
 * | 20     | 4     | bytes of the lists                                                        |
 * | 24     | 8     | zero                                                                      |
 * | 32     |       | for each row, for each of its levels from 0: the list                     |
 *
 * A list is LEB128 numbers: how many links, then the linked rows ascending, the first as it is and
 * each next as the difference from the one before, less one. Levels and the entry point follow from
 * the row numbers and m (levels.ts) and are not stored.
 */
const MAGIC = 0x52474b41
const VERSION = 1
export const GRAPH_HEADER_BYTES = 32

/** Parameters in a graph's header, checked; needed before a segment's memory is planned. */
export interface GraphHeader {
  readonly m: number
  readonly efConstruction: number
  /** Bytes after the header. */
  readonly listBytes: number
}

/** The links of a built segment as bytes. */
export function encodeGraph(segment: Segment): Uint8Array {
  const bodyWriter = new ByteWriter()
  for (const lists = new Lists(segment); !lists.done; lists.advance()) {
    const { at, capacity } = lists
    const count = Math.min(segment.u32[at] as number, capacity)
    const ids = segment.u32.slice(at + 1, at + 1 + count).sort()
    bodyWriter.varint(count)
    let next = 0
    for (const id of ids) {
      bodyWriter.varint(id - next)
      next = id + 1
    }
  }
  const body = bodyWriter.take()
  const bytes = new Uint8Array(GRAPH_HEADER_BYTES + body.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, VERSION, true)
  view.setUint8(6, METRICS.indexOf(segment.metric))
  view.setUint32(8, segment.rows, true)
  view.setUint32(12, segment.dimension, true)
  view.setUint16(16, segment.plan.shape.graph?.m ?? 0, true)
  view.setUint16(18, segment.plan.shape.graph?.efConstruction ?? 0, true)
  view.setUint32(20, body.length, true)
  bytes.set(body, GRAPH_HEADER_BYTES)
  return bytes
}

/** Reads a graph's header. Errors: INTEGRITY where it is not one for such a segment. */
export function readGraphHeader(
  bytes: Uint8Array,
  shape: { rows: number; dimension: number; metric: (typeof METRICS)[number] },
): GraphHeader {
  if (bytes.length < GRAPH_HEADER_BYTES) throw damaged('shorter than a header')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0, true) !== MAGIC) throw damaged('not a graph')
  const version = view.getUint16(4, true)
  if (version !== VERSION) throw damaged(`version ${version}, expected ${VERSION}`)
  if (view.getUint8(6) !== METRICS.indexOf(shape.metric)) throw damaged('made for another metric')
  if (view.getUint32(8, true) !== shape.rows) throw damaged('another number of rows')
  if (view.getUint32(12, true) !== shape.dimension) throw damaged('another dimension')
  const m = view.getUint16(16, true)
  const efConstruction = view.getUint16(18, true)
  if (m < 2 || m > limits.graphLinksMax) throw damaged(`m is ${m}`)
  if (efConstruction < 1 || efConstruction > limits.efConstructionMax) {
    throw damaged(`efConstruction is ${efConstruction}`)
  }
  if (view.getUint8(7) !== 0 || view.getUint32(24, true) !== 0 || view.getUint32(28, true) !== 0) {
    throw damaged('reserved bytes are not zero')
  }
  return { m, efConstruction, listBytes: view.getUint32(20, true) }
}

/** Puts a graph's stored bytes, whole, into a segment whose levels are set. Errors: INTEGRITY. */
export function decodeGraph(segment: Segment, bytes: Uint8Array): void {
  const reader = new GraphReader(segment, bytes.length - GRAPH_HEADER_BYTES)
  reader.push(bytes.subarray(GRAPH_HEADER_BYTES))
  reader.finish()
}

/** What the kernel found wrong, by its number (assembly/links.ts). */
const WRONG = [
  undefined,
  () => 'a number is too long',
  () => 'a number is longer than it needs to be',
  () => 'bytes after the last list',
  ({ row, level, value }: Fault) => `row ${row} has ${value} links on level ${level}`,
  ({ row, level, value }: Fault) => `row ${row} links to ${value} on level ${level}`,
]

interface Fault {
  readonly row: number
  readonly level: number
  readonly value: number
}

/**
 * Puts stored links into a segment whose levels are set, as their bytes come. Every list is
 * checked: no more links than its level holds, rows ascending, present, on that level, and not the
 * row itself. Errors: INTEGRITY.
 *
 * The bytes go through the context's scratch space: the reader's fields, then room for a piece.
 */
export class GraphReader {
  readonly #segment: Segment
  readonly #bytes: number
  readonly #reader: number
  readonly #room: number
  readonly #roomBytes: number
  #read = 0
  /** Bytes at the start of the room that were not read yet: less than one number. */
  #kept = 0

  /** `bytes`: how many come after the header, as that says. */
  constructor(segment: Segment, bytes: number) {
    this.#segment = segment
    this.#bytes = bytes
    this.#reader = segment.context.arrays.scratch as number
    this.#room = this.#reader + ROOM_OFFSET
    this.#roomBytes = SCRATCH_ROWS * segment.plan.stride * 4 - ROOM_OFFSET
    segment.u32.fill(0, this.#reader / 4, this.#room / 4)
    this.#set('at', segment.address('links0'))
    this.#set('upper', segment.address('upper'))
    this.#set('left', NO_COUNT)
  }

  push(chunk: Uint8Array): void {
    this.#read += chunk.length
    if (this.#read > this.#bytes) throw damaged('wrong length')
    const most = this.#roomBytes - AHEAD_BYTES
    for (let at = 0; at < chunk.length; ) {
      const piece = chunk.subarray(at, at + most - this.#kept)
      this.#segment.u8.set(piece, this.#room + this.#kept)
      this.#take(this.#kept + piece.length, AHEAD_BYTES)
      at += piece.length
    }
  }

  finish(): void {
    if (this.#read !== this.#bytes) throw damaged('wrong length')
    this.#segment.u8.fill(0, this.#room + this.#kept, this.#room + this.#kept + AHEAD_BYTES)
    this.#take(this.#kept, 0)
    const isWhole = this.#kept === 0 && this.#get('row') === this.#segment.rows
    if (!isWhole || this.#get('left') !== NO_COUNT >>> 0) throw damaged('ends inside a list')
    // Rows that come here later count on their padding being zero.
    this.#segment.u8.fill(0, this.#reader, this.#room + this.#roomBytes)
    this.#segment.setIndex('built', this.#segment.rows)
  }

  /** Reads the numbers of the room's first bytes but those that begin in the last `ahead`. */
  #take(bytes: number, ahead: number): void {
    const { exports, plan, u8 } = this.#segment
    const end = this.#room + bytes
    const until = Math.max(this.#room, end - ahead)
    const next = exports.takeLinks(plan.index, this.#reader, this.#room, until) >>> 0
    const say = WRONG[this.#get('wrong')]
    if (say !== undefined) {
      const [row, level, value] = [this.#get('row'), this.#get('level'), this.#get('value')]
      throw damaged(say({ row, level, value }))
    }
    // A number that begins before the end and goes on behind it was cut off.
    if (next > end) throw damaged('ends inside a list')
    u8.copyWithin(this.#room, next, end)
    this.#kept = end - next
  }

  #get(name: string): number {
    return this.#segment.u32[(this.#reader + (LINK_READER[name] as number)) / 4] as number
  }

  #set(name: string, value: number): void {
    this.#segment.u32[(this.#reader + (LINK_READER[name] as number)) / 4] = value
  }
}

const NO_COUNT = -1
/** Bytes behind the start of a number that the kernel reads with it. */
const AHEAD_BYTES = 3
/** Of the room for bytes, behind the reader's fields. */
const ROOM_OFFSET = 64

/** A walk over all lists in stored order: by row, by level from 0. */
class Lists {
  row = 0
  level = 0
  /** The word that holds the count of links. */
  at: number
  readonly #segment: Segment
  readonly #m: number
  readonly #levels: number
  readonly #links0: number
  /** The next list above level 0. */
  #upper: number

  constructor(segment: Segment) {
    const m = segment.plan.shape.graph?.m
    if (m === undefined) throw new Error('segment has no graph')
    this.#segment = segment
    this.#m = m
    this.#levels = segment.address('levels')
    this.#links0 = segment.address('links0') / 4
    this.#upper = segment.address('upper') / 4
    this.at = this.#links0
  }

  get done(): boolean {
    return this.row >= this.#segment.rows
  }

  get capacity(): number {
    return this.level === 0 ? 2 * this.#m : this.#m
  }

  advance(): void {
    const top = this.#segment.u8[this.#levels + this.row] as number
    if (this.level < top) {
      this.level++
      this.at = this.#upper
      this.#upper += this.#m + 1
    } else {
      this.level = 0
      this.row++
      this.at = this.#links0 + this.row * (2 * this.#m + 1)
    }
  }
}

/** Bytes that grow by doubling. */
class ByteWriter {
  #bytes = new Uint8Array(65_536)
  #length = 0

  varint(value: number): void {
    if (this.#length + 5 > this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.#bytes[this.#length++] = rest
  }

  take(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }
}

const damaged = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `a graph does not fit its segment: ${what}`, {
    hint: 'Run akidb index build --again: the graph is built anew from the vectors.',
  })
