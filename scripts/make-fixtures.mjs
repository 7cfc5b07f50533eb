// Makes fixtures/labse-small.parquet and fixtures/labse-small-queries.parquet from the full LaBSE
// files beside the clone (../shared/data). Same input, same bytes: rows are taken in file order,
// nothing is drawn at random.
//
//   node_modules/.bin/node scripts/make-fixtures.mjs

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { constants, zstdCompressSync } from 'node:zlib'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { parquetWriteBuffer } from 'hyparquet-writer'

const LANGUAGES = new Set('DE FI SV FRA UKR RUS NL IT ES PT DA HU CS PL EN'.split(' '))
const ROWS = 320
const QUERIES = 20
const DIMENSION = 768
const BYTES_MAX = 1_000_000

const root = join(import.meta.dirname, '..')
const data = join(root, '..', 'shared', 'data')

const publicRows = await read('labse-public.parquet')
const queryRows = await read('labse-queries.parquet')

const records = publicRows.filter((row) => LANGUAGES.has(row.lang)).slice(0, ROWS)
const near = queryRows.filter((row) => LANGUAGES.has(row.lang))
const far = queryRows.filter((row) => !LANGUAGES.has(row.lang))
const queries = [...near, ...far].slice(0, QUERIES)

mkdirSync(join(root, 'fixtures'), { recursive: true })
const bytes = write('labse-small.parquet', records) + write('labse-small-queries.parquet', queries)
if (bytes > BYTES_MAX) throw new Error(`fixtures take ${bytes} bytes, more than ${BYTES_MAX}`)

async function read(name) {
  return parquetReadObjects({ file: await asyncBufferFromFile(join(data, name)), compressors })
}

function write(name, rows) {
  for (const row of rows) {
    if (row.embedding.length !== DIMENSION) throw new Error(`${row.id}: ${row.embedding.length}-d`)
  }
  const body = new Uint8Array(
    parquetWriteBuffer({
      codec: 'ZSTD',
      compressors: {
        ZSTD: (input) =>
          zstdCompressSync(input, { params: { [constants.ZSTD_c_compressionLevel]: 19 } }),
      },
      createdBy: 'akidb scripts/make-fixtures.mjs',
      schema: [
        { name: 'schema', num_children: 5 },
        { name: 'id', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
        { name: 'lang', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
        { name: 'text', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
        { name: 'chars', type: 'INT32', repetition_type: 'REQUIRED' },
        {
          name: 'embedding',
          num_children: 1,
          converted_type: 'LIST',
          repetition_type: 'REQUIRED',
        },
        { name: 'list', num_children: 1, repetition_type: 'REPEATED' },
        { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' },
      ],
      columnData: [
        { name: 'id', data: rows.map((row) => row.id) },
        { name: 'lang', data: rows.map((row) => row.lang) },
        { name: 'text', data: rows.map((row) => row.text) },
        { name: 'chars', data: rows.map((row) => row.chars) },
        {
          name: 'embedding',
          data: rows.map((row) => Array.from(row.embedding)),
          encoding: 'BYTE_STREAM_SPLIT',
          statistics: false,
        },
      ],
    }),
  )
  writeFileSync(join(root, 'fixtures', name), body)
  console.log(`${name}: ${rows.length} rows, ${body.length} bytes`)
  return body.length
}
