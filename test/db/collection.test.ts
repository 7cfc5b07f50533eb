import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Store } from '../../src/index.ts'
import { inputFile, lines, opened, tempStore } from '../support/temp-store.ts'

const at = (...values: number[]): Float32Array => Float32Array.from(values)

describe('a collection', () => {
  it('gives back what was put in, by the example of the documentation', async () => {
    const store = await tempStore()
    const docs = await store.createCollection('docs', { dimension: 3, metric: 'cosine' })
    const payload = { lang: 'fi', n: 2n ** 63n, deep: { list: [1, 2.5, null, true] } }
    await docs.upsert([
      { id: 'a', vector: at(1, 0, 0), payload },
      { id: 7, vector: at(0, 1, 0) },
    ])
    const { hits, plan, stateRoot } = await docs.search({ vector: at(1, 0.1, 0), k: 1, ef: 128 })
    expect(hits.map(({ id }) => id)).toEqual(['a'])
    expect(plan.kind).toBe('vector')
    expect(stateRoot).toMatch(/^[0-9a-f]{64}$/)
    const [a, seven] = await docs.get(['a', '7'], { withVector: true })
    expect(a?.vector).toEqual(at(1, 0, 0))
    expect(a?.payload.get('n')).toBe(2n ** 63n)
    expect([...(a?.payload.keys() ?? [])]).toEqual(['lang', 'n', 'deep'])
    expect(seven?.id).toBe('7')
    expect(await docs.delete({ ids: ['a', 'a', 'nobody'] })).toEqual({ deleted: 1 })
    expect((await docs.info()).count).toBe(1)
  })

  it('takes the numbers of any array as the float32 that it stores', async () => {
    const store = await tempStore()
    const docs = await store.createCollection('docs', { dimension: 3, metric: 'l2' })
    const numbers = [[0.1, 0.7, 0.2], Float64Array.of(0.3, 0.1, 1 / 3)]
    await docs.upsert(numbers.map((vector, n) => ({ id: String(n), vector: vector as never })))
    const query = [0.1, 0.3, 1e-9] as const
    const search = async () => [
      (await docs.search({ vector: query as never, exact: true })).hits,
      (await docs.search({ vector: at(...query), exact: true })).hits,
    ]
    const [inLog, typedInLog] = await search()
    expect(inLog).toEqual(typedInLog)
    await docs.compact()
    expect(await search()).toEqual([inLog, inLog])
    const [first] = await docs.get(['0'], { withVector: true })
    expect(first?.vector).toEqual(at(0.1, 0.7, 0.2))
    const wrong = ['1', 2, 3] as never
    await expect(docs.upsert([{ id: 'x', vector: wrong }])).rejects.toThrow(/array of numbers/)
    await expect(docs.search({ vector: wrong })).rejects.toMatchObject({ code: 'BAD_INPUT' })
    await expect(docs.search({ vector: null as never })).rejects.toMatchObject({ code: 'USAGE' })
  })

  it('keeps acknowledged rows over a close, and one row an id', async () => {
    const store = await tempStore()
    const docs = await store.createCollection('docs', { dimension: 1, metric: 'l2' })
    for (let n = 0; n < 5; n++) await docs.upsert([{ id: 'same', vector: at(n), payload: { n } }])
    await store.close()
    const again = await (await opened(store.url)).collection('docs')
    expect((await again.info()).count).toBe(1)
    expect((await again.get(['same']))[0]?.payload.get('n')).toBe(4)
  })

  it.each([
    ['an empty id', { id: '' }, 'BAD_INPUT'],
    ['a NUL in an id', { id: 'a\0' }, 'BAD_INPUT'],
    ['a lone surrogate in an id', { id: '\ud800' }, 'BAD_INPUT'],
    ['an id of 513 bytes', { id: `${'é'.repeat(256)}x` }, 'BAD_INPUT'],
    ['a fraction as an id', { id: 1.5 }, 'BAD_INPUT'],
    ['another dimension', { vector: at(1, 2, 3) }, 'DIMENSION_MISMATCH'],
    ['a value that is not finite', { vector: at(1, Number.NaN) }, 'BAD_INPUT'],
    ['a zero vector under cosine', { vector: at(0, 0) }, 'BAD_INPUT'],
    ['a function in the payload', { payload: { f: () => 1 } }, 'BAD_INPUT'],
    ['a circle in the payload', { payload: circle() }, 'LIMIT|BAD_INPUT'],
  ])('refuses %s', async (_what, wrong, code) => {
    const store = await tempStore()
    const docs = await store.createCollection('docs', { dimension: 2 })
    const record = { id: 'a', vector: at(1, 2), ...wrong }
    const failure = await docs.upsert([record]).then(() => undefined, String)
    const error = await docs.upsert([record]).catch((caught: unknown) => caught)
    expect((error as { code?: string }).code, failure).toMatch(new RegExp(`^(${code})$`))
    expect((await docs.info()).count).toBe(0)
  })

  it('takes ids of 1 and of 512 bytes, and tells look-alikes apart', async () => {
    const store = await tempStore()
    const docs = await store.createCollection('docs', { dimension: 1, metric: 'l2' })
    const ids = [
      'a',
      'é'.repeat(256),
      '\u00e9',
      'e\u0301',
      ' a',
      'A',
      '07',
      '7',
      '18446744073709551615',
    ]
    await docs.upsert(ids.map((id, n) => ({ id, vector: at(n) })))
    expect((await docs.get(ids)).map((record) => record?.id)).toEqual(ids)
    await docs.flush()
    expect((await docs.get(ids)).map((record) => record?.id)).toEqual(ids)
  })

  it('scans its live records, by a filter too, before and after a commit of the log', async () => {
    const store = await tempStore()
    const file = await inputFile(dirname(store.url), 'a.jsonl', lines('r', 10))
    const docs = store.prospect('docs')
    await docs.ingest({ inputs: [file] })
    await docs.upsert([{ id: 'r1', vector: at(1, 2, 3, 4), payload: { tag: 'even' } }])
    await docs.delete({ ids: ['r2'] })
    const scan = async (): Promise<string[]> => {
      const ids: string[] = []
      for await (const { id } of docs.scan({ filter: { tag: 'even' } })) ids.push(id)
      return ids.sort()
    }
    expect(await scan()).toEqual(['r0', 'r1', 'r4', 'r6', 'r8'])
    await docs.flush()
    expect(await scan()).toEqual(['r0', 'r1', 'r4', 'r6', 'r8'])
  })

  it.each([
    ['neither', {}],
    ['two of them', { ids: ['a'], filter: { n: 1 } }],
  ])('refuses a delete by %s', async (_what, request) => {
    const store = await tempStore()
    const docs = await store.createCollection('docs', { dimension: 1 })
    await expect(docs.delete(request)).rejects.toMatchObject({ code: 'USAGE' })
  })

  it('does not take the letters of one text for ids', async () => {
    const docs = await (await tempStore()).createCollection('docs', { dimension: 1 })
    await docs.upsert([...'abc'].map((id) => ({ id, vector: Float32Array.of(1) })))
    const ids = 'abc' as never
    await expect(docs.delete({ ids })).rejects.toMatchObject({ code: 'USAGE' })
    expect((await docs.info()).count).toBe(3)
  })

  it('deletes by filter and by source, and commits nothing where nothing matches', async () => {
    const store = await tempStore()
    const folder = dirname(store.url)
    const docs = store.prospect('docs')
    const a = await inputFile(folder, 'a.jsonl', lines('a', 4))
    const b = await inputFile(folder, 'b.jsonl', lines('b', 4))
    const { files } = await docs.ingest({ inputs: [a, b] })
    const before = await docs.info()
    expect(await docs.delete({ filter: { tag: 'neither' } })).toEqual({ deleted: 0 })
    expect((await docs.info()).manifestVersion).toBe(before.manifestVersion)
    expect(await docs.delete({ filter: { must: [{ key: 'n', range: { gte: 3 } }] } })).toEqual({
      deleted: 2,
    })
    expect(await docs.delete({ source: files[0]?.sha256 ?? '' })).toEqual({ deleted: 3 })
    expect((await docs.info()).count).toBe(3)
    await expect(docs.delete({ source: '0'.repeat(64) })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  it('hides its deleted rows from every search, and merges them away', async () => {
    const store = await tempStore()
    const docs = store.prospect('docs')
    const file = await inputFile(dirname(store.url), 'a.jsonl', lines('r', 40))
    await docs.ingest({ inputs: [file], textColumns: ['tag'] })
    await docs.delete({ filter: { tag: 'even' } })
    const found = async (): Promise<Set<number>> => {
      const near = await docs.search({ vector: at(1, 5, 0.5, -1), k: 100 })
      const words = await docs.search({ text: 'even odd', k: 100 })
      expect(near.hits).toHaveLength(20)
      expect(words.hits).toHaveLength(20)
      return new Set([...near.hits, ...words.hits].map(({ id }) => Number(id.slice(1)) % 2))
    }
    expect(await found()).toEqual(new Set([1]))
    expect(await docs.compact()).toMatchObject({ rows: 20 })
    expect(await found()).toEqual(new Set([1]))
    expect((await docs.info()).segments.map(({ deleted }) => deleted)).toEqual([0])
    const [r7] = await docs.get(['r7'])
    expect(r7?.source).toMatchObject({ file: 'a.jsonl', row: 8 })
  })
})

function circle(): Record<string, unknown> {
  const round: Record<string, unknown> = {}
  round.round = round
  return round
}

describe('a collection that may not exist yet', () => {
  it('is NOT_FOUND but for preview and ingest, which makes it', async () => {
    const store: Store = await tempStore()
    const docs = store.prospect('docs')
    expect([docs.name, docs.id]).toEqual(['docs', ''])
    const file = await inputFile(dirname(store.url), 'a.jsonl', lines('r', 10))
    expect(await docs.preview({ inputs: [file] })).toHaveLength(1)
    const uses: (() => Promise<unknown>)[] = [
      () => docs.info(),
      () => docs.get(['r1']),
      () => docs.search({ vector: at(1, 2, 3, 4) }),
      () => docs.upsert([{ id: 'a', vector: at(1, 2, 3, 4) }]),
      () => docs.delete({ ids: ['r1'] }),
      () => docs.snapshots.create('friday'),
      () => docs.compact(),
    ]
    for (const use of uses) await expect(use()).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await store.list()).toEqual([])
    expect(await docs.ingest({ inputs: [file] })).toMatchObject({ created: true, inserted: 10 })
    expect((await docs.info()).count).toBe(10)
  })

  it('needs a name that a collection can have', async () => {
    const store: Store = await tempStore()
    expect(() => store.prospect('../docs')).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })

  it.each([
    { metric: 'near' },
    { index: { type: 'tree' } },
    { index: { quantization: 'int3' } },
    { textFields: 'title' },
  ])('is not made with %j, which no type allows', async (wrong) => {
    const store = await tempStore()
    const made = store.createCollection('docs', { dimension: 4, ...(wrong as object) })
    await expect(made).rejects.toMatchObject({ code: 'USAGE' })
    expect(await store.list()).toEqual([])
  })
})
