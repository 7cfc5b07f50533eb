import { stringifyJson } from '../core/json.ts'
import { limits } from '../core/limits.ts'
import type { Hit, StoredRecord } from '../db/api/api.ts'
import { AkidbError } from '../errors/errors.ts'

/** An answer before it is written: its status and its JSON text. */
export interface Answer {
  readonly status: number
  readonly json: string
}

export const answer = (status: number, value: unknown): Answer => ({
  status,
  json: stringifyJson(value),
})

/** Bytes of hits or records that one answer may hold. */
const ANSWER_BYTES_MAX = limits.serverBodyBytesMax

/**
 * Hits or records as JSON texts, so that their sum is known before they are one text.
 *
 * @throws LIMIT where they are too large together to send
 */
export function recordTexts(records: readonly (Hit | StoredRecord)[]): string[] {
  let bytes = 0
  return records.map((record) => {
    const { id, payload, vector, source } = record
    const text = stringifyJson({
      id,
      ...('score' in record ? { score: record.score } : {}),
      ...('distance' in record ? { distance: record.distance } : {}),
      ...(payload === undefined ? {} : { payload }),
      ...(vector === undefined ? {} : { vector: Array.from(vector) }),
      ...(source === undefined ? {} : { source: { ...source } }),
    })
    bytes += text.length
    if (bytes <= ANSWER_BYTES_MAX) return text
    throw new AkidbError('LIMIT', `the hits are over ${ANSWER_BYTES_MAX} bytes together`, {
      hint: 'Ask for a smaller top_k, or without payload and vector.',
    })
  })
}
