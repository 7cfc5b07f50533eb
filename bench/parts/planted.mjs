import { lineChart } from '../chart.mjs'
import { compete, entrants, FIELD } from '../field.mjs'
import { ms } from '../measure.mjs'
import * as report from '../report.mjs'
import { plantedSet } from '../sets/planted-set.mjs'
import { openSet } from '../sets/set-file.mjs'

const { bar, of } = report
/** Those that build 200,000 vectors in a minute, in a run without --full. */
const QUICK_FIELD = ['akidb', 'hnswlib-node', 'LanceDB', 'faiss']
/** Exact search in Python over a million vectors says nothing new. */
const NOT_A_MILLION = ['Qdrant, embedded', 'usearch f16', 'usearch i8', 'Milvus Lite']

/** Generated sets: 200,000 × 128 and, with --full, 1,000,000 × 128; filters from 50 to 0.1 %. */
export async function planted({ quick, full, engines }) {
  const small = await contest(quick ? 20_000 : 200_000, {
    names: full ? undefined : QUICK_FIELD,
    full,
    engines,
  })
  if (!full) return small
  const names = FIELD.map(({ name }) => name).filter((name) => !NOT_A_MILLION.includes(name))
  const large = await contest(1_000_000, { names, engines, limits: 12 })
  return {
    bars: [...small.bars, ...large.bars, ...millionBars(large.results)],
    tables: [...small.tables, ...large.tables],
    charts: { ...small.charts, ...large.charts },
  }
}

async function contest(rows, { limits = 2, ...who }) {
  const folder = await plantedSet(rows)
  const set = openSet(folder)
  const results = []
  for (const contestant of entrants(who)) {
    // Our build is shown on one and on two workers; filters on one.
    const threads = contestant.name === 'akidb' ? 2 : 1
    results.push(await compete(contestant, folder, { threads: 1, limits }))
    if (threads === 2) {
      results.push(await compete(contestant, folder, { threads, limits, job: { filters: false } }))
    }
  }
  const tables = [report.buildTable, report.searchTable, report.filterTable]
  return {
    results,
    bars: filterBars(set, results),
    tables: tables.map((table) => table(set, results)),
    charts: charts(set, results),
  }
}

function filterBars(set, results) {
  const ours = of(results, 'akidb')?.search.filters ?? []
  if (ours.length === 0) return []
  const least = ours.toSorted((a, b) => a.recall - b.recall)[0]
  return [
    {
      name: `${set.title}: least recall@10 of the filters from 50 to 0.1 %`,
      figure: `${least.recall.toFixed(4)} at ${report.percent(least.share)}`,
      value: least.recall,
      bar: 0.95,
      least: true,
      runs: least.queries,
    },
    {
      name: `${set.title}: queries with fewer than k rows under a filter`,
      figure: String(ours.reduce((sum, { short }) => sum + short, 0)),
      value: ours.reduce((sum, { short }) => sum + short, 0),
      bar: 0,
      runs: ours.length * least.queries,
    },
  ]
}

function millionBars(results) {
  const ours = of(results, 'akidb', 2)
  const node = of(results, 'hnswlib-node')
  return [
    {
      name: "1 M × 128: index build on two workers, against hnswlib-node's single-threaded",
      needs: [
        ['akidb', ours],
        ['hnswlib-node', node],
      ],
      figure: () => `${ms(ours.build.indexMs)} against ${ms(node.build.indexMs)}`,
      value: () => ours.build.indexMs / node.build.indexMs,
      bar: 0.25,
      runs: 1,
    },
    {
      name: '1 M × 128: open to the first answer, files in the page cache',
      needs: [['akidb', ours]],
      figure: () => ms(ours.search.openMs),
      value: () => ours.search.openMs / 1000,
      bar: 1,
      runs: 1,
    },
  ].map(bar)
}

function charts(set, results) {
  const shares = { title: 'share of the rows that match, %', log: true, reverse: true }
  const recalls = report.recallSeries(results)
  const least = Math.min(...recalls.flatMap(({ points }) => points.map(([recall]) => recall)))
  return {
    [`${set.rows}-recall`]: lineChart({
      title: `${set.title}: recall against queries a second`,
      series: recalls,
      x: { title: 'recall@10', from: Math.max(0.8, Math.floor(least * 50) / 50), to: 1 },
      y: { title: 'queries a second', log: true },
    }),
    [`${set.rows}-filter-recall`]: lineChart({
      title: `${set.title}: recall under a filter`,
      series: report.filterSeries(results, 'recall'),
      x: shares,
      y: { title: 'recall@10', from: 0, to: 1 },
    }),
    [`${set.rows}-filter-p50`]: lineChart({
      title: `${set.title}: p50 under a filter`,
      series: report.filterSeries(results, 'p50Ms'),
      x: shares,
      y: { title: 'milliseconds', log: true },
    }),
  }
}
