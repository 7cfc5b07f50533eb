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
/** Rows of 768 components: 388 MB, and 2.0 GB. */
const SIZES = { quick: [10_000], usual: [100_000], full: [100_000, 520_000] }
const OBJECTS = { quick: 5_000, usual: 100_000, full: 100_000 }

/**
 * Push, pull, verify and search in a bucket of one MinIO server: against a bare loop of its own
 * client with the same requests at once and parts of the same size, and against a local store.
 */
export async function bucket({ quick, full }) {
  if (minioBinary() === undefined) return { bars: [], facts: ['MinIO is not built'] }
  const scale = quick ? 'quick' : full ? 'full' : 'usual'
  const server = await startMinio()
  const proxy = await startFaultProxy(server.port)
  try {
    await createBucket(server, 'bench', { objectLock: true })
    const site = siteOf(server)
    const parts = []
    for (const rows of SIZES[scale]) parts.push(await move(server, site, rows))
    parts.push(await verifyMany(server, site, OBJECTS[scale]))
    parts.push(await search(server, proxy, site))
    return {
      bars: parts.flatMap(({ bars }) => bars),
      facts: parts.flatMap(({ facts = [] }) => facts),
    }
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

/** Times and highest peaks of commands, by what was done. */
function createTally() {
  const ms = {}
  const rss = {}
  const note = (what, taken) => {
    ms[what] = [...(ms[what] ?? []), taken.ms]
    rss[what] = Math.max(rss[what] ?? 0, taken.rssBytes ?? 0)
    return taken
  }
  return { note, took: (what) => median(ms[what]), peak: (what) => rss[what] }
}

async function keyOf(store) {
  const key = join(data, 'bucket.pem')
  writeFileSync(key, (await run(akidb, ['--store', store, 'keys', 'export', 'default'])).stdout)
  return key
}

async function move(server, env, rows) {
  const store = await freshStore('bucket')
  await run(akidb, ['--store', store, 'ingest', 'rows', await generated(rows), '--no-index'])
  const key = await keyOf(store)
  const files = globSync('blobs/*/*/*', { cwd: store }).map((name) => join(store, name))
  const bare = bareLoop(server, files)
  const tally = createTally()
  const read = ['--key', key, '--read-data']
  let bytes = 0
  for (let i = 0; i < RUNS; i++) {
    const [url, prefix] = [`s3://bench/run-${rows}-${i}`, `bare-${rows}-${i}`]
    tally.note('push', await run(akidb, ['--store', store, 'push', url], { env }))
    bytes = tally.note('put', await bare('put', prefix)).bytes
    const other = await freshStore('bucket-other')
    await run(akidb, ['--store', other, 'keys', 'trust', key, '--name', 'site', '--yes'])
    tally.note('pull', await run(akidb, ['--store', other, 'pull', url], { env }))
    tally.note('get', await bare('get', prefix))
    tally.note('get-synced', await bare('get-synced', prefix))
    const verified = await run(akidb, ['worm', 'verify', url, ...read], { env })
    tally.note('verify --read-data', verified)
  }
  return { bars: moveBars(tally, bytes), facts: moveFacts(tally, bytes) }
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

function moveBars({ took, peak }, bytes) {
  const pairs = [
    ['push', 'put'],
    ['pull', 'get'],
  ]
  const times = pairs.map(([ours, theirs]) => ({
    name: `${ours} of ${megabytes(bytes)}, against a bare loop of the minio client`,
    figure: `${ms(took(ours))} against ${ms(took(theirs))}`,
    value: took(ours) / took(theirs),
    bar: RATIO_MAX,
    runs: RUNS,
  }))
  const memory = ['push', 'pull', 'verify --read-data'].map((what) =>
    memoryBar(`${what} of ${megabytes(bytes)}`, peak(what)),
  )
  return [...times, ...memory]
}

const memoryBar = (what, bytes, runs = RUNS) => ({
  name: `peak memory of ${what}`,
  figure: megabytes(bytes),
  value: bytes / RSS_MAX,
  bar: 1,
  runs,
})

const moveFacts = ({ took }, bytes) => [
  `pull of ${megabytes(bytes)} against a bare loop that brings what it got to the disk, as ` +
    `a pull does: ${(took('pull') / took('get-synced')).toFixed(2)} (${ms(took('get-synced'))})`,
  `worm verify --read-data of ${megabytes(bytes)}: ${ms(took('verify --read-data'))}`,
]

/** Many small objects under retention, against a loop that lists them and asks for each. */
async function verifyMany(server, env, count) {
  const store = await freshStore('bucket-many')
  const rows = join(data, 'bucket-one.jsonl')
  writeFileSync(rows, '{"id":"a","embedding":[1,2,3]}\n')
  await run(akidb, ['--store', store, 'ingest', 'rows', rows])
  const key = await keyOf(store)
  const target = 's3://bench/many'
  const lock = ['--retain', '1y', '--mode', 'COMPLIANCE']
  const pushed = await run(akidb, ['--store', store, '--json', 'push', target, ...lock], { env })
  const { url: endpoint, accessKey, secretKey } = server
  const s3 = { endpoint, accessKey, secretKey }
  const { until } = JSON.parse(pushed.stdout).retention
  const job = join(data, 'bucket-many.json')
  writeFileSync(job, JSON.stringify({ url: store, target, s3, count, until }))
  await contestant('seal-many', job)
  const bare = bareLoop(server, [])
  const tally = createTally()
  for (let i = 0; i < RUNS; i++) {
    tally.note('verify', await run(akidb, ['worm', 'verify', target, '--key', key], { env }))
    tally.note('look', await bare('look', 'many/'))
  }
  const what = `${count.toLocaleString('en')} objects`
  const ratio = {
    name: `worm verify of ${what}, against a bare loop that lists them and asks for each`,
    figure: `${ms(tally.took('verify'))} against ${ms(tally.took('look'))}`,
    value: tally.took('verify') / tally.took('look'),
    bar: RATIO_MAX,
    runs: RUNS,
  }
  return { bars: [ratio, memoryBar(`worm verify of ${what}`, tally.peak('verify'))] }
}

async function search(server, proxy, env) {
  const store = await labseStore()
  const url = 's3://bench/labse'
  await run(akidb, ['--store', store, 'push', url], { env })
  const key = await keyOf(store)
  const stateHome = env.XDG_STATE_HOME
  rmSync(stateHome, { recursive: true, force: true })
  const trust = ['--store', url, 'keys', 'trust', key, '--name', 'site', '--yes']
  await run(akidb, trust, { env })
  const rows = await rowsOfParquet('labse-queries.parquet', ['embedding'])
  const queries = rows.slice(0, 200).map(({ embedding }) => Array.from(embedding))
  const { accessKey, secretKey } = server
  const there = (endpoint) => ({ url, s3: { accessKey, secretKey, endpoint }, stateHome })
  const ask = async (...places) => {
    const job = join(data, 'bucket-job.json')
    writeFileSync(job, JSON.stringify({ places, collection: 'labse', queries }))
    return await contestant('bucket-search', job)
  }
  proxy.latencyMs = LATENCY_MS
  const [cold] = (await ask(there(proxy.url))).openMs
  const [cached] = (await ask(there(proxy.url))).openMs
  const ratios = []
  let last = []
  for (let i = 0; i < RUNS; i++) {
    last = (await ask(there(server.url), { url: store })).p50Ms
    ratios.push(last[0] / last[1])
  }
  return {
    bars: [
      {
        name: 'warm search in a bucket, p50, in turns with the same store in a folder',
        figure: last.map(ms).join(' against '),
        value: median(ratios),
        bar: WARM_RATIO_MAX,
        runs: RUNS,
      },
    ],
    facts: [
      `LaBSE in a bucket, ${LATENCY_MS} ms a request: open to first answer ${ms(cold)} ` +
        `from nothing, ${ms(cached)} with its blobs in the disk cache`,
    ],
  }
}
