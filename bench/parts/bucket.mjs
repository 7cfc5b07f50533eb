import { globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startFaultProxy } from '../../test/support/fault-proxy.ts'
import { createBucket, minioBinary, startMinio } from '../../test/support/minio.ts'
import { rowsOfParquet } from '../labse.mjs'
import { akidb, contestant, data, median, megabytes, ms, run } from '../measure.mjs'
import { freshStore, generated, labseStore } from '../store.mjs'

const RUNS = 3
/** akidb moves at least 80 % of what a bare loop moves in the same time. */
const RATIO_MAX = 1 / 0.8
const RSS_MAX = 200e6
const WARM_RATIO_MAX = 1.1
const LATENCY_MS = 30

/**
 * Push, pull, verify and search in a bucket of one MinIO server: against a bare loop of its own
 * client over the same files with the same concurrency and part size, and against a local store.
 */
export async function bucket({ quick, full }) {
  if (minioBinary() === undefined) return { bars: [], facts: ['MinIO is not built'] }
  const server = await startMinio()
  const proxy = await startFaultProxy(server.port)
  try {
    await createBucket(server, 'bench', { objectLock: true })
    const site = siteOf(server)
    const rows = quick ? 10_000 : full ? 520_000 : 100_000
    const moved = await move(server, site, rows)
    const searched = await search(server, proxy, site)
    return { bars: [...moved.bars, ...searched.bars], facts: [...moved.facts, ...searched.facts] }
  } finally {
    await proxy.close()
    await server.stop()
  }
}

const siteOf = ({ url, accessKey, secretKey }) => ({
  AKIDB_S3_ENDPOINT: url,
  AWS_ACCESS_KEY_ID: accessKey,
  AWS_SECRET_ACCESS_KEY: secretKey,
  XDG_STATE_HOME: join(data, 'bucket-state'),
})

async function move(server, env, rows) {
  const store = await freshStore('bucket')
  await run(akidb, ['--store', store, 'ingest', 'rows', await generated(rows), '--no-index'])
  const key = join(data, 'bucket.pem')
  writeFileSync(key, (await run(akidb, ['--store', store, 'keys', 'export', 'default'])).stdout)
  const files = globSync('blobs/*/*/*', { cwd: store }).map((name) => join(store, name))
  const bare = bareLoop(server, files)
  const took = { push: [], put: [], pull: [], get: [], verify: [] }
  const rss = { push: 0, pull: 0, verify: 0 }
  let bytes = 0
  for (let i = 0; i < RUNS; i++) {
    const url = `s3://bench/run-${i}`
    const note = (verb, taken) => {
      took[verb].push(taken.ms)
      rss[verb] = Math.max(rss[verb], taken.rssBytes)
    }
    note('push', await run(akidb, ['--store', store, 'push', url], { env }))
    const put = await bare('put', `bare-${i}`)
    took.put.push(put.ms)
    bytes = put.bytes
    const other = await freshStore('bucket-other')
    await run(akidb, ['--store', other, 'keys', 'trust', key, '--name', 'site', '--yes'])
    note('pull', await run(akidb, ['--store', other, 'pull', url], { env }))
    took.get.push((await bare('get', `bare-${i}`)).ms)
    note('verify', await run(akidb, ['worm', 'verify', url, '--key', key, '--read-data'], { env }))
  }
  return { bars: moveBars(took, rss, bytes), facts: [readFact(took, bytes)] }
}

function bareLoop({ port, accessKey, secretKey }, files) {
  const folder = join(data, 'bucket-bare')
  return async (verb, prefix) => {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const job = join(data, 'bucket-job.json')
    const where = { endPoint: '127.0.0.1', port, accessKey, secretKey, bucket: 'bench', prefix }
    writeFileSync(job, JSON.stringify({ ...where, files, folder }))
    return await contestant('bare-bucket', verb, job)
  }
}

function moveBars(took, rss, bytes) {
  const pairs = [
    ['push', 'put'],
    ['pull', 'get'],
  ]
  const times = pairs.map(([ours, theirs]) => ({
    name: `${ours} of ${megabytes(bytes)}, against a bare loop of the minio client`,
    figure: `${ms(median(took[ours]))} against ${ms(median(took[theirs]))}`,
    value: median(took[ours]) / median(took[theirs]),
    bar: RATIO_MAX,
    runs: RUNS,
  }))
  const memory = Object.entries(rss).map(([verb, peak]) => ({
    name: `peak memory of ${verb} of ${megabytes(bytes)}`,
    figure: megabytes(peak),
    value: peak / RSS_MAX,
    bar: 1,
    runs: RUNS,
  }))
  return [...times, ...memory]
}

const readFact = ({ verify }, bytes) =>
  `worm verify --read-data of ${megabytes(bytes)}: ${ms(median(verify))}`

async function search(server, proxy, env) {
  const store = await labseStore()
  const url = 's3://bench/labse'
  await run(akidb, ['--store', store, 'push', url], { env })
  const key = join(data, 'bucket.pem')
  writeFileSync(key, (await run(akidb, ['--store', store, 'keys', 'export', 'default'])).stdout)
  const stateHome = env.XDG_STATE_HOME
  rmSync(stateHome, { recursive: true, force: true })
  const trust = ['--store', url, 'keys', 'trust', key, '--name', 'site', '--yes']
  await run(akidb, trust, { env })
  const queries = await rowsOfParquet('labse-queries.parquet', ['embedding'])
  const { accessKey, secretKey } = server
  const access = { accessKey, secretKey }
  const there = (endpoint) => ({ url, s3: { ...access, endpoint }, stateHome })
  const ask = async (place) => {
    const job = join(data, 'bucket-job.json')
    const some = queries.slice(0, 200).map(({ embedding }) => Array.from(embedding))
    writeFileSync(job, JSON.stringify({ ...place, collection: 'labse', queries: some }))
    return await contestant('bucket-search', job)
  }
  proxy.latencyMs = LATENCY_MS
  const cold = await ask(there(proxy.url))
  const cached = await ask(there(proxy.url))
  const warm = []
  const local = []
  for (let i = 0; i < RUNS; i++) {
    warm.push((await ask(there(server.url))).p50Ms)
    local.push((await ask({ url: store })).p50Ms)
  }
  return {
    bars: [
      {
        name: 'warm search in a bucket, p50, against the same store in a folder',
        figure: `${ms(median(warm))} against ${ms(median(local))}`,
        value: median(warm) / median(local),
        bar: WARM_RATIO_MAX,
        runs: RUNS,
      },
    ],
    facts: [
      `LaBSE in a bucket, ${LATENCY_MS} ms a request: open to first answer ${ms(cold.openMs)} ` +
        `from nothing, ${ms(cached.openMs)} with its blobs in the disk cache`,
    ],
  }
}
