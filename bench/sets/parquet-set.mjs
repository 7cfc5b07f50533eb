import { mkdirSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileWriter, ParquetWriter } from 'hyparquet-writer'

/**
 * Writes vectors as Parquet in bounded memory: `id` (the row's number as a string), an int32
 * column if `field` names one, a string column if `text` does, and `embedding`. One row group for
 * each call of `write`.
 */
export function writeParquet(path, { dimension, field, text }) {
  mkdirSync(dirname(path), { recursive: true })
  const writer = fileWriter(`${path}.tmp`)
  const repetition_type = 'REQUIRED'
  const string = (name) => ({ name, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type })
  const extra = [
    ...(field === undefined ? [] : [{ name: field, type: 'INT32', repetition_type }]),
    ...(text === undefined ? [] : [string(text)]),
  ]
  const parquet = new ParquetWriter({
    writer,
    codec: 'UNCOMPRESSED',
    schema: [
      { name: 'schema', num_children: 2 + extra.length },
      string('id'),
      ...extra,
      { name: 'embedding', num_children: 1, converted_type: 'LIST', repetition_type: 'REQUIRED' },
      { name: 'list', num_children: 1, repetition_type: 'REPEATED' },
      { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' },
    ],
  })
  return {
    /** `vectors`: whole rows, row major; `values`: of each, what the extra column holds. */
    write(first, vectors, values) {
      const count = vectors.length / dimension
      const rows = Array.from({ length: count }, (_, row) =>
        Array.from(vectors.subarray(row * dimension, (row + 1) * dimension)),
      )
      parquet.write({
        columnData: [
          { name: 'id', data: rows.map((_, row) => String(first + row)) },
          ...extra.map(({ name }) => ({ name, data: Array.from(values) })),
          { name: 'embedding', data: rows, encoding: 'PLAIN', statistics: false },
        ],
        rowGroupSize: count,
      })
    },
    finish() {
      parquet.finish()
      renameSync(`${path}.tmp`, path)
    },
  }
}
