import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { vectorsOf } from '../labse.mjs'
import { akidb, data, median, medianOf, ms, run } from '../measure.mjs'
import { labseStore } from '../store.mjs'

const RUNS = 10
const VERSION_MS_MAX = 100
const SEARCH_MS_MAX = 1000

/** Start-up over an empty program, and a search by a fresh process. */
export async function startup() {
  const empty = []
  const version = []
  // In turns, so that a busy moment hits both.
  for (let i = 0; i < RUNS; i++) {
    empty.push((await run(process.execPath, ['-e', '0'])).ms)
    version.push((await run(akidb, ['--version'])).ms)
  }
  const over = median(version) - median(empty)
  const store = await labseStore()
  const [query] = await vectorsOf('labse-queries.parquet')
  const file = join(data, 'query.json')
  writeFileSync(file, JSON.stringify(Array.from(query.vector)))
  const args = ['--store', store, 'search', 'labse', '--vector', file, '--json']
  const searchMs = await medianOf(RUNS, async () => (await run(akidb, args)).ms)
  return {
    bars: [
      {
        name: 'akidb --version over an empty program',
        figure: `${ms(median(version))} against ${ms(median(empty))}, ${ms(over)} more`,
        value: over / VERSION_MS_MAX,
        bar: 1,
        runs: RUNS,
      },
      {
        name: 'akidb search by a fresh process, 20,000 × 768, files in the page cache',
        figure: ms(searchMs),
        value: searchMs / SEARCH_MS_MAX,
        bar: 1,
        runs: RUNS,
      },
    ],
  }
}
