// A bare loop over the minio client: bare-bucket.mjs put|get|get-synced|look <job.json> with
// {endPoint, port, accessKey, secretKey, bucket, prefix, files, folder}. The concurrency and part
// size of akidb; prints {ms, bytes, objects}. `get` leaves what came to the operating system,
// `get-synced` brings it to the disk; `look` lists all versions below the prefix and asks for each.

import { createWriteStream, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { text as answerText } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { Client } from 'minio'

const AT_ONCE = { put: 4, get: 4, 'get-synced': 4, look: 16 }
const PART_BYTES = 8 * 2 ** 20

const [verb, file] = process.argv.slice(2)
const job = JSON.parse(readFileSync(file, 'utf8'))
const client = new Client({
  ...{ endPoint: job.endPoint, port: job.port, useSSL: false, partSize: PART_BYTES },
  ...{ accessKey: job.accessKey, secretKey: job.secretKey, region: 'us-east-1' },
})

async function get(path, flush) {
  const stream = await client.getObject(job.bucket, `${job.prefix}/${basename(path)}`)
  await pipeline(stream, createWriteStream(join(job.folder, basename(path)), { flush }))
}

const WORK = {
  put: (path) => client.fPutObject(job.bucket, `${job.prefix}/${basename(path)}`, path),
  get: (path) => get(path, false),
  'get-synced': (path) => get(path, true),
  look: ({ name, versionId }) => client.statObject(job.bucket, name, { versionId }),
}

/** The client's own listing of versions signs its second page wrongly: its requests, then. */
async function* versions() {
  const markers = { key: '', version: '' }
  for (let more = true; more; ) {
    const query = [
      `key-marker=${encodeURIComponent(markers.key)}`,
      'max-keys=1000',
      `prefix=${encodeURIComponent(job.prefix)}`,
      `version-id-marker=${markers.version}`,
      'versions=',
    ].join('&')
    const answer = await client.makeRequestAsync({ method: 'GET', bucketName: job.bucket, query })
    const page = await answerText(answer)
    for (const [, name, versionId] of page.matchAll(VERSION)) yield { name, versionId }
    more = page.includes('<IsTruncated>true<')
    markers.key = /<NextKeyMarker>([^<]*)</.exec(page)?.[1] ?? ''
    markers.version = /<NextVersionIdMarker>([^<]*)</.exec(page)?.[1] ?? ''
  }
}

const VERSION = /<Version>.*?<Key>([^<]*)<.*?<VersionId>([^<]*)</gs

const started = performance.now()
const items = (verb === 'look' ? versions() : job.files)[
  verb === 'look' ? Symbol.asyncIterator : Symbol.iterator
]()
let objects = 0
await Promise.all(
  Array.from({ length: AT_ONCE[verb] }, async () => {
    for (let next = await items.next(); next.done !== true; next = await items.next()) {
      await WORK[verb](next.value)
      objects++
    }
  }),
)
const ms = performance.now() - started
const bytes = verb === 'look' ? 0 : job.files.reduce((sum, each) => sum + statSync(each).size, 0)
console.log(JSON.stringify({ ms, bytes, objects }))
