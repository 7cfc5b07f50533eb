import { AkidbError } from '../../errors/errors.ts'
import { openFile } from '../../ingest/input-bytes.ts'
import { openSource } from '../../ingest/open-source.ts'
import type { ReadOptions } from '../../ingest/records.ts'

/** A file of queries, and what the collection can use of it. */
export interface QueryFile
  extends Pick<ReadOptions, 'format' | 'idColumn' | 'vectorColumn' | 'vectorColumns'> {
  readonly path: string
  /** Column of the query text; default `text`. */
  readonly textColumn?: string
  /** The collection's; absent: it has no vectors, and a vector column is ignored. */
  readonly dimension?: number
  /** Whether the collection has text; if not, a text column is ignored. */
  readonly text: boolean
  readonly signal?: AbortSignal
}

/** One query of the file. */
export interface QueryRow {
  /** The row's id, or its number from 0. */
  readonly query: string
  readonly vector?: Float32Array
  readonly text?: string
}

/** The columns that were found, and the rows in the order of the file. */
export interface QuerySource {
  readonly idColumn?: string
  readonly vectorColumn?: string
  readonly textColumn?: string
  readonly rows: AsyncIterable<QueryRow>
}

/**
 * Opens a file of queries by the column rules of ingest.
 *
 * @throws USAGE where it has neither vectors nor text that the collection could use; BAD_INPUT at
 *   the first bad row: an answer that is missing would shift all later ones
 */
export async function openQueries(file: QueryFile): Promise<QuerySource> {
  const input = await openFile(file.path)
  const textColumn = file.textColumn ?? 'text'
  const source = await openSource(input, optionsOf(file, textColumn)).catch(async (error) => {
    await input.close()
    throw error
  })
  const { plan } = source
  const hasText = file.text && plan.columns.includes(textColumn)
  const vectorColumn = plan.vectorColumns.length > 0 ? plan.vectorColumns.join(',') : undefined
  async function* rows(): AsyncIterable<QueryRow> {
    try {
      for await (const { records, rejects } of source.batches(file.signal)) {
        const [bad] = rejects
        if (bad !== undefined) throw badQuery(file.path, bad)
        for (const { id, vector, payload } of records) {
          const text = hasText ? payload.get(textColumn) : undefined
          yield {
            query: id,
            ...(vector === undefined ? {} : { vector }),
            ...(typeof text === 'string' ? { text } : {}),
          }
        }
      }
    } finally {
      await source.close()
      await input.close()
    }
  }
  return {
    ...(plan.idColumn === '' ? {} : { idColumn: plan.idColumn }),
    ...(vectorColumn === undefined ? {} : { vectorColumn }),
    ...(hasText ? { textColumn } : {}),
    rows: rows(),
  }
}

function optionsOf(file: QueryFile, textColumn: string): ReadOptions {
  const { format, idColumn, vectorColumn, vectorColumns, dimension } = file
  return {
    ...(format === undefined ? {} : { format }),
    ...(idColumn === undefined ? {} : { idColumn }),
    ...(vectorColumn === undefined ? {} : { vectorColumn }),
    ...(vectorColumns === undefined ? {} : { vectorColumns }),
    ...(dimension === undefined ? { vectors: false } : { dimension }),
    ...(file.text ? { textColumns: [textColumn] } : {}),
    idFromRow: true,
    // A zero vector has an answer (nothing is near it), so it is no bad row here.
    metric: 'dot',
  }
}

const badQuery = (
  path: string,
  reject: { line?: number; row?: number; reason: string },
): AkidbError => {
  const where = reject.line === undefined ? `row ${reject.row}` : `line ${reject.line}`
  return new AkidbError('BAD_INPUT', `${path}, ${where}: ${reject.reason}`, {
    hint: 'Queries are answered all or not at all: mend the row.',
    details: { path, ...reject },
  })
}
