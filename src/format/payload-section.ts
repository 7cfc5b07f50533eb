import { isUtf8 } from 'node:buffer'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
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

/**
 * How pages came about: 'written' by an ingest or the log, which should be quick and are merged
 * soon; 'merged' for years, in sealed states, bundles and buckets.
 */
export type PayloadTier = keyof typeof PAYLOAD_LEVELS

/**
 * The zstd level of each tier. It is stored nowhere: no reader needs it, and what writes the same
 * bytes again finds it by `tierOfPages`; a level that pages were written at stays in this table.
 * 9 takes 4 to 16% off pages; more takes little more, at many times the work
 * (docs/decisions/zstd-level.md).
 */
export const PAYLOAD_LEVELS = { written: 3, merged: 9 } as const

const TIERS = Object.keys(PAYLOAD_LEVELS) as PayloadTier[]

/** Room for the texts of a page of ordinary rows. */
const TEXT_BYTES = PAGE_BYTES * 4

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
 * decoded page is u32 lengths of its rows followed by their JSON texts. The same rows of the same
 * tier give the same bytes.
 */
export function createPayloadPageWriter(tier: PayloadTier): PayloadPageWriter {
  const pages: Uint8Array[] = []
  const entries: Uint8Array[] = []
  /** Byte lengths of the rows of the open page, and their texts one after the other. */
  let rows: number[] = []
  let texts = Buffer.allocUnsafeSlow(TEXT_BYTES)
  let rowBytes = 0
  let firstRow = 0
  let decodedBytes = 0
  let stored = 0
  const close = (): void => {
    if (rows.length === 0) return
    const lengths = Buffer.alloc(rows.length * 4)
    for (let i = 0; i < rows.length; i++) lengths.writeUInt32LE(rows[i] as number, i * 4)
    const decoded = Buffer.concat([lengths, texts.subarray(0, rowBytes)])
    const page = compress(decoded, tier)
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
    // What one huge row needed is not kept for all that follow.
    if (texts.byteLength > TEXT_BYTES) texts = Buffer.allocUnsafeSlow(TEXT_BYTES)
  }
  return {
    get decodedBytes() {
      return decodedBytes
    },
    add: (json) => {
      // Three bytes at most for a UTF-16 unit.
      const needed = rowBytes + json.length * 3
      if (needed > texts.byteLength) texts = grown(texts, rowBytes, needed)
      const bytes = texts.write(json, rowBytes, 'utf8')
      rows.push(bytes)
      rowBytes += bytes
      decodedBytes += bytes
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

const compress = (decoded: Uint8Array, tier: PayloadTier): Buffer =>
  zstdCompressSync(decoded, {
    params: { [constants.ZSTD_c_compressionLevel]: PAYLOAD_LEVELS[tier] },
  })

function grown(texts: Buffer, used: number, needed: number): Buffer<ArrayBuffer> {
  const larger = Buffer.allocUnsafeSlow(Math.max(needed, texts.byteLength * 2))
  texts.copy(larger, 0, 0, used)
  return larger
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

/** The pages of a segment, wherever they are. */
export interface PageSource {
  readonly directory: readonly PayloadPage[]
  /** The stored bytes of a page: its zstd frame. */
  readonly stored: (page: PayloadPage) => Promise<Uint8Array>
}

/**
 * The tier that stored pages are of: for writing the same rows again as the same bytes. Pages are
 * encoded again at each level until the levels differ on one, mostly the first, and that page
 * decides: by its bytes, and by the nearest length where another version of zstd wrote it. Pages
 * that are the same at every level, which tiny ones can be, are 'written': it makes no difference.
 * At worst this costs as much as writing all pages once at each level.
 *
 * @throws INTEGRITY where a page that it looks at does not decode to the promised size
 */
export async function tierOfPages({ directory, stored }: PageSource): Promise<PayloadTier> {
  for (const page of directory) {
    const frame = await stored(page)
    const decoded = decompress(frame, page)
    const tried = TIERS.map((tier) => ({ tier, again: compress(decoded, tier) }))
    const [first, ...others] = tried as [Tried, ...Tried[]]
    if (others.every(({ again }) => again.equals(first.again))) continue
    const same = tried.find(({ again }) => again.equals(frame))
    return (same ?? nearest(tried, frame.byteLength)).tier
  }
  return 'written'
}

interface Tried {
  readonly tier: PayloadTier
  readonly again: Buffer
}

/** The first of several that are as near. */
function nearest(tried: readonly Tried[], bytes: number): Tried {
  const distance = ({ again }: Tried): number => Math.abs(again.byteLength - bytes)
  return tried.reduce((best, next) => (distance(next) < distance(best) ? next : best))
}

/** One decoded page. */
export interface DecodedPage {
  readonly rows: number
  /** Memory that it takes. */
  readonly bytes: number
  /** The JSON text of a row, counted from the page's first: UTF-8, checked. A view. */
  text(row: number): Buffer
}

/** @throws INTEGRITY where a page does not decode to the promised size, or is no UTF-8. */
export function openPage(stored: Uint8Array, page: PayloadPage): DecodedPage {
  const decoded = decompress(stored, page)
  if (decoded.byteLength < page.rows * 4) throw broken()
  if (!isUtf8(decoded.subarray(page.rows * 4))) throw broken()
  const ends = new Uint32Array(page.rows + 1)
  ends[0] = page.rows * 4
  for (let i = 0; i < page.rows; i++) {
    const end = (ends[i] as number) + decoded.readUInt32LE(i * 4)
    if (end > decoded.byteLength) throw broken()
    ends[i + 1] = end
  }
  if (ends[page.rows] !== decoded.byteLength) throw broken()
  // A row cut inside a character is not one text; the page as a whole would still be UTF-8.
  for (const start of ends) if (((decoded[start] ?? 0) & 0xc0) === 0x80) throw broken()
  return {
    rows: page.rows,
    bytes: decoded.byteLength + ends.byteLength,
    text: (row) => decoded.subarray(ends[row], ends[row + 1]),
  }
}

/** @throws INTEGRITY where it is not of the promised size */
function decompress(stored: Uint8Array, page: PayloadPage): Buffer {
  if (page.decodedBytes > PAGE_DECODED_BYTES_MAX) throw broken()
  let decoded: Buffer
  try {
    decoded = zstdDecompressSync(stored, { maxOutputLength: Math.max(1, page.decodedBytes) })
  } catch (cause) {
    throw broken(cause)
  }
  if (decoded.byteLength !== page.decodedBytes) throw broken()
  return decoded
}

/** The JSON texts of one page's rows. @throws as openPage */
export function decodePage(stored: Uint8Array, page: PayloadPage): string[] {
  const decoded = openPage(stored, page)
  return Array.from({ length: decoded.rows }, (_, row) => decoded.text(row).toString('utf8'))
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
