import { join } from 'node:path'
import { akidb, contestant, labse, median, ms, root, run } from '../measure.mjs'
import { rate } from '../report.mjs'
import { labseStore } from '../store.mjs'

const RUNS = 5
const QUERIES = 500
const FLOOR = join(root, 'bench', 'contestants', 'batch-floor.mjs')

/** What lies between a caller and the kernel: payloads, the library, the command line. */
export async function path() {
  const store = await labseStore()
  const { withPayload, withoutPayload } = await contestant('kernel-time', store, 'labse')
  const file = join(labse, 'labse-queries.parquet')
  const search = ['--store', store, 'search', 'labse', '--json']
  const batch = []
  const alone = []
  const floor = []
  for (let i = 0; i < RUNS; i++) {
    const many = await run(akidb, [...search, '--queries', file])
    const lines = many.stdout.trimEnd().split('\n').length
    if (lines !== QUERIES) throw new Error(`${lines} answers, not ${QUERIES}`)
    batch.push(many.ms)
    alone.push(
      (await run(akidb, [...search, '--id', JSON.parse(many.stdout.split('\n')[0]).hits[0].id])).ms,
    )
    floor.push((await run(process.execPath, [FLOOR, store])).ms)
  }
  const [took, one] = [median(batch), median(alone)]
  const least = median(floor) + (QUERIES * withoutPayload.kernelP50Ms) / 2
  const perSecond = (time) => (1000 * QUERIES) / time
  return {
    bars: [
      {
        name: 'LaBSE: search through the library with payloads, p50 over the time in the kernel',
        figure: `${ms(withPayload.p50Ms)} against ${ms(withPayload.kernelP50Ms)}`,
        value: withPayload.p50Ms / withPayload.kernelP50Ms,
        bar: 1.5,
        runs: QUERIES,
      },
      {
        name: `LaBSE: batch of ${QUERIES} queries by the command line, start-up included`,
        figure: `${rate(perSecond(took))}, ${ms(took)}`,
        value: perSecond(took),
        bar: 1500,
        least: true,
        runs: RUNS,
      },
    ],
    facts: [
      `search through the library without payloads: p50 ${ms(withoutPayload.p50Ms)}, ` +
        `in the kernel ${ms(withoutPayload.kernelP50Ms)}`,
      `the batch by the command line less a search of one (${ms(one)}): ` +
        rate(perSecond(Math.max(1, took - one))),
      `the batch by the command line against the least that it could take, ${ms(least)} ` +
        `(${rate(perSecond(least))}): ${(took / least).toFixed(2)}; that is a process that reads ` +
        `and hashes the index on two threads, ${ms(median(floor))}, and the kernel's own time ` +
        'on two',
    ],
  }
}
