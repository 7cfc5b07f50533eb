import { limits } from '../../src/core/limits.ts'
import { openStore } from '../../src/db/store.ts'

/** Ingests one file in a process of its own, with small segments; the test kills it. */
const [url, file, segmentRows] = process.argv.slice(2)
if (url === undefined || file === undefined) throw new Error('called with a store and a file')
Object.assign(limits, { segmentRowsMax: Number(segmentRows) })
const store = await openStore({ url, mode: 'write', threads: 1 })
process.on('SIGTERM', () => stop.abort())
const stop = new AbortController()
let seen = -1
const onProgress = ({ rows = 0 }: { rows?: number }): void => {
  if (rows === seen) return
  seen = rows
  process.send?.({ rows })
}
try {
  await store
    .prospect('docs')
    .ingest({ inputs: [file], noIndex: true, signal: stop.signal, onProgress })
} finally {
  await store.close()
  process.disconnect?.()
}
