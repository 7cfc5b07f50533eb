import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { compressors } from 'hyparquet-compressors'

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
    case 'SNAPPY':
    case 'LZ4':
    case 'LZ4_RAW': {
      const unpacker = compressors[codec]
      if (unpacker !== undefined) return unpacker(packed, bytes)
    }
  }
  throw new Error(`the codec ${codec} is not supported`)
}

function ownBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = bytes.byteLength === bytes.buffer.byteLength
  if (whole && bytes.buffer instanceof ArrayBuffer) return bytes as Uint8Array<ArrayBuffer>
  return new Uint8Array(bytes)
}
