import { appendFileSync, writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import type { IngestRequest, IngestResult } from '../../src/db/api/api.ts'
import { IngestGroup } from '../../src/db/ingest/ingest-group.ts'
import type { OpenedStore } from '../../src/db/store.ts'
import { inputFile, jsonLines, lines, pipe, tempStore } from '../support/temp-store.ts'

const folderOf = (store: OpenedStore): string => dirname(store.url)
const heads = async (store: OpenedStore, name: string): Promise<number> => {
  const versions = []
  for await (const entry of (await store.collection(name)).log()) versions.push(entry.version)
  return versions.length
}
const count = async (store: OpenedStore, name = 'docs'): Promise<number> =>
  (await (await store.collection(name)).info()).count

describe('an ingest', () => {
  it('makes the collection, counts per file, and says where a record came from', async () => {
    const store = await tempStore()
    const file = await inputFile(folderOf(store), 'a.jsonl', lines('r', 5))
    const result = await store.prospect('docs').ingest({ inputs: [file] })
    expect(result).toMatchObject({
      collection: 'docs',
      created: true,
      inserted: 5,
      updated: 0,
      rejected: 0,
      partial: false,
      manifestVersion: 2,
    })
    expect(result.rejectsFile).toBeUndefined()
    const [record, missing] = await store.prospect('docs').get(['r3', 'nobody'])
    expect(missing).toBeUndefined()
    expect(record?.source).toMatchObject({ file: 'a.jsonl', row: 4 })
    expect(record?.source?.sha256).toBe(result.files[0]?.sha256)
    expect(record?.payload.get('tag')).toBe('odd')
  })

  it('refuses a file without vectors where the collection has some', async () => {
    const store = await tempStore()
    const folder = folderOf(store)
    const good = await inputFile(folder, 'a.jsonl', lines('a', 3))
    const bare = await inputFile(folder, 'b.csv', 'id,tag\nb1,x\n')
    await store.prospect('docs').ingest({ inputs: [good], textColumns: ['tag'] })
    const refused = { code: 'SCHEMA_MISMATCH', message: expect.stringContaining('4-d vectors') }
    const docs = store.prospect('docs')
    await expect(docs.ingest({ inputs: [bare] })).rejects.toMatchObject(refused)
    await expect(docs.preview({ inputs: [bare] })).rejects.toMatchObject(refused)
    const more = await inputFile(folder, 'c.jsonl', lines('c', 2))
    const result = await docs.ingest({ inputs: [bare, more] })
    expect(result).toMatchObject({ inserted: 2, partial: true })
    expect(await count(store)).toBe(5)
  })

  it('puts several small files into one commit and merges their fields', async () => {
    const store = await tempStore()
    const folder = folderOf(store)
    await inputFile(folder, 'a.jsonl', lines('a', 3))
    await inputFile(folder, 'b.csv', 'id,vector,zip,only_b\nb1,"[1,2,3,4]",7,x\n')
    await inputFile(folder, 'c.csv', 'id,vector,zip,only_c\nc1,"[1,2,3,4]",abc,1.5\n')
    const result = await store.prospect('docs').ingest({ inputs: [`${folder}/*.*`] })
    expect(result.files.map(({ inserted }) => inserted)).toEqual([3, 1, 1])
    expect(result.manifestVersion).toBe(2)
    const { schema } = await store.prospect('docs').info()
    expect(schema.fields).toMatchObject({ zip: 'integer', only_b: 'string', only_c: 'float' })
    // "abc" does not fit the type that the column has from the file before: it stays text.
    expect(result.warnings).toMatchObject([{ code: 'TYPE_MISFIT', count: 1 }])
    const [c1] = await store.prospect('docs').get(['c1'])
    expect(c1?.payload.get('zip')).toBe('abc')
  })

  it('counts ids that come again as updated, in one file and over several', async () => {
    const store = await tempStore()
    const folder = folderOf(store)
    await inputFile(folder, 'a.jsonl', lines('r', 4) + lines('r', 2))
    await inputFile(folder, 'b.jsonl', lines('r', 3, 3))
    const result = await store.prospect('docs').ingest({ inputs: [folder] })
    expect(result.files.map(({ rows, inserted, updated }) => [rows, inserted, updated])).toEqual([
      [6, 4, 2],
      [3, 2, 1],
    ])
    expect(await count(store)).toBe(6)
  })

  it('skips a file that was taken, by its bytes and options, unless told otherwise', async () => {
    const store = await tempStore()
    const folder = folderOf(store)
    const a = await inputFile(folder, 'a.jsonl', lines('r', 3))
    const copy = await inputFile(folder, 'copy.jsonl', lines('r', 3))
    const first = await store.prospect('docs').ingest({ inputs: [a, copy] })
    expect(first.files.map(({ skipped }) => skipped)).toEqual([false, true])
    const notes: string[] = []
    const second = await store
      .prospect('docs')
      .ingest({ inputs: [copy], onNote: (note) => notes.push(note) })
    expect(second.files).toMatchObject([{ skipped: true, rows: 0 }])
    expect(second.manifestVersion).toBe(first.manifestVersion)
    expect(notes.join()).toMatch(/taken before/)
    const other = await store.prospect('docs').ingest({ inputs: [a], columns: ['n'] })
    expect(other.files).toMatchObject([{ skipped: false, updated: 3 }])
    const again = await store.prospect('docs').ingest({ inputs: [a], again: true })
    expect(again).toMatchObject({ inserted: 0, updated: 3 })
    expect(await count(store)).toBe(3)
  })

  it('commits small files together up to a segment of rows', async () => {
    const store = await tempStore()
    await store.createCollection('docs', { dimension: 16_384 })
    const { state } = await store.core('docs').head()
    const { schema, index } = state
    const group = new IngestGroup(store.core('docs'), { schema, index, withGraph: false })
    const vector = new Float32Array(16_384).fill(1)
    for (let n = 0; n < 4_096; n++) {
      expect(group.full).toBe(false)
      group.add({ id: String(n), vector, payload: new Map(), position: n }, 0)
    }
    expect(group.full).toBe(true)
    await group.abandon(undefined)
  })
})

/** Limits of tests of more rows than a segment takes: 4,096 of 256 numbers. */
const SMALL = { segmentBytesMax: 4 * 2 ** 20, keptInputBytesMax: 2 ** 20 }
/** A 256-d vector in few characters. */
const vector = (first: number): string => `[${first}${',0'.repeat(255)}]`

describe('a pipe', () => {
  it('is taken as one input that does not resume, and says so', async () => {
    const store = await tempStore()
    const notes: string[] = []
    const take = (): Promise<IngestResult> =>
      store.prospect('docs').ingest({
        inputs: ['-'],
        stdin: pipe(lines('r', 5)),
        format: 'jsonl',
        onNote: (note) => notes.push(note),
      })
    expect((await take()).files).toEqual([
      { path: '-', sha256: null, rows: 5, inserted: 5, updated: 0, rejected: 0, skipped: false },
    ])
    expect(notes.join('\n')).toMatch(/does not resume/)
    expect((await take()).updated).toBe(5)
  })

  describe('of more rows than a segment takes', () => {
    const real = { ...limits }
    beforeAll(() => void Object.assign(limits, SMALL))
    afterAll(() => void Object.assign(limits, real))

    it('is committed segment by segment, and reported as one input', async () => {
      const store = await tempStore()
      async function* rows(): AsyncGenerator<Uint8Array> {
        for (let i = 0; i < 4_200; i++) yield Buffer.from(`{"id":${i},"vector":${vector(i + 1)}}\n`)
        yield Buffer.from('{"id":"bad"}\n{"id":0,"vector":"x"}\n')
      }
      const result = await store
        .prospect('docs')
        .ingest({ inputs: ['-'], stdin: rows(), format: 'jsonl', noIndex: true, maxRejects: 2 })
      expect(result.files).toMatchObject([{ path: '-', rows: 4_200, inserted: 4_200, rejected: 2 }])
      expect(result.partial).toBe(false)
      // create, the full segment, the rest
      expect(await heads(store, 'docs')).toBeGreaterThanOrEqual(3)
      expect((await store.prospect('docs').info({ asOf: '2' })).count).toBe(4_096)
      expect(await count(store)).toBe(4_200)
    })

    it('keeps the segments that were committed before it broke', async () => {
      const store = await tempStore()
      async function* rows(): AsyncGenerator<Uint8Array> {
        for (let i = 0; i < 5_200; i++) yield Buffer.from(`{"id":${i},"vector":${vector(i + 1)}}\n`)
        throw new Error('the pipe broke')
      }
      const request = { inputs: ['-'], stdin: rows(), format: 'jsonl', noIndex: true } as const
      await expect(store.prospect('docs').ingest(request)).rejects.toThrow('the pipe broke')
      expect(await count(store)).toBe(4_096)
    })
  })
})

describe('bad rows', () => {
  const bad = '{"id":"x","vector":[1,2]}\n{"id":"","vector":[1,2,3,4]}\nnonsense\n'
  const dirty = `${lines('r', 3)}${bad}`

  it('are rejected with file, line, column, code and reason; the rest is committed', async () => {
    const store = await tempStore()
    const folder = folderOf(store)
    const file = await inputFile(folder, 'a.jsonl', dirty)
    const own = await inputFile(folder, 'mine.txt', '{"mine":true}\n')
    const result = await store.prospect('docs').ingest({ inputs: [file], rejectsFile: own })
    expect(result).toMatchObject({ inserted: 3, rejected: 3, partial: true, rejectsFile: own })
    const [mine, ...rejects] = await jsonLines(own)
    expect(mine).toEqual({ mine: true })
    expect(rejects).toMatchObject([
      { file, line: 4, id: 'x', column: 'vector', code: 'DIMENSION', found: 2 },
      { file, line: 5 },
      { file, line: 6, code: 'BAD_JSON', raw: 'nonsense' },
    ])
    const kept = join(store.stateFolder, 'rejects', 'docs', `${result.files[0]?.sha256}.jsonl`)
    expect(await jsonLines(kept)).toEqual(rejects)
  })

  it.each([
    [3, false],
    [2, true],
    ['50%', false],
    ['49.9%', true],
    [undefined, true],
  ])('over a maximum of %s make it partial: %s', async (maxRejects, partial) => {
    const store = await tempStore()
    const file = await inputFile(folderOf(store), 'a.jsonl', dirty)
    const limit = maxRejects === undefined ? {} : { maxRejects }
    const result = await store.prospect('docs').ingest({ inputs: [file], ...limit })
    expect(result.partial).toBe(partial)
    expect(result.rejectsFile).toMatch(/rejects\/docs\/[0-9a-f]{64}\.jsonl$/)
  })

  it('stop the ingest where that is asked for, and nothing is committed', async () => {
    const store = await tempStore()
    const folder = folderOf(store)
    const file = await inputFile(folder, 'a.jsonl', dirty)
    const stopping = store.prospect('docs').ingest({ inputs: [file], onBadRow: 'stop' })
    await expect(stopping).rejects.toMatchObject({ code: 'BAD_INPUT', exitCode: 26 })
    await expect(store.collection('docs')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('are all there is: no collection is made', async () => {
    const store = await tempStore()
    const file = await inputFile(folderOf(store), 'a.jsonl', '{"id":"a","vector":"x"}\nnot\n')
    const result = await store.prospect('docs').ingest({ inputs: [file], dimension: 4 })
    expect(result).toMatchObject({ created: false, rejected: 2, partial: true, manifestVersion: 0 })
    await expect(store.collection('docs')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('of another dimension in all rows refuse the file with both numbers', async () => {
    const store = await tempStore()
    const folder = folderOf(store)
    await store.createCollection('docs', { dimension: 8 })
    const file = await inputFile(folder, 'a.jsonl', lines('r', 3))
    await expect(store.prospect('docs').ingest({ inputs: [file] })).rejects.toMatchObject({
      code: 'DIMENSION_MISMATCH',
      exitCode: 26,
      details: { collection: 'docs', expected: 8, found: 4 },
    })
    expect(await heads(store, 'docs')).toBe(1)
  })
})

describe('several inputs', () => {
  it('go on past a bad one, whose rows all stay out', async () => {
    const store = await tempStore()
    const folder = folderOf(store)
    await inputFile(folder, 'a.parquet', 'not a parquet file')
    await inputFile(folder, 'b.jsonl', lines('b', 2))
    await inputFile(folder, 'c.jsonl', '{"id":"c","vector":[1,2]}\n')
    await inputFile(folder, 'd.jsonl', lines('d', 2))
    const result = await store.prospect('docs').ingest({ inputs: [folder] })
    expect(result.files.map(({ error }) => error?.code)).toEqual([
      'BAD_INPUT',
      undefined,
      'DIMENSION_MISMATCH',
      undefined,
    ])
    expect(result).toMatchObject({ inserted: 4, partial: true, created: true })
    expect(await count(store)).toBe(4)
  })

  it('that are all bad make no collection', async () => {
    const store = await tempStore()
    const folder = folderOf(store)
    await inputFile(folder, 'a.csv', '')
    await inputFile(folder, 'b.csv', '')
    const result = await store.prospect('docs').ingest({ inputs: [folder] })
    expect(result.files.map(({ error }) => error?.code)).toEqual(['BAD_INPUT', 'BAD_INPUT'])
    expect(result).toMatchObject({ created: false, partial: true, inserted: 0 })
    await expect(store.collection('docs')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('with only a header are taken as nothing', async () => {
    const store = await tempStore()
    const folder = folderOf(store)
    const empty = await inputFile(folder, 'a.csv', 'id,vector,text\n')
    const result = await store.prospect('docs').ingest({ inputs: [empty], textColumns: ['text'] })
    expect(result).toMatchObject({ created: false, partial: false, inserted: 0 })
    const full = await inputFile(folder, 'b.csv', 'id,vector,text\n1,"[1,2]",hello\n')
    await store.prospect('docs').ingest({ inputs: [empty, full], textColumns: ['text'] })
    expect((await store.prospect('docs').info()).dimension).toBe(2)
  })

  it('of which one does not exist take nothing', async () => {
    const store = await tempStore()
    const a = await inputFile(folderOf(store), 'a.jsonl', lines('r', 1))
    const run = store.prospect('docs').ingest({ inputs: [a, `${a}.gone.jsonl`] })
    await expect(run).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(store.collection('docs')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('a file that changes while it is read', () => {
  it.each(['longer', 'rewritten'])('(%s) is refused and nothing of it is taken', async (how) => {
    const store = await tempStore()
    const file = await inputFile(folderOf(store), 'a.jsonl', lines('r', 2_000))
    let isChanged = false
    // Done when it returns: the rest of the file is read after that.
    const onProgress = (): void => {
      if (isChanged) return
      isChanged = true
      if (how === 'longer') appendFileSync(file, lines('s', 1))
      else writeFileSync(file, lines('t', 2_000))
    }
    const run = store.prospect('docs').ingest({ inputs: [file], onProgress })
    await expect(run).rejects.toMatchObject({ code: 'BAD_INPUT', exitCode: 26 })
    expect(isChanged).toBe(true)
    await expect(store.collection('docs')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('a new collection', () => {
  it('stores positions of words, and codes of its form', async () => {
    const store = await tempStore()
    const vector = JSON.stringify(Array.from({ length: 256 }, (_, i) => i + 1))
    const rows = `{"id":"a","vector":${vector},"t":"red fox"}\n`
    const file = await inputFile(folderOf(store), 'a.jsonl', rows)
    const options = { textColumns: ['t'], textPositions: true, index: { quantization: 'binary' } }
    await store.prospect('docs').ingest({ inputs: [file], ...options } as IngestRequest)
    const { schema, index } = await (await store.collection('docs')).info()
    expect(schema.text).toEqual({ fields: ['t'], tokenizer: 'plain/1', positions: true })
    expect(index.quantization).toBe('binary')
  })

  it.each([
    ['vectors too short for its codes', { index: { quantization: 'pq' } }],
    ['positions of words without a text', { textPositions: true }],
  ])('is not made with %s', async (_what, options) => {
    const store = await tempStore()
    const file = await inputFile(folderOf(store), 'a.jsonl', lines('r', 1))
    const run = store.prospect('docs').ingest({ inputs: [file], ...options } as IngestRequest)
    await expect(run).rejects.toMatchObject({ code: 'USAGE', details: { file } })
    await expect(store.collection('docs')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('an existing collection', () => {
  it.each([
    ['another metric', { metric: 'dot' as const }],
    ['another dimension', { dimension: 5 }],
    ['another text column', { textColumns: ['tag'] }],
    ['positions of words that it does not store', { textPositions: true }],
  ])('refuses %s', async (_what, options) => {
    const store = await tempStore()
    await store.createCollection('docs', { dimension: 4, metric: 'cosine' })
    const file = await inputFile(folderOf(store), 'a.jsonl', lines('r', 1))
    const run = store.prospect('docs').ingest({ inputs: [file], ...options })
    await expect(run).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH', exitCode: 26 })
  })

  it('is not touched by a preview', async () => {
    const store = await tempStore()
    const file = await inputFile(folderOf(store), 'a.csv', 'key,values,n\nx,"1;2",3\ny,"1;2;3",3\n')
    const [preview] = await store.prospect('docs').preview({ inputs: [file] })
    expect(preview).toMatchObject({
      format: 'csv',
      dimension: 2,
      columns: [
        { name: 'key', use: 'id' },
        { name: 'values', use: 'vector' },
        { name: 'n', use: 'payload', type: 'integer' },
      ],
      rows: [{ id: 'x', vector: [1, 2] }],
      rejects: [{ position: 3, code: 'DIMENSION' }],
    })
    expect(await store.list()).toEqual([])
  })
})

describe('an abort', () => {
  it('leaves nothing visible, and a later run takes all', async () => {
    const store = await tempStore()
    const file = await inputFile(folderOf(store), 'a.jsonl', lines('r', 5_000))
    const abort = new AbortController()
    const onProgress = (): void => abort.abort(new Error('stopped here'))
    const run = store.prospect('docs').ingest({ inputs: [file], signal: abort.signal, onProgress })
    await expect(run).rejects.toThrow('stopped here')
    await expect(store.collection('docs')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect((await store.prospect('docs').ingest({ inputs: [file] })).inserted).toBe(5_000)
    expect(await readdir(join(store.stateFolder, 'ledger')).catch(() => [])).toEqual([])
    expect(await readFile(join(store.url, 'akidb.json'), 'utf8')).toContain(store.id)
  })
})
