/** The parts of hyparquet that are used, with the types as this folder sees them. */

import type { PageHeader, SchemaTree } from 'hyparquet'
import { parquetHeader } from 'hyparquet/src/column.js'
import { deltaBinaryUnpack, deltaByteArray, deltaLengthByteArray } from 'hyparquet/src/delta.js'
import { byteStreamSplit } from 'hyparquet/src/encoding.js'
import { parquetMetadata, parquetSchema } from 'hyparquet/src/metadata.js'
import { readPlain } from 'hyparquet/src/plain.js'

export type { ColumnMetaData, FileMetaData, PageHeader, SchemaElement, SchemaTree } from 'hyparquet'

/** Values of one page as stored: numbers, bigints, booleans or byte strings. */
export type RawValue = number | bigint | boolean | Uint8Array
export type RawValues = ArrayLike<RawValue>

/** The footer's metadata and its schema as a tree; `footer` ends with the length and "PAR1". */
export function readFooter(footer: Uint8Array): {
  metadata: ReturnType<typeof parquetMetadata>
  root: SchemaTree
} {
  const metadata = parquetMetadata(footer, { geoparquet: false, parsers: NO_PARSERS })
  return { metadata, root: parquetSchema(metadata) }
}

/** Statistics are not used, so their bytes need no sense. */
const NO_PARSERS = {
  stringFromBytes: () => undefined,
}

/** The page header (Thrift) at the start of some bytes. */
export function readPageHeader(bytes: Uint8Array): PageHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return parquetHeader({ view, offset: 0 })
}

export interface ValueLayout {
  readonly encoding: string
  readonly type: NonNullable<SchemaTree['element']['type']>
  readonly typeLength: number | undefined
  readonly count: number
}

/**
 * Values in one of the encodings that need no dictionary. `bytes` must be all of its ArrayBuffer,
 * so that a wrong length inside can reach nothing else. Throws RangeError or Error where the
 * bytes do not fit.
 */
export function readValues(bytes: Uint8Array<ArrayBuffer>, layout: ValueLayout): RawValues {
  const { type, count, typeLength } = layout
  const reader = { view: new DataView(bytes.buffer), offset: bytes.byteOffset }
  switch (layout.encoding) {
    case 'PLAIN':
      return readPlain(reader, type, count, typeLength)
    case 'BYTE_STREAM_SPLIT':
      return byteStreamSplit(reader, count, type, typeLength)
    case 'DELTA_BINARY_PACKED': {
      const values = type === 'INT32' ? new Int32Array(count) : new BigInt64Array(count)
      if (count > 0) deltaBinaryUnpack(reader, count, values)
      return values
    }
    case 'DELTA_LENGTH_BYTE_ARRAY': {
      const values: Uint8Array[] = new Array(count)
      if (count > 0) deltaLengthByteArray(reader, count, values)
      return values
    }
    case 'DELTA_BYTE_ARRAY': {
      const values: Uint8Array[] = new Array(count)
      if (count > 0) deltaByteArray(reader, count, values)
      return values
    }
    default:
      throw new Error(`the encoding ${layout.encoding} is not supported`)
  }
}
