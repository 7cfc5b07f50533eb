import { contestant, ms } from '../measure.mjs'
import { labseStore } from '../store.mjs'

/** Filters of LaBSE's exact answers: recall, and k results wherever k match. */
export async function filters({ filters: known }) {
  const measured = known ?? (await contestant('akidb', await labseStore(), 'labse')).filters
  return {
    bars: measured.flatMap(({ title, matching, recall, short, p50Ms }) => [
      {
        name: `recall@10 with the filter ${title} (${matching} rows match)`,
        figure: `${recall.toFixed(4)}, p50 ${ms(p50Ms)}`,
        value: recall,
        bar: 0.95,
        least: true,
        runs: 200,
      },
      {
        name: `queries with fewer than k results, ${title}`,
        figure: String(short),
        value: short,
        bar: 0,
        runs: 200,
      },
    ]),
  }
}
