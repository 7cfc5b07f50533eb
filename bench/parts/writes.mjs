import { join } from 'node:path'
import { installed, member, python } from '../field.mjs'
import { contestant, data, ms } from '../measure.mjs'
import { rate } from '../report.mjs'
import { plantedSet } from '../sets/planted-set.mjs'

const SLOWER_MAX = 3
const NOTE =
  'akidb acknowledges a row after it was synced to the disk; the others do what they do by ' +
  'default. hnswlib, usearch and faiss have no durable write of a row.'

/** Single durable rows, streaming ingest, and searches beside both. */
export async function writes({ quick }) {
  const set = await plantedSet(20_000)
  const rows = quick ? 20_000 : 200_000
  const large = join(await plantedSet(rows), 'base.parquet')
  const ingest = await contestant('akidb-ingest', large, rows, join(data, 'ingest'))
  const ours = await contestant('akidb-writes', set, large, join(data, 'writes'))
  const engines = [['akidb', 16, ours], ...(await others(set))]
  return {
    bars: [
      {
        name: 'durable single-row writes, 16 writers, 128-d',
        figure: `${rate(ours.alone)}; ${rate(ours.beside)} beside searches`,
        value: ours.alone,
        bar: 3000,
        least: true,
        runs: 1,
      },
      {
        name: `streaming ingest of ${rows.toLocaleString('en-US')} × 128 from Parquet, no index`,
        figure: `${rate(ingest.perSecond)}, ${ms(ingest.ms)}`,
        value: ingest.perSecond,
        bar: 100_000,
        least: true,
        runs: 1,
      },
      slower('single-row writes by this process', ours.idle, ours.during),
      slower('an ingest by another process', ours.idleAfter, ours.duringIngest),
    ],
    tables: [writesTable(engines)],
  }
}

async function others(set) {
  const engines = []
  if (installed(member('LanceDB'))) {
    const told = await contestant('lancedb-writes', set, join(data, 'writes-lance'))
    engines.push(['LanceDB', 16, told])
  }
  for (const [name, engine] of [
    ['Qdrant, embedded', 'qdrant'],
    ['Milvus Lite', 'milvus'],
  ]) {
    if (!installed(member(name))) continue
    engines.push([name, 1, await python('python-writes.py', engine, set, join(data, 'writes-py'))])
  }
  return engines
}

const slower = (what, idle, during) => ({
  name: `search p99 during ${what}, against idle`,
  figure:
    `${ms(during.p99Ms)} against ${ms(idle.p99Ms)} ` +
    `(p50 ${ms(during.p50Ms)} against ${ms(idle.p50Ms)})`,
  value: during.p99Ms / idle.p99Ms,
  bar: SLOWER_MAX,
  runs: during.count,
})

const writesTable = (engines) => ({
  title: 'Single rows of 128 components beside searches, over 20,000 rows (Python: 2,000)',
  note: NOTE,
  head: [
    'engine',
    'writers',
    'rows',
    'rows beside searches',
    'search p50, p99 idle',
    'p50, p99 beside writes',
  ],
  rows: engines.map(([name, writers, told]) => [
    name,
    writers,
    rate(told.alone),
    rate(told.beside),
    `${ms(told.idle.p50Ms)}, ${ms(told.idle.p99Ms)}`,
    `${ms(told.during.p50Ms)}, ${ms(told.during.p99Ms)}`,
  ]),
})
