import { AkidbError } from '../errors/errors.ts'

/** The header of a tar member is the longest that is looked at. */
const START_BYTES = 512
const UNPACK = 'Unpack it first.'
const CONVERT = 'Write it as Parquet, CSV or JSONL first.'

interface Foreign {
  readonly what: string
  /** Its first bytes as characters, or those at `offset`. */
  readonly magic: string
  readonly offset?: number
  readonly hint: string
}

/** Source: the formats' specifications. */
const FOREIGN: readonly Foreign[] = [
  { what: 'an xz file', magic: '\xfd7zXZ\0', hint: UNPACK },
  { what: 'a bzip2 file', magic: 'BZh', hint: UNPACK },
  { what: 'an LZ4 file', magic: '\x04"M\x18', hint: UNPACK },
  { what: 'a file of compress', magic: '\x1f\x9d', hint: UNPACK },
  { what: 'a 7-Zip archive', magic: "7z\xbc\xaf'\x1c", hint: UNPACK },
  { what: 'a ZIP archive', magic: 'PK\x03\x04', hint: UNPACK },
  { what: 'a tar archive', magic: 'ustar', offset: 257, hint: UNPACK },
  // Its pages are compressed, and are read where they stand.
  { what: 'Parquet in gzip or zstd', magic: 'PAR1', hint: UNPACK },
  { what: 'an Arrow file', magic: 'ARROW1', hint: CONVERT },
  { what: 'a stream of Arrow', magic: '\xff\xff\xff\xff', hint: CONVERT },
  { what: 'an ORC file', magic: 'ORC', hint: CONVERT },
  { what: 'an Avro file', magic: 'Obj\x01', hint: CONVERT },
  { what: 'an HDF5 file', magic: '\x89HDF\r\n\x1a\n', hint: CONVERT },
  { what: 'an array of NumPy', magic: '\x93NUMPY', hint: CONVERT },
  { what: 'a pickle of Python', magic: '\x80\x03', hint: CONVERT },
  { what: 'a pickle of Python', magic: '\x80\x04', hint: CONVERT },
  { what: 'a pickle of Python', magic: '\x80\x05', hint: CONVERT },
  { what: 'an SQLite database', magic: 'SQLite format 3\0', hint: CONVERT },
]

/**
 * Throws BAD_INPUT, saying what it is, where the first bytes of an input are those of a format
 * that is often at hand and that is not read.
 */
export function refuseForeign(name: string, head: Uint8Array): void {
  const bytes = head.subarray(0, START_BYTES)
  // Text may begin like some of them.
  if (!bytes.some(isControl)) return
  const start = Buffer.from(bytes).toString('latin1')
  const found = FOREIGN.find(({ magic, offset = 0 }) => start.startsWith(magic, offset))
  if (found === undefined) return
  const { what, hint } = found
  throw new AkidbError('BAD_INPUT', `${name} is ${what}, which is not read.`, { hint })
}

/** Tab and line ends aside. */
const isControl = (byte: number): boolean => byte < 9 || (byte > 13 && byte < 32)
