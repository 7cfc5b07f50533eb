import type { IngestRequest, IngestResult } from '../../src/db/api/api.ts'
import type { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { runIngest } from '../../src/db/ingest/ingest-run.ts'
import { payloadObject } from '../../src/db/segment/view.ts'

/** A record as a line of JSONL gives it. */
export interface TestRow {
  readonly id: string
  readonly vector?: readonly number[]
  readonly [field: string]: unknown
}

/** `count` rows of 4-d vectors and a little payload; ids begin with `prefix`. */
export const testRows = (prefix: string, count: number, from = 0): TestRow[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `${prefix}${from + i}`,
    vector: [1, from + i, 0.5, -1],
    n: from + i,
    text: `record ${prefix} number ${from + i}`,
  }))

/** JSONL of rows. */
export const jsonl = (rows: readonly TestRow[]): Buffer =>
  Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))

/** Ingests rows as from a pipe; makes the collection where it is new. */
export async function ingestRows(
  core: CollectionCore,
  rows: readonly TestRow[],
  options: Partial<IngestRequest> = {},
): Promise<IngestResult> {
  const bytes = jsonl(rows)
  const stdin = (async function* () {
    yield bytes
  })()
  return await runIngest(core, { inputs: ['-'], stdin, format: 'jsonl', ...options })
}

/**
 * Live records of a state: id → payload as JSON, in order of ids. Repeats are listed as often as
 * they occur.
 */
export async function recordsOf(core: CollectionCore, asOf?: string): Promise<[string, string][]> {
  const found = await core.read(asOf, async (view) => {
    const records: [string, string][] = []
    for (const { reader, alive } of view.segments) {
      const ids = await reader.ids()
      for (const row of alive) {
        const payload = payloadObject(await reader.payload(row))
        records.push([ids.id(row), JSON.stringify([...payload])])
      }
    }
    for (const { id, payload } of view.log?.rows() ?? []) {
      records.push([id, JSON.stringify([...payload])])
    }
    return records
  })
  return found.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

export const idsOf = async (core: CollectionCore, asOf?: string): Promise<string[]> =>
  (await recordsOf(core, asOf)).map(([id]) => id)
