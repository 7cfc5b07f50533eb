import { contestant, ms } from '../measure.mjs'
import { ingestLabse } from '../store.mjs'

/**
 * End-to-end ingest of LaBSE with its index, start-up included, against hnswlib-node's bare
 * build.
 */
export async function ingest() {
  const yardstick = await contestant('hnswlib')
  const ours = await ingestLabse()
  return {
    bars: [
      {
        name: 'ingest of 20,000 × 768 with HNSW, against the build of hnswlib-node alone',
        figure: `${ms(ours.ms)} against ${ms(yardstick.buildMs)}`,
        value: ours.ms / yardstick.buildMs,
        bar: 1,
        runs: 1,
      },
    ],
    yardstick,
  }
}
