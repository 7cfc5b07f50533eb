import { sparseFromJson } from '../core/sparse-json.ts'
import { hasCode } from '../errors/errors.ts'
import type { IngestBatch, IngestRecord, RecordSource, Reject } from './records.ts'

/** The same source, whose rows with a sparse vector that is none are refused. */
export function checkingSparse(source: RecordSource, columns: readonly string[]): RecordSource {
  if (columns.length === 0) return source
  const { plan } = source
  return {
    plan,
    warnings: source.warnings,
    close: () => source.close(),
    async *batches(signal?: AbortSignal): AsyncIterable<IngestBatch> {
      for await (const batch of source.batches(signal)) {
        const records: IngestRecord[] = []
        const rejects = [...batch.rejects]
        for (const record of batch.records) {
          const reject = rejectOf(record, columns, plan.format === 'parquet' ? 'row' : 'line')
          if (reject === undefined) records.push(record)
          else rejects.push(reject)
        }
        yield { ...batch, records, rejects }
      }
    },
  }
}

function rejectOf(
  { id, payload, position }: IngestRecord,
  columns: readonly string[],
  unit: 'row' | 'line',
): Reject | undefined {
  for (const column of columns) {
    try {
      sparseFromJson(payload.get(column))
    } catch (error) {
      if (!hasCode(error, 'BAD_INPUT', 'LIMIT')) throw error
      return { [unit]: position, id, column, code: 'SPARSE', reason: error.message }
    }
  }
  return undefined
}
