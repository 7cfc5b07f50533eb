import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type JsonObject, parseJson, stringifyJson } from '../../src/core/json.ts'
import type { FieldType, Schema } from '../../src/core/schema.ts'
import type { StoredRecord } from '../../src/db/api/api.ts'
import { openFile } from '../../src/ingest/input-bytes.ts'
import { openSource } from '../../src/ingest/open-source.ts'
import { fakeEngine, payload } from './support/fake-engine.ts'
import { run, temporaryFolder } from './support/run.ts'

const folder = temporaryFolder()
afterAll(() => folder.remove())

const records: readonly StoredRecord[] = [
  {
    id: 'a',
    vector: Float32Array.of(0.1, -1e-40, 3.4028234663852886e38),
    payload: payload({
      zip: '00123',
      code: '17',
      text: 'quoted "and", comma\nand line\u001b',
      empty: '',
      year: 1962,
      wide: 2n ** 60n,
      widest: 2n ** 64n - 1n,
      ratio: 0.1,
      flag: true,
      nested: parseJson('{"b":[1,{"c":null}],"a":18446744073709551615}'),
      mixed: 'x',
    }),
  },
  {
    id: ' spaced ',
    vector: Float32Array.of(1, 2, 3),
    payload: payload({
      zip: '99999',
      code: '18',
      text: 'é😀',
      empty: 'x',
      year: -5,
      wide: 7,
      widest: 1,
      ratio: 1e300,
      flag: false,
      nested: parseJson('[]'),
      mixed: 12,
    }),
  },
]
const info = {
  dimension: 3,
  schema: { vectors: {}, fields: {}, text: { fields: [], tokenizer: 'plain/1' as const } },
}

const dump = async (
  format: string,
  argv: readonly string[] = [],
  list = records,
  schema: Schema = info.schema,
) => {
  const path = join(folder.path, `${Math.random()}.${format}`)
  const { engine } = fakeEngine({ records: list, info: { ...info, schema } })
  const ran = await run(['dump', 'docs', '-o', path, ...argv], { engine })
  return { ...ran, path }
}

const takeBack = async (path: string, types: Readonly<Record<string, FieldType>> = {}) => {
  const input = await openFile(path)
  const source = await openSource(input, { metric: 'l2', types })
  const taken: { id: string; vector: number[]; payload: string }[] = []
  for await (const batch of source.batches()) {
    expect(batch.rejects).toEqual([])
    for (const record of batch.records) {
      taken.push({
        id: record.id,
        vector: Array.from(record.vector ?? []),
        payload: stringifyJson(record.payload),
      })
    }
  }
  await source.close()
  await input.close()
  return taken
}

const parseFields = (json: string, names: readonly string[]): string => {
  const row = new Map(parseJson(json) as JsonObject)
  for (const name of names) {
    const value = row.get(name)
    if (typeof value === 'string' && value !== 'x') row.set(name, parseJson(value))
  }
  return stringifyJson(row)
}

const expected = records.map((record) => ({
  id: record.id,
  vector: Array.from(record.vector ?? []),
  payload: stringifyJson(record.payload),
}))

describe('a dump', () => {
  it('as JSON lines is taken back unchanged', async () => {
    const { code, path } = await dump('jsonl')
    expect(code).toBe(0)
    expect(await takeBack(path)).toEqual(expected)
  })

  it('as Parquet is taken back unchanged', async () => {
    const { code, path } = await dump('parquet')
    expect(code).toBe(0)
    const taken = await takeBack(path)
    // Mixed and nested values are columns of JSON; a reader may leave their text as it stands.
    const payloads = taken.map((row) => parseFields(row.payload, ['nested', 'mixed']))
    expect(taken.map(({ id, vector }, i) => ({ id, vector, payload: payloads[i] }))).toEqual(
      expected,
    )
  })

  it('as CSV is taken back unchanged with the types that it tells', async () => {
    const { code, path, stderr } = await dump('csv')
    expect(code).toBe(0)
    const said = /--types (\S+)/.exec(stderr)?.[1] ?? ''
    expect(said.split(',').sort()).toEqual(['code=string', 'mixed=json', 'nested=json'])
    const types = said.split(',').map((pair) => pair.split('=') as [string, FieldType])
    expect(await takeBack(path, Object.fromEntries(types))).toEqual(expected)
  })

  it.each(['parquet', 'csv'])(
    'keeps what float64 and dictionaries would not: %s',
    async (format) => {
      const odd = [
        {
          id: 'a',
          vector: Float32Array.of(0, -0, 1),
          payload: payload({ f: -0, n: 2n ** 53n + 1n }),
        },
        { id: 'b', vector: Float32Array.of(-0, 0, 1), payload: payload({ f: 0, n: 1.5 }) },
        { id: 'c', vector: Float32Array.of(0, 0, 1), payload: payload({ f: 0.5, n: 1 }) },
      ]
      const { path, stderr } = await dump(format, [], odd)
      const said = /--types (\S+)/.exec(stderr)?.[1]?.split(',') ?? []
      const types = Object.fromEntries(said.map((pair) => pair.split('=') as [string, FieldType]))
      expect(await takeBack(path, types)).toEqual(
        odd.map((record) => ({
          id: record.id,
          vector: [...record.vector],
          payload: stringifyJson(record.payload),
        })),
      )
    },
  )

  it.each(['parquet', 'csv'])('has the columns that ingest asks for: %s', async (format) => {
    const bare = [{ id: 'a', vector: Float32Array.of(1, 2, 3), payload: payload({ n: 1 }) }]
    const schema: Schema = {
      ...info.schema,
      vectors: { terms: { kind: 'sparse' } },
      text: { fields: ['body'], tokenizer: 'plain/1' },
    }
    const { path } = await dump(format, [], bare, schema)
    const input = await openFile(path)
    const options = { metric: 'l2', textColumns: ['body'], sparseColumns: ['terms'] } as const
    const source = await openSource(input, options)
    expect(source.plan.textColumns).toEqual(['body'])
    await source.close()
    await input.close()
  })

  it('of nothing is a file that opens', async () => {
    for (const format of ['jsonl', 'csv', 'parquet']) {
      expect((await dump(format, [], [])).code, format).toBe(0)
    }
  })

  it('of many rows comes in several row groups, in order', async () => {
    const many = Array.from({ length: 25_000 }, (_, i) => ({
      id: `r${i}`,
      vector: Float32Array.of(i, 1, 2),
      payload: payload({ n: i }),
    }))
    const { path } = await dump('parquet', [], many)
    const taken = await takeBack(path)
    expect(taken).toHaveLength(25_000)
    expect(taken[24_999]).toEqual({ id: 'r24999', vector: [24_999, 1, 2], payload: '{"n":24999}' })
  })

  it('goes to stdout by default, its result to stderr', async () => {
    const { engine } = fakeEngine({ records, info })
    const ran = await run(['dump', 'docs', '--format', 'csv', '--json'], { engine })
    expect(ran.stdout.startsWith('id,vector,zip,')).toBe(true)
    expect(ran.stderr).toContain('"type":"dump"')
  })

  it('refuses a payload field that is named like a column', async () => {
    const clash = [{ id: 'a', payload: payload({ vector: 1, id: 2 }) }]
    for (const format of ['jsonl', 'csv', 'parquet']) {
      const bad = await dump(format, [], clash)
      expect(bad.code, format).toBe(2)
      expect(bad.stderr).toContain('--id-column')
      expect(existsSync(bad.path)).toBe(false)
      const good = await dump(format, ['--id-column', '_id', '--vector-column', 'embedding'], clash)
      expect(good.code, format).toBe(0)
    }
    expect((await dump('csv', ['--id-column', 'x', '--vector-column', 'x'])).code).toBe(2)
  })

  it('refuses a file that exists, unless --force', async () => {
    const { path } = await dump('jsonl')
    writeFileSync(path, 'mine')
    const { engine } = fakeEngine({ records, info })
    expect((await run(['dump', 'docs', '-o', path], { engine })).code).toBe(22)
    expect(readFileSync(path, 'utf8')).toBe('mine')
    expect((await run(['dump', 'docs', '-o', path, '--force'], { engine })).code).toBe(0)
  })

  it('that fails leaves no file behind', async () => {
    const path = join(folder.path, 'failed.jsonl')
    const { engine } = fakeEngine({
      info,
      collection: {
        async *scan() {
          yield* records
          throw new Error('the disk broke')
        },
      },
    })
    expect((await run(['dump', 'docs', '-o', path], { engine })).code).toBe(1)
    expect(existsSync(path)).toBe(false)
  })
})
