// akidb, streaming ingest without index: akidb-ingest.mjs <Parquet file> <rows> <work folder>.

import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { library } from '../library.mjs'

const [file, rows, folder] = process.argv.slice(2)
const { initStore, openStore } = await library()
rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
const url = join(folder, 'store')
await initStore({ url, noKey: true })
const store = await openStore({ url, mode: 'write', threads: 2 })
const started = performance.now()
const { inserted } = await store.prospect('rows').ingest({ inputs: [file], noIndex: true })
const ms = performance.now() - started
await store.close()
if (inserted !== Number(rows)) throw new Error(`${inserted} rows, not ${rows}`)
rmSync(folder, { recursive: true, force: true })
console.log(JSON.stringify({ ms, perSecond: (1000 * inserted) / ms }))
