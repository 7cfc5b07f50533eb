import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { fakeEngine, payload, ROOT } from './support/fake-engine.ts'
import { jsonLines, run, temporaryFolder } from './support/run.ts'

const folder = temporaryFolder()
afterAll(() => folder.remove())

describe('search', () => {
  it('is refused where its audit entry is required and cannot be written', async () => {
    const { AkidbError } = await import('../../src/errors/errors.ts')
    const { engine, last } = fakeEngine({
      engine: {
        auditSearch: async () => {
          throw new AkidbError('AUTH', 'the log cannot be written')
        },
      },
    })
    const env = { AKIDB_AUDIT_REQUIRED: 'true', AKIDB_AUDIT_QUERIES: 'full' }
    const ran = await run(['search', 'docs', '--text', 'x'], { engine, env })
    expect(ran).toMatchObject({ code: 23, stdout: '' })
    expect(last('auditSearch')).toMatchObject({ policy: 'full', required: true, queries: 1 })
  })

  it('has its entry like a count and a facet, which tell of the records too', async () => {
    for (const [argv, query] of [
      [['count', 'docs', '--filter', '{"a":1}'], { count: true, filter: { a: 1 } }],
      [['facet', 'docs', 'lang'], { facet: 'lang' }],
    ] as const) {
      const { engine, last } = fakeEngine({
        collection: {
          count: async () => ({ count: 1, stateRoot: ROOT }),
          facet: async () => ({ key: 'lang', values: [], distinct: 0, count: 0, stateRoot: ROOT }),
        },
      })
      expect((await run(argv, { engine })).code).toBe(0)
      const audited = last('auditSearch')
      expect(audited).toMatchObject({ collection: 'docs', queries: 1, stateRoot: ROOT })
      expect(JSON.parse(String(audited['query']))).toEqual(query)
    }
  })

  it('writes no entry with audit.queries off', async () => {
    const { engine, calls } = fakeEngine()
    await run(['search', 'docs', '--text', 'x'], { engine, env: { AKIDB_AUDIT_QUERIES: 'off' } })
    expect(calls.some(({ name }) => name === 'auditSearch')).toBe(false)
  })

  it('takes a vector as JSON, from a file, and from stdin', async () => {
    const path = join(folder.path, 'vector.json')
    writeFileSync(path, '[1, 2.5]')
    for (const [vector, stdin] of [
      ['[1,2.5]', ''],
      [path, ''],
      ['-', '[1,\n2.5]'],
    ] as const) {
      const { engine, last } = fakeEngine()
      await run(['search', 'docs', '--vector', vector, '-k', '3'], { engine, stdin })
      expect(last('search')).toMatchObject({ vector: Float32Array.of(1, 2.5), k: 3 })
    }
    const absent = await run(['search', 'docs', '--vector', '/nowhere.json'], {
      engine: fakeEngine().engine,
    })
    expect(absent.code).toBe(21)
  })

  it('prints CSV and JSON lines', async () => {
    const { engine } = fakeEngine()
    const csv = await run(['search', 'docs', '--text', 'x', '--format', 'csv'], { engine })
    expect(csv.stdout).toBe('id,score,distance,payload\na,0.5,0.5,"{""title"":""x""}"\n')
    const lines = await run(['search', 'docs', '--text', 'x', '--format', 'jsonl'], { engine })
    expect(jsonLines(lines.stdout)).toEqual([
      { id: 'a', score: 0.5, distance: 0.5, payload: { title: 'x' } },
    ])
  })

  it('reads a filter from a file', async () => {
    const path = join(folder.path, 'filter.json')
    writeFileSync(path, '{"must":[]}')
    const { engine, last } = fakeEngine()
    await run(['search', 'docs', '--text', 'x', '--filter', `@${path}`], { engine })
    expect(last('search').filter).toEqual(new Map([['must', []]]))
  })
})

describe('search by more than a vector or words', () => {
  const asked = async (...argv: readonly string[]) => {
    const { engine, last } = fakeEngine()
    const ran = await run(['search', 'docs', ...argv], { engine })
    expect(ran.stderr).toBe('')
    return last('query')
  }

  it('asks for what the options say', async () => {
    const recommend = { positive: ['a', 'b'], negative: ['c'], strategy: 'best_score' }
    const like = ['--like', 'a', '--like', 'b', '--unlike', 'c', '--strategy', 'best_score']
    expect(await asked(...like)).toMatchObject({ query: { recommend } })
    const order = await asked('--order-by', 'n', '--descending', '--start-from', '-2.5')
    expect(order.query).toEqual({ orderBy: { key: 'n', direction: 'desc', startFrom: -2.5 } })
    expect(await asked('--sample', '7', '--seed', '3')).toMatchObject({
      query: { sample: { seed: 3 } },
      k: 7,
    })
    expect(await asked('--id', 'a', '--mmr', '.25', '--candidates', '40')).toMatchObject({
      query: { id: 'a', mmr: { diversity: 0.25, candidates: 40 } },
    })
    const shape = ['--offset', '5', '--score-threshold', '-1e-3', '-k', '2', '--filter', '{}']
    expect(await asked('--text', 'x', ...shape)).toMatchObject({
      query: { text: 'x' },
      ...{ offset: 5, scoreThreshold: -0.001, k: 2, filter: new Map() },
    })
    expect(await asked('--text', 'x', '--group-by', 'g', '--group-size', '2')).toMatchObject({
      groupBy: 'g',
      groupSize: 2,
    })
  })

  it('takes fields of a text along, however the search is asked', async () => {
    const words = ['--text', '"x y" z*', '--text-field', 't^2', '--text-field', 'u']
    const text = { query: '"x y" z*', fields: ['t^2', 'u'] }
    const { engine, last } = fakeEngine()
    await run(['search', 'docs', ...words], { engine, env: { AKIDB_AUDIT_QUERIES: 'full' } })
    expect(last('search')).toMatchObject({ text })
    expect(JSON.parse(String(last('auditSearch')['query']))).toMatchObject({ text })
    expect(await asked(...words, '--offset', '1')).toMatchObject({ query: { text } })
    expect(await asked(...words, '--vector', '[1,0]', '--offset', '1')).toMatchObject({
      prefetch: [{ query: { vector: Float32Array.of(1, 0) } }, { query: { text } }],
    })
  })

  it('makes a tree of a hybrid search', async () => {
    const hybrid = [
      '--vector',
      '[1,0]',
      '--text',
      'x',
      '--fusion',
      'dbsf',
      '--vector-weight',
      '.25',
    ]
    expect(await asked(...hybrid, '-k', '30', '--offset', '10')).toMatchObject({
      prefetch: [
        { query: { vector: Float32Array.of(1, 0) }, k: 200 },
        { query: { text: 'x' }, k: 200 },
      ],
      query: { fusion: { kind: 'dbsf', weights: [0.25, 0.75] } },
      ...{ k: 30, offset: 10 },
    })
    const { engine, last } = fakeEngine()
    await run(['search', 'docs', ...hybrid], { engine })
    expect(last('search')).toMatchObject({ fusion: { kind: 'dbsf', vectorWeight: 0.25 } })
  })

  it('reads a whole query, which options override', async () => {
    const { parseQuery } = await import('../../src/db/query/query-json.ts')
    const path = join(folder.path, 'query.json')
    writeFileSync(path, '{"query":{"text":"x"},"k":3,"exact":true,"withPayload":false}')
    for (const query of [
      `@${path}`,
      '{"query":{"text":"x"},"k":3,"exact":true,"with_payload":false}',
    ]) {
      const { engine, last } = fakeEngine({ engine: { parseQuery } })
      await run(['search', 'docs', '--query', query, '--as-of', '2'], { engine })
      expect(last('query')).toMatchObject({
        ...{ query: { text: 'x' }, k: 3, exact: true, withPayload: false, asOf: '2' },
      })
      await run(['search', 'docs', '--query', query, '-k', '9'], { engine })
      expect(last('query')).toMatchObject({ k: 9 })
    }
  })

  it('prints groups in every format', async () => {
    const hits = [{ id: 'a', score: 0.5, payload: payload({ g: 'x' }) }]
    const groups = [{ value: 'x', hits }]
    const plan = { kind: 'groups', ranking: { kind: 'text', segments: [1] } }
    const query = async () => ({ hits, groups, plan, stateRoot: ROOT })
    const { engine } = fakeEngine({ collection: { query } })
    const shown = async (...argv: readonly string[]) =>
      (await run(['search', 'docs', '--text', 'y', '--group-by', 'g', ...argv], { engine })).stdout
    expect(await shown()).toMatch(/# {2}GROUP {2}ID.*\n1 {2}x {6}a/)
    expect(await shown('--format', 'csv')).toBe(
      'group,id,score,distance,payload\nx,a,0.5,,"{""g"":""x""}"\n',
    )
    expect(jsonLines(await shown('--format', 'jsonl'))).toEqual([
      { group: 'x', id: 'a', score: 0.5, payload: { g: 'x' } },
    ])
    expect(jsonLines(await shown('--json'))[0]).toMatchObject({
      groups: [{ value: 'x', ids: ['a'] }],
      plan: { kind: 'groups', ranking: { kind: 'text' } },
    })
    expect(await shown('--json')).not.toContain('segments')
  })
})

describe('count and facet', () => {
  it('print what they found', async () => {
    const values = [{ value: 'fi', count: 3 }]
    const facet = { key: 'lang', values, distinct: 1, count: 4, stateRoot: ROOT }
    const { engine, last } = fakeEngine({
      collection: {
        count: async () => ({ count: 4, stateRoot: ROOT }),
        facet: async () => facet,
      },
    })
    const filter = ['--filter', '{"a":1}', '--as-of', '2']
    const counted = await run(['count', 'docs', ...filter, '--json'], { engine })
    expect(jsonLines(counted.stdout)).toEqual([
      { type: 'count', version: 1, collection: 'docs', stateRoot: ROOT, count: 4 },
    ])
    expect(last('count')).toMatchObject({ filter: new Map([['a', 1]]), asOf: '2' })
    expect((await run(['count', 'docs'], { engine })).stdout).toMatch(/^4 records, state abab/)
    const found = await run(['facet', 'docs', 'lang', '--limit', '5', ...filter, '--json'], {
      engine,
    })
    expect(jsonLines(found.stdout)).toEqual([
      { type: 'facet', version: 1, collection: 'docs', ...facet },
    ])
    expect(last('facet')).toMatchObject({ key: 'lang', limit: 5, asOf: '2' })
    const table = (await run(['facet', 'docs', 'lang'], { engine })).stdout
    expect(table).toMatch(/RECORDS {2}VALUE\n {6}3 {2}fi\n1 different value in 4 records/)
  })
})
