// A bare loop over the minio client: bare-bucket.mjs put|get|head <job.json> with {endPoint, port,
// accessKey, secretKey, bucket, prefix, files, folder, count}. The concurrency and part size of
// akidb; prints {ms, bytes}.

import { createWriteStream, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Client } from 'minio'

const AT_ONCE = { put: 4, get: 4, head: 16 }
const PART_BYTES = 16 * 2 ** 20

const [verb, file] = process.argv.slice(2)
const job = JSON.parse(readFileSync(file, 'utf8'))
const client = new Client({
  ...{ endPoint: job.endPoint, port: job.port, useSSL: false, partSize: PART_BYTES },
  ...{ accessKey: job.accessKey, secretKey: job.secretKey, region: 'us-east-1' },
})

const WORK = {
  put: (path) => client.fPutObject(job.bucket, `${job.prefix}/${basename(path)}`, path),
  get: async (path) => {
    const stream = await client.getObject(job.bucket, `${job.prefix}/${basename(path)}`)
    await pipeline(stream, createWriteStream(join(job.folder, basename(path))))
  },
  head: (key) => client.statObject(job.bucket, key),
}

const started = performance.now()
const left = [...job.files]
await Promise.all(
  Array.from({ length: AT_ONCE[verb] }, async () => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) await WORK[verb](next)
  }),
)
const ms = performance.now() - started
const bytes = verb === 'head' ? 0 : job.files.reduce((sum, each) => sum + statSync(each).size, 0)
console.log(JSON.stringify({ ms, bytes }))
