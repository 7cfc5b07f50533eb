import { lineChart } from '../chart.mjs'
import { competeInTurns, entrants } from '../field.mjs'
import { ms } from '../measure.mjs'
import * as report from '../report.mjs'
import { labseSet } from '../sets/labse-set.mjs'
import { openSet } from '../sets/set-file.mjs'
import { ingestLabse } from '../store.mjs'

const { at, bar, best, of } = report
const EF = 128
/** Of those that bars compare. */
const ROUNDS = 3
const IN_BARS = ['akidb', 'hnswlib-node', 'usearch', 'LanceDB']
const WORKERS = { 1: 'one worker', 2: 'two workers' }

/**
 * LaBSE, 20,000 × 768: the whole field, one thread; akidb on two workers too. Those that bars
 * compare take turns.
 */
export async function labse({ full, engines }) {
  const folder = await labseSet()
  const set = openSet(folder)
  const entries = entrants({ full, engines }).flatMap((contestant) => {
    const rounds = IN_BARS.includes(contestant.name) ? ROUNDS : 1
    const alone = { contestant, rounds, options: {} }
    const two = { threads: 2, job: { filters: false } }
    return contestant.name === 'akidb' ? [alone, { ...alone, options: two }] : [alone]
  })
  const results = await competeInTurns(entries, folder)
  const ingest = await ingestLabse()
  const axis = { title: 'recall@10', from: 0.8, to: 1 }
  return {
    bars: [...searchBars(results), ...buildBars(results, ingest), ...filterBars(results)],
    tables: [
      report.buildTable(set, results),
      report.searchTable(set, results),
      report.filterTable(set, results),
    ],
    charts: {
      'labse-recall': lineChart({
        title: `${set.title}: recall against queries a second, one thread`,
        series: report.recallSeries(results),
        x: axis,
        y: { title: 'queries a second', log: true },
      }),
    },
  }
}

const said = ({ p50Ms, recall }) => `${ms(p50Ms)} at ${recall.toFixed(4)}`

function searchBars(results) {
  const own = at(of(results, 'akidb'), EF)
  const node = of(results, 'hnswlib-node')
  const peer = at(node, EF)
  const equal = node?.search.searches.find(({ recall }) => recall >= own?.recall) ?? best(node)
  return [
    {
      name: `LaBSE: recall@10 at ef ${EF}, the default`,
      needs: [['akidb', own]],
      figure: () => own.recall.toFixed(4),
      value: () => own.recall,
      bar: 0.985,
      least: true,
      runs: 500,
    },
    {
      name: `LaBSE: search p50 through the library, against hnswlib-node, both at ef ${EF}`,
      needs: [
        ['akidb', own],
        ['hnswlib-node', peer],
      ],
      figure: () => `${said(own)} against ${said(peer)}`,
      value: () => own.p50Ms / peer.p50Ms,
      bar: 0.4,
      runs: 500,
    },
    {
      name: 'LaBSE: search p50, against hnswlib-node at no less recall',
      needs: [
        ['akidb', own],
        ['hnswlib-node', equal],
      ],
      figure: () => `${said(own)} against ${said(equal)}, ${equal.label}`,
      value: () => own.p50Ms / equal.p50Ms,
      bar: 1,
      runs: 500,
    },
    throughputBar(results),
    lanceBar(results, 'p50Ms', 'p50'),
    lanceBar(results, 'p99Ms', 'p99'),
  ].map(bar)
}

function throughputBar(results) {
  const two = at(of(results, 'akidb', 2), EF)
  const usearch = at(of(results, 'usearch'), EF)
  const single = usearch && Math.max(usearch.qps, usearch.batchQps)
  return {
    name: `LaBSE: throughput on two workers, against usearch on one thread, both at ef ${EF}`,
    needs: [
      ['akidb', two],
      ['usearch', single],
    ],
    figure: () =>
      `${report.rate(two.batchQps)} at ${two.recall.toFixed(4)} against ` +
      `${report.rate(single)} at ${usearch.recall.toFixed(4)} (the better of its two ways)`,
    value: () => two.batchQps / single,
    bar: 2.5,
    least: true,
    runs: 5,
  }
}

function lanceBar(results, figure, title) {
  const own = at(of(results, 'akidb'), EF)
  const lance = best(of(results, 'LanceDB'))
  return {
    name: `LaBSE: search ${title}, against LanceDB at its best recall`,
    needs: [
      ['akidb', own],
      ['LanceDB', lance],
    ],
    figure: () =>
      `${ms(own[figure])} at ${own.recall.toFixed(4)} against ${ms(lance[figure])} at ` +
      `${lance.recall.toFixed(4)} (${lance.label})`,
    value: () => own[figure] / lance[figure],
    bar: 0.15,
    runs: 500,
  }
}

function buildBars(results, ingest) {
  const node = of(results, 'hnswlib-node')
  const own = (threads, limit) => {
    const ours = of(results, 'akidb', threads)
    return {
      name: `LaBSE: index build on ${WORKERS[threads]}, against hnswlib-node's on one thread`,
      needs: [
        ['akidb', ours],
        ['hnswlib-node', node],
      ],
      figure: () => `${ms(ours.build.indexMs)} against ${ms(node.build.indexMs)}`,
      value: () => ours.build.indexMs / node.build.indexMs,
      bar: limit,
      runs: ROUNDS,
    }
  }
  return [
    own(1, 0.3),
    own(2, 0.2),
    {
      name: 'LaBSE: ingest by the command line with HNSW, against the build of hnswlib-node alone',
      needs: [['hnswlib-node', node]],
      figure: () => `${ms(ingest.ms)} against ${ms(node.build.indexMs)}`,
      value: () => ingest.ms / node.build.indexMs,
      bar: 1,
      runs: 1,
    },
  ].map(bar)
}

function filterBars(results) {
  const ours = of(results, 'akidb')
  if (ours === undefined) return []
  const peer = of(results, 'hnswlib-node')?.search.filters
  const percent = ours.search.filters.findIndex(({ share }) => share < 0.011 && share > 0.009)
  const [own, callback] = [ours.search.filters[percent], peer?.[percent]]
  const each = ours.search.filters.flatMap((filter) => {
    const { title, share, recall, p50Ms, unfilteredP50Ms, short } = filter
    const what = `LaBSE: filter ${title} (${report.percent(share)})`
    const runs = 200
    return [
      {
        name: `${what}, recall@10`,
        figure: recall.toFixed(4),
        value: recall,
        bar: 0.95,
        least: true,
        runs,
      },
      {
        name: `${what}, p50 against the unfiltered search`,
        figure: `${ms(p50Ms)} against ${ms(unfilteredP50Ms)}`,
        value: p50Ms / unfilteredP50Ms,
        bar: 1,
        runs,
      },
      {
        name: `${what}, queries with fewer than k rows`,
        figure: String(short),
        value: short,
        bar: 0,
        runs,
      },
    ]
  })
  return [
    ...each,
    bar({
      name: "LaBSE: filter at 1 %, hnswlib-node's callback against ours",
      needs: [['hnswlib-node', callback]],
      figure: () =>
        `${ms(callback.p50Ms)} at ${callback.recall.toFixed(4)} against ${ms(own.p50Ms)} at ` +
        own.recall.toFixed(4),
      value: () => callback.p50Ms / own.p50Ms,
      bar: 20,
      least: true,
      runs: 60,
    }),
  ]
}
