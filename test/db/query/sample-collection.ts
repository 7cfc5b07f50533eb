import { writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { OpenCollection } from '../../../src/db/collection.ts'
import type { OpenedStore } from '../../../src/db/store.ts'
import { inputFile, randomNumbers, suiteStore, tempStore } from '../../support/temp-store.ts'

/** A record as the tests know it. */
export interface Row {
  readonly id: string
  readonly vector: readonly number[]
  readonly text: string
  readonly lang?: string
  readonly n?: number
  readonly tags?: readonly (string | number)[]
  readonly at?: string
}

/** Random records in two segments and the log, with deletions, and what is alive of them. */
export interface Sample {
  readonly store: OpenedStore
  readonly docs: OpenCollection
  readonly rows: readonly Row[]
  readonly random: () => number
  readonly seed: number
  vector(): Float32Array
}

export const DIMENSION = 6
const WORDS = ['red', 'fox', 'blue', 'whale', 'grey', 'wolf', 'green', 'frog']

/** A seed from AKIDB_TEST_SEED or from chance; printed, so that a failure can be run again. */
export function seedOf(): number {
  const given = Number(process.env.AKIDB_TEST_SEED)
  const seed = given > 0 ? given : Math.floor(Math.random() * 2 ** 31)
  writeSync(2, `query tests: AKIDB_TEST_SEED=${seed}\n`)
  return seed
}

type SampleMetric = 'cosine' | 'dot' | 'l2'

/** A sample of this test's own, which it may change. */
export const sampleCollection = async (metric: SampleMetric = 'cosine'): Promise<Sample> =>
  await fill(await tempStore(), metric)

/** One sample a metric for all tests of a suite that change nothing, in whose body it is called. */
export function sharedSamples(): (metric?: SampleMetric) => Promise<Sample> {
  const of = (metric: SampleMetric) => suiteStore((store) => fill(store, metric))
  const samples = { cosine: of('cosine'), dot: of('dot'), l2: of('l2') }
  return (metric = 'cosine') => samples[metric]()
}

async function fill(store: OpenedStore, metric: SampleMetric): Promise<Sample> {
  const seed = seedOf()
  const random = randomNumbers(seed)
  const docs = store.prospect('docs')
  const made: Row[] = Array.from({ length: 420 }, (_, i) => rowOf(i, random))
  for (const [name, part] of [
    ['a.jsonl', made.slice(0, 200)],
    ['b.jsonl', made.slice(200, 400)],
  ] as const) {
    const text = part.map((row) => `${JSON.stringify(row)}\n`).join('')
    const file = await inputFile(dirname(store.url), name, text)
    await docs.ingest({ inputs: [file], metric, textColumns: ['text'] })
  }
  await docs.delete({ ids: made.slice(0, 20).map(({ id }) => id) })
  const late = [...made.slice(400), { ...(made[30] as Row), n: 1_000_000, tags: ['x', 'x'] }]
  await docs.upsert(
    late.map(({ id, vector, ...payload }) => ({ id, vector: Float32Array.from(vector), payload })),
  )
  const rows = [...made.slice(20, 400).filter(({ id }) => id !== made[30]?.id), ...late]
  const vector = (): Float32Array => Float32Array.from(vectorOf(random))
  return { store, docs, rows, random, seed, vector }
}

const vectorOf = (random: () => number): number[] =>
  Array.from({ length: DIMENSION }, () => Math.fround(random() - 0.5))

function rowOf(i: number, random: () => number): Row {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const tags = Array.from({ length: Math.floor(random() * 3) }, () => pick(['x', 'y', 'z', 1, 2]))
  return {
    // The order of bytes is another than that of UTF-16: an emoji comes behind ～.
    id: `${pick(['r', '\uff5e', '\u{1f600}', 'é'])}${i}`,
    vector: vectorOf(random),
    text: Array.from({ length: 4 }, () => pick(WORDS)).join(' '),
    ...(random() < 0.8 ? { lang: pick(['fi', 'sv', 'de']) } : {}),
    ...(random() < 0.8 ? { n: Math.floor(random() * 50) - 25 } : {}),
    ...(tags.length > 0 ? { tags } : {}),
    ...(random() < 0.7
      ? {
          at: `${pick(['2024', '2025'])}-0${pick([1, 2, 3])}-12T12:00:00${pick(['Z', '+02:00'])}`,
        }
      : {}),
  }
}

export const byBytes = (a: string, b: string): number =>
  Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Of two records by a number, the higher first; ties by the bytes of the id. */
export const byScore = (a: Scored, b: Scored): number => b.score - a.score || byBytes(a.id, b.id)

export interface Scored {
  readonly id: string
  readonly score: number
}

/** The contract's definitions, written again. */
export function similarity(
  metric: 'cosine' | 'dot' | 'l2',
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): number {
  let [dot, aa, bb, squares] = [0, 0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] ?? 0, b[i] ?? 0]
    dot += x * y
    aa += x * x
    bb += y * y
    squares += (x - y) ** 2
  }
  if (metric === 'l2') return -squares
  return metric === 'dot' ? dot : dot / Math.sqrt(aa * bb)
}

export const idsOf = (hits: readonly { readonly id: string }[]): string[] =>
  hits.map(({ id }) => id)
