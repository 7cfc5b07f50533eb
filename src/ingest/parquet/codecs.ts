import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import type { compressors } from 'hyparquet-compressors'

let loaded: typeof compressors | undefined

/** To be awaited before pages of a codec are decompressed: those that Node lacks are loaded. */
export async function loadCodec(codec: string): Promise<void> {
  if (!LOADED_CODECS.has(codec)) return
  loaded ??= (await import('hyparquet-compressors')).compressors
}

const LOADED_CODECS: ReadonlySet<string> = new Set(['SNAPPY', 'LZ4', 'LZ4_RAW'])

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
      const unpacker = loaded?.[codec]
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
