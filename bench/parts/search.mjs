import { contestant, ms } from '../measure.mjs'
import { labseStore } from '../store.mjs'

/** Searches through the library, in process, against hnswlib-node at no less recall. */
export async function search({ yardstick: known }) {
  const yardstick = known ?? (await contestant('hnswlib'))
  const ours = await contestant('akidb', await labseStore(), 'labse')
  const own = ours.searches[0]
  const equal = yardstick.searches.find((each) => each.recall >= own.recall)
  const rival = equal ?? yardstick.searches.at(-1)
  const reached = equal === undefined ? ' (its best, below ours)' : ''
  const rows = [
    ...ours.searches.map((each) => ['akidb', each.ef, each.p50Ms, each.recall]),
    ...yardstick.searches.map((each) => ['hnswlib-node', each.ef, each.p50Ms, each.recall]),
  ]
  return {
    bars: [
      {
        name: 'recall@10 at the default ef, 500 queries',
        figure: own.recall.toFixed(4),
        value: own.recall,
        bar: 0.97,
        least: true,
        runs: 1,
      },
      {
        name: 'search p50 at the default ef, against hnswlib-node at equal recall',
        figure:
          `${ms(own.p50Ms)} at ${own.recall.toFixed(4)} against ${ms(rival.p50Ms)} ` +
          `at ${rival.recall.toFixed(4)}, ef ${rival.ef}${reached}`,
        value: own.p50Ms / rival.p50Ms,
        bar: 1,
        runs: 500,
      },
    ],
    tables: [
      {
        title: 'Searches, 20,000 × 768, k 10, one query at a time',
        head: ['engine', 'ef', 'p50', 'recall@10'],
        rows: rows.map(([who, ef, p50, recall]) => [who, ef, ms(p50), recall.toFixed(4)]),
      },
    ],
    filters: ours.filters,
    yardstick,
  }
}
