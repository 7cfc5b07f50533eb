import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPlace } from './support/cli.ts'

const place = openPlace()
afterAll(() => place.remove())

const a = (...argv: string[]) => place.json('--store', 'a', ...argv)
const idsOf = (document: Record<string, unknown>): string[] =>
  (document.hits as { id: string }[]).map(({ id }) => id)

beforeAll(async () => {
  await a('init')
  const rows = Array.from({ length: 40 }, (_, i) => ({
    id: `r${i}`,
    vector: [1, i / 10, 0],
    text: i % 2 === 0 ? 'red fox' : 'blue whale',
    year: 2000 + (i % 7),
    splade: { [String(i % 5)]: 1 + i, '9': 0.5 },
  }))
  writeFileSync('rows.jsonl', rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  await a('ingest', 'docs', 'rows.jsonl', '--text-column', 'text', '--sparse-column', 'splade')
})

const SPARSE = JSON.stringify({ query: { sparse: { '3': 2, '9': 1 }, using: 'splade' }, k: 4 })

describe('queries on the command line', () => {
  it('go by sparse vectors, which a dump carries on', async () => {
    const wanted = ['r38', 'r33', 'r28', 'r23']
    expect(idsOf(await a('search', 'docs', '--query', SPARSE))).toEqual(wanted)
    for (const format of ['jsonl', 'csv', 'parquet']) {
      await a('dump', 'docs', '--format', format, '-o', `out.${format}`)
      await a(
        'ingest',
        format,
        `out.${format}`,
        '--text-column',
        'text',
        '--sparse-column',
        'splade',
      )
      const again = await a('search', format, '--query', SPARSE)
      expect(idsOf(again), format).toEqual(wanted)
    }
    const shown = await a('show', 'docs')
    expect(shown.schema).toMatchObject({ vectors: { splade: { kind: 'sparse' } } })
  })

  it('order, group, sample, page and say so', async () => {
    const newest = await a('search', 'docs', '--order-by', 'year', '--descending', '-k', '3')
    expect(idsOf(newest)).toEqual(['r13', 'r20', 'r27'])
    const from = ['--order-by', 'year', '--start-from', '2005', '-k', '1', '--offset', '2']
    expect(idsOf(await a('search', 'docs', ...from))).toEqual(['r26'])
    const groups = await a(
      'search',
      'docs',
      '--id',
      'r0',
      '--group-by',
      'year',
      '--group-size',
      '1',
    )
    expect(groups.groups).toHaveLength(7)
    const like = ['--like', 'r1', '--like', 'r2', '--unlike', 'r39', '--strategy', 'best_score']
    expect(idsOf(await a('search', 'docs', ...like, '-k', '2'))).toEqual(['r3', 'r0'])
    const diverse = await a('search', 'docs', '--id', 'r0', '--mmr', '1', '-k', '2')
    expect(idsOf(diverse)).toEqual(['r1', 'r39'])
  })

  it.each([
    [['search', 'docs', '--vector', '[1,2]', '--offset', '1'], 26],
    [['search', 'docs', '--query', '{"query":{"vector":[1,"x",0]}}'], 26],
    [['search', 'docs', '--query', '{"query":{}}'], 2],
    [['search', 'docs', '--query', '{"query":{"vector":[1,0,0]},"k":20000}'], 27],
    [['search', 'docs', '--query', '@deep.json'], 27],
    [['search', 'docs', '--query', '@text.json'], 27],
    [['search', 'docs', '--query', '{"query":{"sparse":{"1":1},"using":"nope"}}'], 2],
    [['search', 'docs', '--query', '@absent.json'], 21],
    [['search', 'docs', '--like', 'nobody'], 21],
    [['count', 'nope'], 21],
    [['facet', 'docs', 'year', '--filter', '{"must":7}'], 2],
    [['ingest', 'more', 'rows.jsonl', '--sparse-column', 'absent'], 2],
    [['ingest', 'docs', 'rows.jsonl', '--sparse-column', 'year', '--again'], 26],
    [['ingest', 'years', 'rows.jsonl', '--sparse-column', 'year'], 20],
  ])('%j is exit %i', async (argv, code) => {
    writeFileSync('deep.json', `${'{"query":{"text":"x"},"prefetch":['.repeat(1_000)}`)
    writeFileSync('text.json', JSON.stringify({ query: { text: 'x'.repeat(2 ** 20 + 1) } }))
    const ran = await place.run(['--store', 'a', ...argv])
    expect(ran.code, ran.stderr).toBe(code)
  })
})
