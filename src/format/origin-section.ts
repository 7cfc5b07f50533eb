import { AkidbError } from '../errors/errors.ts'
import { type SectionInput, section } from './blob.ts'
import { bytesOf, exactBigUint64, exactUint32 } from './views.ts'

/** Local ordinal of a record that came from no file. */
export const NO_SOURCE = 0xffffffff

/**
 * Where each record of a segment came from: `sources[row]` indexes the segment's list, `rows[row]`
 * is line or row.
 */
export interface OriginTable {
  readonly sources: Uint32Array
  readonly rows: BigUint64Array
}

/**
 * Sections of role `origin`: `orgsrc` u32[n] local source ordinals, `orgrow` u64[n] lines or rows.
 */
export const encodeOrigin = (table: OriginTable): SectionInput[] => [
  section('orgsrc', bytesOf(table.sources)),
  section('orgrow', bytesOf(table.rows)),
]

/** @throws INTEGRITY where lengths do not fit. */
export function decodeOrigin(
  sections: ReadonlyMap<string, Uint8Array>,
  count: number,
): OriginTable {
  const sources = exactUint32(sections.get('orgsrc'), count)
  const rows = exactBigUint64(sections.get('orgrow'), count)
  if (sources === undefined || rows === undefined) {
    throw new AkidbError('INTEGRITY', 'the origin table of a segment is damaged')
  }
  return { sources, rows }
}
