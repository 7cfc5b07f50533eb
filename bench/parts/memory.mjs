import { akidb, mib, ms, run } from '../measure.mjs'
import { freshStore, generated } from '../store.mjs'

const GROWTH_MAX = 1.1

/** Peak memory of ingest at two sizes: it must not grow with the file. */
/** From the third segment on nothing more is needed: 87,381 rows are one. */
export async function memory({ quick }) {
  const sizes = quick ? [20_000, 40_000] : [200_000, 400_000]
  const taken = []
  for (const rows of sizes) {
    const file = await generated(rows)
    const store = await freshStore('memory')
    taken.push(await run(akidb, ['--store', store, 'ingest', 'rows', file]))
  }
  const [half, whole] = taken
  const shown = taken.map((each, i) => `${sizes[i].toLocaleString('en-US')}: ${mib(each.rssBytes)}`)
  return {
    bars: [
      {
        name: `peak memory of ingest, ${sizes.join(' and ')} × 768`,
        figure: shown.join(', '),
        value: whole.rssBytes / half.rssBytes,
        bar: GROWTH_MAX,
        runs: 1,
      },
    ],
    facts: [`ingest took ${ms(half.ms)} and ${ms(whole.ms)}`],
  }
}
