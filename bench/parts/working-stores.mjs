import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createBucket, minioBinary, startMinio } from '../../test/support/minio.ts'
import { contestant, data, labse, median, ms } from '../measure.mjs'
import { rate } from '../report.mjs'

const ROUNDS = 3
const WARM_RATIO_MAX = 1.1

/** A working store in a bucket of one MinIO server beside one in a folder, in turns. */
export async function workingStores() {
  if (minioBinary() === undefined) return { bars: [], facts: ['MinIO is not built'] }
  const server = await startMinio({ kms: false })
  const folder = join(data, 'shared')
  const told = { folder: [], bucket: [] }
  try {
    await createBucket(server, 'shared', { objectLock: false })
    for (let round = 0; round < ROUNDS; round++) {
      for (const [where, place] of Object.entries(placesOf(server, folder, round))) {
        rmSync(folder, { recursive: true, force: true })
        mkdirSync(folder, { recursive: true })
        const job = join(data, 'shared-job.json')
        const input = join(labse, 'labse-public.parquet')
        writeFileSync(job, JSON.stringify({ ...place, input }))
        told[where].push(await contestant('working-store', job))
      }
    }
  } finally {
    await server.stop()
  }
  return report(told)
}

function placesOf({ url, accessKey, secretKey }, folder, round) {
  const s3 = { endpoint: url, accessKey, secretKey }
  return {
    folder: { url: join(folder, 'store') },
    bucket: { url: `s3://shared/run-${round}`, s3, stateHome: join(folder, 'state') },
  }
}

function report(told) {
  const middle = (where, what) => median(told[where].map((each) => each[what]))
  const ratio = (what) => median(told.bucket.map((each, i) => each[what] / told.folder[i][what]))
  const pair = (what, show) =>
    `${show(middle('bucket', what))} against ${show(middle('folder', what))}`
  return {
    bars: [
      {
        name: 'warm search in a working store in a bucket, p50, against one in a folder',
        figure: pair('p50Ms', ms),
        value: ratio('p50Ms'),
        bar: WARM_RATIO_MAX,
        runs: ROUNDS,
      },
    ],
    facts: [
      `LaBSE with its index into a working store in a bucket: ${ratio('ingestMs').toFixed(2)} of ` +
        `the time into one in a folder (${pair('ingestMs', ms)})`,
      `single durable rows there, 16 writers, one log object every 50 ms: ${pair('written', rate)}`,
    ],
  }
}
