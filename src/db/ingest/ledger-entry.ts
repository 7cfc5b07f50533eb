import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { type Check, list, object, optional, ShapeError, whole } from '../../core/shape.ts'
import { BLOB_ROLES } from '../../format/manifest.ts'
import { blobShape, measuredShape } from '../../format/manifest-shape.ts'
import type { NewSegment } from '../segment/segment-builder.ts'

/** A finished segment of a file that is being ingested, and how far into the file it reaches. */
export interface LedgerEntry {
  readonly segment: NewSegment
  /** Rows of the file, taken or not, that a later run skips. */
  readonly rowsRead: number
  /** Accepted rows behind those that are in segments already. */
  readonly drop: number
  /** Rows rejected before `rowsRead`. */
  readonly rejected: number
  /** Length of the rejects file at this point. */
  readonly rejectBytes: number
}

/** JSON, a tab, and the first 16 hex digits of the JSON's SHA-256. */
export function encodeLedgerEntry(entry: LedgerEntry): string {
  const json = JSON.stringify(entry)
  return `${json}\t${sha256Hex(Buffer.from(json)).slice(0, 16)}`
}

/** Our own file, but a crash may have torn its last line, or a disk may have changed one. */
export function parseLedgerEntry(line: string): LedgerEntry | undefined {
  const [json = '', digest] = line.split('\t')
  if (digest !== sha256Hex(Buffer.from(json)).slice(0, 16)) return undefined
  try {
    return entryShape(JSON.parse(json), 'entry')
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof ShapeError) return undefined
    throw error
  }
}

const entryShape: Check<LedgerEntry> = object({
  segment: object(
    {
      rows: whole(1, limits.segmentRowsMax),
      blobs: list(blobShape, BLOB_ROLES.length),
      payloadBytes: whole(),
      measured: optional(measuredShape),
    },
    true,
  ),
  rowsRead: whole(),
  drop: whole(),
  rejected: whole(),
  rejectBytes: whole(),
})
