import { expect, it } from 'vitest'
import { openStore } from '../../src/index.ts'
import { inputFile, randomNumbers, tempFolder, tempStore } from '../support/temp-store.ts'

const ROWS = 400
const DIMENSION = 261
const SEED = 43

async function rowsFile(dimension: number): Promise<string> {
  const random = randomNumbers(SEED)
  const rows = Array.from({ length: ROWS }, (_, n) => {
    const vector = Array.from({ length: dimension }, () => Math.fround(random() - 0.4))
    return `${JSON.stringify({ id: `r${n}`, vector })}\n`
  })
  return await inputFile(await tempFolder(), 'rows.jsonl', rows.join(''))
}

it.each(['binary', 'pq'] as const)('a collection is searched by %s codes', async (quantization) => {
  const store = await tempStore()
  const create = { dimension: DIMENSION, metric: 'cosine', index: { quantization } } as const
  await store.createCollection('docs', create)
  await store.prospect('docs').ingest({ inputs: [await rowsFile(DIMENSION)] })
  const vector = Float32Array.from({ length: DIMENSION }, (_, i) => Math.sin(i))
  const { url } = store
  const docs = await store.collection('docs')
  const exact = await docs.search({ vector, k: 3, exact: true })
  const found = await docs.search({ vector, k: 3 })
  expect(found.hits, `seed ${SEED}`).toEqual(exact.hits)
  expect(JSON.stringify(found.plan)).toContain(`"kind":"scan-${quantization}"`)
  await store.close()
  await using again = await openStore({ url, mode: 'write' })
  const reopened = await again.collection('docs')
  expect((await reopened.search({ vector, k: 3 })).hits).toEqual(exact.hits)
  for (const other of ['int8', quantization] as const) {
    const { segments } = await reopened.buildIndex({ index: { quantization: other } })
    expect(segments).toBe(1)
    const { hits, plan } = await reopened.search({ vector, k: 3 })
    expect(hits).toEqual(exact.hits)
    expect(JSON.stringify(plan)).toContain(`"kind":"scan-${other}"`)
  }
  expect((await reopened.buildIndex({ index: { quantization } })).segments).toBe(0)
})

it('a form that vectors are too short for is refused before anything is written', async () => {
  const store = await tempStore()
  const index = { quantization: 'binary' } as const
  const refusal = { code: 'USAGE', message: expect.stringContaining('at least 256 components') }
  await expect(
    store.createCollection('short', { dimension: 255, metric: 'l2', index }),
  ).rejects.toMatchObject(refusal)
  await expect(store.collection('short')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await store.createCollection('short', { dimension: 255, metric: 'l2' })
  const docs = await store.collection('short')
  await expect(docs.buildIndex({ index })).rejects.toMatchObject(refusal)
  const other = { quantization: 'int4' as 'int8' }
  await expect(docs.buildIndex({ index: other })).rejects.toThrow('no quantization int4')
})
