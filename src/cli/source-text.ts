import type { RecordSourceInfo } from '../index.ts'

/**
 * Where a record came from: `papers.csv, line 17 (sha256 0a1b2c3d4e5f)`. Rows of Parquet count from
 * 0.
 */
export function sourceText({ file, row, sha256 }: RecordSourceInfo): string {
  const unit = /\.(parquet|pq)$/i.test(file) ? 'row' : 'line'
  return `${file}, ${unit} ${row} (sha256 ${sha256.slice(0, 12)})`
}
