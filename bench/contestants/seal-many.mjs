// Seals many small objects in a target that a push has made, as one act of the same store would:
// seal-many.mjs <job.json> with {url, target, s3, count, until}; prints {keys}, with the bucket's
// prefix, for a bare loop over them.

import { readFileSync } from 'node:fs'
import { sha256Hex } from '../../src/core/digest.ts'
import { eachAtOnce } from '../../src/core/slots.ts'
import { readLedger } from '../../src/db/sealed/ledger.ts'
import { openStore } from '../../src/db/store.ts'
import { blobKey } from '../../src/format/blob.ts'
import { withTarget } from '../../src/transfer/sealed/open-target.ts'
import { writeLedger } from '../../src/transfer/sealed/write-ledger.ts'

const AT_ONCE = 16

const { url, target: address, s3, count, until } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const retention = { mode: 'COMPLIANCE', untilMs: Date.parse(until) }
const seal = { retention }
const objects = []

await withTarget({ target: address, s3 }, async (target) => {
  const store = await openStore({ url, mode: 'write' })
  try {
    const { environment } = store
    const ledger = await readLedger(target, await environment.keys.trusted())
    await eachAtOnce(Array(count).keys(), AT_ONCE, async (number) => {
      const bytes = Buffer.from(`object ${number}\n`)
      const sha256 = sha256Hex(bytes)
      const key = blobKey(sha256)
      const body = { bytes: bytes.length, sha256, open: () => [bytes] }
      const versionId = await target.seal(key, body, seal)
      objects.push({ key, versionId, sha256, bytes: bytes.length })
    })
    const head = { act: 'push', collections: [], retention: { mode: retention.mode, until } }
    await writeLedger({ environment, target, ledger, seal }, { head, objects, details: {} })
  } finally {
    await store.close()
  }
})
const prefix = /^s3:\/\/[^/]+\/(.*)$/.exec(address)?.[1] ?? ''
console.log(JSON.stringify({ keys: objects.map(({ key }) => `${prefix}/${key}`) }))
