import { lineChart } from '../chart.mjs'
import { compete, entrants } from '../field.mjs'
import * as report from '../report.mjs'
import { mnistSet } from '../sets/mnist-set.mjs'
import { openSet } from '../sets/set-file.mjs'

/** Its codes hold directions only, whatever the metric: under l2 its recall is 0.54. */
const COSINE_ONLY = 'usearch i8'

/** MNIST, 10,000 × 784, Euclidean: the whole field, one thread. */
export async function mnist({ full, engines }) {
  const folder = await mnistSet()
  const set = openSet(folder)
  const results = []
  for (const contestant of entrants({ full, engines })) {
    if (contestant.name !== COSINE_ONLY) results.push(await compete(contestant, folder))
  }
  return {
    bars: [],
    tables: [report.buildTable(set, results), report.searchTable(set, results)],
    charts: {
      'mnist-recall': lineChart({
        title: `${set.title}: recall against queries a second, one thread`,
        series: report.recallSeries(results),
        x: { title: 'recall@10', from: 0.8, to: 1 },
        y: { title: 'queries a second', log: true },
      }),
    },
  }
}
