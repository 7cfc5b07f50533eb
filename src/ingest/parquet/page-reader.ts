import { crc32 } from 'node:zlib'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { decompressPage, loadCodec } from './codecs.ts'
import {
  type ColumnMetaData,
  type PageHeader,
  type RawValues,
  readPageHeader,
  readValues,
} from './hyparquet.ts'
import { readHybrid } from './levels.ts'
import type { SchemaNode } from './schema-node.ts'
import { checkThriftStruct } from './thrift-check.ts'

const HEADER_BYTES = 65_536

/** One decoded data page. */
export interface Page {
  /** Values and nulls. */
  readonly count: number
  /** undefined: all 0 (the column repeats nothing). */
  readonly repetition: Uint8Array | Uint32Array | undefined
  /** undefined: all are there. */
  readonly definition: Uint8Array | Uint32Array | undefined
  /** Those that are there, as stored; with a dictionary its entries are looked up. */
  readonly values: RawValues
  /** The dictionary that `indexes` point into, where there is one; `values` is then empty. */
  readonly dictionary: RawValues | undefined
  readonly indexes: Uint8Array | Uint32Array | undefined
}

export interface ChunkPlace {
  readonly node: SchemaNode
  readonly meta: ColumnMetaData
  /** For messages: the column's path. */
  readonly path: string
  readonly start: number
  readonly end: number
  /** Bytes that one read asks for at least. */
  readonly readBytes: number
  readonly readAt: (offset: number, bytes: number) => Promise<Uint8Array>
}

/** Reads one column chunk page by page, each checked by its CRC-32 where it has one. */
export class PageReader {
  readonly #place: ChunkPlace
  #buffer: Uint8Array = new Uint8Array(0)
  #bufferAt: number
  #at: number
  /** What follows the buffer, asked for while the buffer is decoded. */
  #ahead: Promise<Uint8Array> | undefined
  #dictionary: RawValues | undefined

  constructor(place: ChunkPlace) {
    this.#place = place
    this.#at = place.start
    this.#bufferAt = place.start
  }

  /** The next data page; undefined at the end of the chunk. Throws BAD_INPUT, naming the column. */
  async next(): Promise<Page | undefined> {
    await loadCodec(this.#codec)
    while (this.#at < this.#place.end) {
      const pageAt = this.#at
      try {
        const head = await this.#bytes(Math.min(HEADER_BYTES, this.#place.end - this.#at))
        const headBytes = checkThriftStruct(head, 0)
        const header = readPageHeader(head.subarray(0, headBytes))
        this.#at += headBytes
        checkSizes(header, this.#place.end - this.#at)
        const packed = await this.#bytes(header.compressed_page_size)
        this.#at += header.compressed_page_size
        checkCrc(header, packed)
        const page = this.#decode(header, packed)
        if (page !== undefined) return page
      } catch (cause) {
        if (cause instanceof AkidbError) throw cause
        throw this.#broken(pageAt, cause)
      }
    }
    return undefined
  }

  /** Bytes from here on, without moving; they live until the next call. */
  async #bytes(count: number): Promise<Uint8Array> {
    const from = this.#at - this.#bufferAt
    if (from + count <= this.#buffer.length) return this.#buffer.subarray(from, from + count)
    if (count > this.#place.end - this.#at) throw new RangeError('the column chunk ends too early')
    const parts = from < this.#buffer.length ? [this.#buffer.subarray(from)] : []
    let have = this.#buffer.length - from
    while (have < count) {
      const at = this.#at + have
      const part = await (this.#ahead ?? this.#read(at, count - have))
      this.#ahead = undefined
      if (part.length === 0) throw new RangeError('the file ends too early')
      parts.push(part)
      have += part.length
    }
    this.#bufferAt = this.#at
    const [only, ...others] = parts
    this.#buffer = only === undefined || others.length > 0 ? Buffer.concat(parts) : only
    if (this.#at + have < this.#place.end) this.#ahead = this.#read(this.#at + have, 0)
    return this.#buffer.subarray(0, count)
  }

  /** At least so many bytes of the chunk, or those that it has left. */
  #read(at: number, bytes: number): Promise<Uint8Array> {
    const { readBytes, end, readAt } = this.#place
    const part = readAt(at, Math.min(Math.max(bytes, readBytes), end - at))
    // A failure is thrown where the part is waited for.
    part.catch(() => undefined)
    return part
  }

  #decode(header: PageHeader, packed: Uint8Array): Page | undefined {
    if (header.type === 'DATA_PAGE' && header.data_page_header !== undefined) {
      return this.#decodeV1(header, packed)
    }
    if (header.type === 'DATA_PAGE_V2' && header.data_page_header_v2 !== undefined) {
      return this.#decodeV2(header, packed)
    }
    if (header.type === 'DICTIONARY_PAGE' && header.dictionary_page_header !== undefined) {
      const count = checkCount(header.dictionary_page_header.num_values)
      const page = decompressPage(this.#codec, packed, header.uncompressed_page_size)
      this.#dictionary = readValues(page, { ...this.#layout, encoding: 'PLAIN', count })
      return undefined
    }
    if (header.type === 'INDEX_PAGE') return undefined
    throw new Error('the page header is of an unknown kind')
  }

  #decodeV1(header: PageHeader, packed: Uint8Array): Page {
    const data = header.data_page_header
    const count = checkCount(data?.num_values)
    const page = decompressPage(this.#codec, packed, header.uncompressed_page_size)
    const view = new DataView(page.buffer, page.byteOffset, page.byteLength)
    let at = 0
    const level = (max: number): Uint8Array | Uint32Array | undefined => {
      if (max === 0) return undefined
      const start = at + 4
      const end = start + view.getUint32(at, true)
      if (end > page.length) throw new RangeError('the levels end too early')
      at = end
      return readHybrid(page, { start, end }, { width: bitsOf(max), count })
    }
    const repetition = level(this.#place.node.repetition)
    const definition = level(this.#place.node.definition)
    const levels = { count, repetition, definition }
    return this.#withValues(levels, page.slice(at), data?.encoding ?? '')
  }

  #decodeV2(header: PageHeader, packed: Uint8Array): Page {
    const data = header.data_page_header_v2
    if (data === undefined) throw new Error('the page has no header')
    const count = checkCount(data.num_values)
    const repetitionEnd = data.repetition_levels_byte_length
    const valuesAt = repetitionEnd + data.definition_levels_byte_length
    if (repetitionEnd < 0 || valuesAt < repetitionEnd || valuesAt > packed.length) {
      throw new RangeError('the levels end too early')
    }
    const level = (max: number, start: number, end: number) =>
      max === 0 ? undefined : readHybrid(packed, { start, end }, { width: bitsOf(max), count })
    const { node } = this.#place
    const repetition = level(node.repetition, 0, repetitionEnd)
    const definition = level(node.definition, repetitionEnd, valuesAt)
    const codec = data.is_compressed === false ? 'UNCOMPRESSED' : this.#codec
    const bytes = header.uncompressed_page_size - valuesAt
    const values = decompressPage(codec, packed.subarray(valuesAt), bytes)
    return this.#withValues({ count, repetition, definition }, values, data.encoding)
  }

  #withValues(
    levels: Pick<Page, 'count' | 'repetition' | 'definition'>,
    bytes: Uint8Array<ArrayBuffer>,
    encoding: string,
  ): Page {
    const { definition: max, repetition: maxRepetition } = this.#place.node
    const present = levels.definition === undefined ? levels.count : count(levels.definition, max)
    checkLevels(levels.definition, max)
    checkLevels(levels.repetition, maxRepetition)
    const definition = present === levels.count ? undefined : levels.definition
    const page = { count: levels.count, repetition: levels.repetition, definition }
    const none = { dictionary: undefined, indexes: undefined }
    if (encoding === 'PLAIN_DICTIONARY' || encoding === 'RLE_DICTIONARY') {
      const dictionary = this.#dictionary
      if (dictionary === undefined) throw new Error('the page needs a dictionary, there is none')
      const indexes = readIndexes(bytes, present, dictionary.length)
      if (dictionary instanceof Float32Array) {
        return { ...page, ...none, values: lookedUp(dictionary, indexes) }
      }
      return { ...page, values: [], dictionary, indexes }
    }
    if (encoding === 'RLE' && this.#layout.type === 'BOOLEAN') {
      const place = { start: 4, end: bytes.length }
      const bits = present === 0 ? [] : readHybrid(bytes, place, { width: 1, count: present })
      return { ...page, ...none, values: Array.from(bits, (bit) => bit === 1) }
    }
    const values = readValues(bytes, { ...this.#layout, encoding, count: present })
    if (values.length !== present) throw new Error('the page holds fewer values than it says')
    return { ...page, ...none, values }
  }

  get #codec(): string {
    return this.#place.meta.codec
  }

  get #layout() {
    const { type, type_length: typeLength } = this.#place.node.element
    if (type === undefined) throw new Error('the column has no type')
    return { type, typeLength }
  }

  #broken(byte: number, cause: unknown): AkidbError {
    const why = cause instanceof Error ? cause.message : String(cause)
    const where = `column ${JSON.stringify(this.#place.path)}, page at byte ${byte}`
    return new AkidbError(
      'BAD_INPUT',
      `The Parquet file is damaged or not supported in ${where}: ${why}.`,
      {
        hint: 'Copy the file again from its source, or write it anew.',
        details: { column: this.#place.path, byte },
        cause,
      },
    )
  }
}

function checkSizes(header: PageHeader, left: number): void {
  const { compressed_page_size: packed, uncompressed_page_size: bytes } = header
  if (!(packed >= 0 && packed <= left)) throw new RangeError('the page is longer than its chunk')
  if (
    !(bytes >= 0 && bytes <= limits.parquetPageBytesMax && packed <= limits.parquetPageBytesMax)
  ) {
    throw new AkidbError(
      'LIMIT',
      `A Parquet page is larger than ${limits.parquetPageBytesMax} bytes.`,
      {
        hint: 'Write the file with smaller pages.',
        details: { limit: 'parquetPageBytesMax', max: limits.parquetPageBytesMax },
      },
    )
  }
}

function checkCrc(header: PageHeader, packed: Uint8Array): void {
  if (header.crc === undefined) return
  if (crc32(packed) !== header.crc >>> 0)
    throw new Error('the page checksum (CRC-32) does not match')
}

function checkCount(values: number | undefined): number {
  if (values !== undefined && values >= 0 && values <= limits.parquetPageValuesMax) return values
  if (values === undefined || values < 0) throw new RangeError('a negative number of values')
  throw new AkidbError(
    'LIMIT',
    `A Parquet page has more than ${limits.parquetPageValuesMax} values.`,
    {
      hint: 'Write the file with smaller pages.',
      details: { limit: 'parquetPageValuesMax', max: limits.parquetPageValuesMax },
    },
  )
}

function readIndexes(
  bytes: Uint8Array,
  present: number,
  entries: number,
): Uint8Array | Uint32Array {
  if (present === 0) return new Uint8Array(0)
  const width = bytes[0] ?? 0
  const indexes = readHybrid(bytes, { start: 1, end: bytes.length }, { width, count: present })
  for (let i = 0; i < indexes.length; i++) {
    if ((indexes[i] as number) >= entries) throw new RangeError('an index beyond the dictionary')
  }
  return indexes
}

/** Components of vectors: the row reader takes lists whole. */
function lookedUp(dictionary: Float32Array, indexes: Uint8Array | Uint32Array): Float32Array {
  const values = new Float32Array(indexes.length)
  for (let i = 0; i < indexes.length; i++) values[i] = dictionary[indexes[i] as number] as number
  return values
}

function checkLevels(levels: Uint8Array | Uint32Array | undefined, max: number): void {
  // Levels have as many bits as the largest needs (levels.ts sees to it).
  if (levels === undefined || max === 2 ** bitsOf(max) - 1) return
  for (let i = 0; i < levels.length; i++) {
    if ((levels[i] as number) > max) throw new RangeError('a level beyond the schema')
  }
}

function count(levels: Uint8Array | Uint32Array, wanted: number): number {
  let found = 0
  for (let i = 0; i < levels.length; i++) if (levels[i] === wanted) found++
  return found
}

const bitsOf = (max: number): number => 32 - Math.clz32(max)
