import { isUtf8 } from 'node:buffer'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import type { SectionInput } from './blob.ts'
import { section } from './blob.ts'

/** Decoded bytes after which a page is closed. */
export const PAGE_BYTES = 64 * 1024
/**
 * The largest page: one row whose JSON text is twice its input (escapes) behind rows that almost
 * fill a page, and their lengths.
 */
export const PAGE_DECODED_BYTES_MAX = limits.rowBytesMax * 2 + PAGE_BYTES * 5
/** First row u32, rows u32, decoded bytes u32, stored bytes u32, offset u64. */
export const PAGE_ENTRY_BYTES = 24

export interface PayloadPages {
  readonly sections: readonly SectionInput[]
  readonly decodedBytes: number
}

/** Collects payloads (compact JSON text, UTF-8) into zstd pages, row by row. */
export interface PayloadPageWriter {
  add(json: string): void
  readonly decodedBytes: number
  finish(): PayloadPages
}

/**
 * Sections of role `payload`: `pages` (zstd frames, RFC 8878, one after another) and `pagedir`. A
 * decoded page is u32 lengths of its rows followed by their JSON texts.
 */
export function createPayloadPageWriter(): PayloadPageWriter {
  const pages: Uint8Array[] = []
  const entries: Uint8Array[] = []
  let rows: Buffer[] = []
  let rowBytes = 0
  let firstRow = 0
  let decodedBytes = 0
  let stored = 0
  const close = (): void => {
    if (rows.length === 0) return
    const lengths = Buffer.alloc(rows.length * 4)
    for (const [i, row] of rows.entries()) lengths.writeUInt32LE(row.byteLength, i * 4)
    const decoded = Buffer.concat([lengths, ...rows])
    const page = zstdCompressSync(decoded)
    const entry = Buffer.alloc(PAGE_ENTRY_BYTES)
    entry.writeUInt32LE(firstRow, 0)
    entry.writeUInt32LE(rows.length, 4)
    entry.writeUInt32LE(decoded.byteLength, 8)
    entry.writeUInt32LE(page.byteLength, 12)
    entry.writeBigUInt64LE(BigInt(stored), 16)
    pages.push(page)
    entries.push(entry)
    stored += page.byteLength
    firstRow += rows.length
    rows = []
    rowBytes = 0
  }
  return {
    get decodedBytes() {
      return decodedBytes
    },
    add: (json) => {
      const bytes = Buffer.from(json, 'utf8')
      rows.push(bytes)
      rowBytes += bytes.byteLength
      decodedBytes += bytes.byteLength
      if (rowBytes >= PAGE_BYTES) close()
    },
    finish: () => {
      close()
      return {
        sections: [
          { name: 'pages', bytes: stored, pieces: pages },
          section('pagedir', Buffer.concat(entries)),
        ],
        decodedBytes,
      }
    },
  }
}

export interface PayloadPage {
  readonly firstRow: number
  readonly rows: number
  readonly decodedBytes: number
  readonly storedBytes: number
  /** In the `pages` section. */
  readonly offset: number
}

/** @throws INTEGRITY where the directory does not cover `count` rows within `pagesBytes`. */
export function decodePageDirectory(
  bytes: Uint8Array,
  count: number,
  pagesBytes: number,
): PayloadPage[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const pages: PayloadPage[] = []
  let row = 0
  let offset = 0
  for (let at = 0; at + PAGE_ENTRY_BYTES <= view.byteLength; at += PAGE_ENTRY_BYTES) {
    const page = {
      firstRow: view.readUInt32LE(at),
      rows: view.readUInt32LE(at + 4),
      decodedBytes: view.readUInt32LE(at + 8),
      storedBytes: view.readUInt32LE(at + 12),
      offset: Number(view.readBigUInt64LE(at + 16)),
    }
    if (page.firstRow !== row || page.offset !== offset || page.rows === 0) throw broken()
    row += page.rows
    offset += page.storedBytes
    pages.push(page)
  }
  if (row !== count || offset !== pagesBytes || view.byteLength % PAGE_ENTRY_BYTES !== 0) {
    throw broken()
  }
  return pages
}

/**
 * The JSON texts of one page's rows. @throws INTEGRITY where it does not decode to the promised
 * size.
 */
export function decodePage(stored: Uint8Array, page: PayloadPage): string[] {
  if (page.decodedBytes > PAGE_DECODED_BYTES_MAX) throw broken()
  let decoded: Buffer
  try {
    decoded = zstdDecompressSync(stored, { maxOutputLength: Math.max(1, page.decodedBytes) })
  } catch (cause) {
    throw broken(cause)
  }
  if (decoded.byteLength !== page.decodedBytes || decoded.byteLength < page.rows * 4) throw broken()
  if (!isUtf8(decoded.subarray(page.rows * 4))) throw broken()
  const texts: string[] = []
  let at = page.rows * 4
  for (let i = 0; i < page.rows; i++) {
    const length = decoded.readUInt32LE(i * 4)
    if (at + length > decoded.byteLength) throw broken()
    texts.push(decoded.toString('utf8', at, at + length))
    at += length
  }
  if (at !== decoded.byteLength) throw broken()
  return texts
}

/** Number of the page that holds a row: binary search. */
export function pageOf(pages: readonly PayloadPage[], row: number): number {
  let low = 0
  let high = pages.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((pages[middle] as PayloadPage).firstRow <= row) low = middle
    else high = middle - 1
  }
  return low
}

const broken = (cause?: unknown): AkidbError =>
  new AkidbError('INTEGRITY', 'the payload pages of a segment are damaged', { cause })
