import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import type { compressors } from 'hyparquet-compressors'
import { unpackLz4, unpackLz4Block } from './lz4.ts'

let snappy: (typeof compressors)['SNAPPY']

/** To be awaited before pages of a codec are decompressed: what Node lacks is loaded. */
export async function loadCodec(codec: string): Promise<void> {
  if (codec !== 'SNAPPY') return
  snappy ??= (await import('hyparquet-compressors')).compressors.SNAPPY
}

/**
 * The `bytes` decompressed bytes of a page, in an ArrayBuffer of their own. Throws an Error where
 * the codec is unknown, the data are damaged or the length differs.
 */
export function decompressPage(
  codec: string,
  packed: Uint8Array,
  bytes: number,
): Uint8Array<ArrayBuffer> {
  const page = bytes === 0 && packed.length === 0 ? packed : unpack(codec, packed, bytes)
  if (page.length !== bytes) {
    throw new Error(`the page decompresses to ${page.length} bytes, its header says ${bytes}`)
  }
  return ownBuffer(page)
}

function unpack(codec: string, packed: Uint8Array, bytes: number): Uint8Array {
  const options = { maxOutputLength: Math.max(bytes, 1) }
  switch (codec) {
    case 'UNCOMPRESSED':
      return packed
    case 'GZIP':
      return gunzipSync(packed, options)
    case 'ZSTD':
      return zstdDecompressSync(packed, options)
    case 'BROTLI':
      return brotliDecompressSync(packed, options)
    case 'LZ4':
      return unpackLz4(packed, bytes)
    case 'LZ4_RAW':
      return unpackLz4Block(packed, bytes)
    case 'SNAPPY':
      if (snappy === undefined) break
      checkSnappyLength(packed, bytes)
      return snappy(packed, bytes)
  }
  throw new Error(`the codec ${codec} is not supported`)
}

/**
 * The library returns as many bytes as it is asked for, whatever the data say that they hold:
 * beyond them comes what lay in its memory.
 *
 * Source: format_description.txt of Snappy, §1: the length is a varint of up to 32 bits.
 */
function checkSnappyLength(packed: Uint8Array, bytes: number): void {
  let length = 0
  for (let at = 0; at < 5; at++) {
    const byte = packed[at]
    if (byte === undefined) break
    length += (byte & 0x7f) * 2 ** (7 * at)
    if (byte >= 0x80) continue
    if (length === bytes) return
    throw new Error(`the page holds ${length} bytes, its header says ${bytes}`)
  }
  throw new RangeError('the Snappy data have no length')
}

function ownBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = bytes.byteLength === bytes.buffer.byteLength
  if (whole && bytes.buffer instanceof ArrayBuffer) return bytes as Uint8Array<ArrayBuffer>
  return new Uint8Array(bytes)
}
