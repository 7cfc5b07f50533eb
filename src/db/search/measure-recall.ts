import { AkidbError } from '../../errors/errors.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { type View, vectorSpecOf } from '../segment/view.ts'
import { DEFAULT_EF, runSearch } from './search-run.ts'

/** Stored vectors searched for by `measureRecall` unless told otherwise. */
const SAMPLES = 200

/** recall@k of the planned search against the exact one, over evenly spread stored vectors. */
export async function measureRecall(
  core: CollectionCore,
  options: { k?: number; ef?: number; samples?: number },
): Promise<{ recall: number; k: number; ef: number; samples: number }> {
  const k = options.k ?? 10
  const ef = options.ef ?? Math.max(DEFAULT_EF, 2 * k)
  const wanted = Math.max(1, options.samples ?? SAMPLES)
  return await core.read(undefined, (view) => recallOf(core, view, { k, ef, wanted }))
}

async function recallOf(
  core: CollectionCore,
  view: View,
  { k, ef, wanted }: { readonly k: number; readonly ef: number; readonly wanted: number },
): Promise<{ recall: number; k: number; ef: number; samples: number }> {
  const spec = vectorSpecOf(view.manifest.state.schema)
  if (spec === undefined) {
    throw new AkidbError('USAGE', `collection "${core.name}" holds no vectors to measure`)
  }
  const total = view.segments.reduce((sum, segment) => sum + segment.live, 0)
  const step = Math.max(1, Math.floor(total / wanted))
  let [seen, samples, found, possible] = [0, 0, 0, 0]
  for (const { reader, alive } of view.segments) {
    for (const row of alive) {
      if (seen++ % step !== 0 || samples >= wanted) continue
      const vector = await reader.vector(spec, row)
      const near = await runSearch(core, { vector, k, ef, withPayload: false })
      const exact = await runSearch(core, { vector, k, exact: true, withPayload: false })
      const ids = new Set(near.hits.map((hit) => hit.id))
      found += exact.hits.filter((hit) => ids.has(hit.id)).length
      possible += exact.hits.length
      samples++
    }
  }
  return { recall: possible === 0 ? 1 : found / possible, k, ef, samples }
}
