// akidb, streaming ingest without index: akidb-ingest.mjs <Parquet file> <rows> <work folder>.

import { rmSync } from 'node:fs'
import { newStore } from '../library.mjs'

const [file, rows, folder] = process.argv.slice(2)
const { store } = await newStore(folder)
const started = performance.now()
const { inserted } = await store.prospect('rows').ingest({ inputs: [file], noIndex: true })
const ms = performance.now() - started
await store.close()
if (inserted !== Number(rows)) throw new Error(`${inserted} rows, not ${rows}`)
rmSync(folder, { recursive: true, force: true })
console.log(JSON.stringify({ ms, perSecond: (1000 * inserted) / ms }))
