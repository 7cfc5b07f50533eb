import { describe, expect, it } from 'vitest'
import { loadEngine } from '../../src/cli/load-engine.ts'
import { fakeEngine } from './support/fake-engine.ts'
import { jsonLines, run } from './support/run.ts'

describe('called wrongly', () => {
  it('takes an address of a bucket with a slash too few for no folder', async () => {
    const ran = await run(['--store', 's3:/b/p', 'status'], { engine: await loadEngine() })
    expect(ran).toMatchObject({ code: 2, stdout: '' })
    expect(ran.stderr).toContain('Write s3://bucket/prefix')
  })

  it('is shown the help of the command that was called', async () => {
    const helpOf = async (...argv: readonly string[]) => (await run(argv)).stderr
    expect(await helpOf('index', 'status')).toContain('See `akidb index status --help`')
    const dropHelp = 'See `akidb snapshot drop --help`'
    expect(await helpOf('snapshot', 'drop', '--bogus')).toContain(dropHelp)
  })

  const wrong: readonly (readonly string[])[] = [
    [],
    ['serch'],
    ['list', '--bogus'],
    ['list', 'extra'],
    ['get', 'docs'],
    ['index'],
    ['index', 'bild', 'docs'],
    ['search', 'docs'],
    ['search', 'docs', '--text', 'a', '--id', 'b'],
    ['search', 'docs', '--text', 'a', '-k', 'ten'],
    ['search', 'docs', '--text', 'a', '--use', 'text'],
    ['search', 'docs', '--text', 'a', '--filter', '{'],
    ['search', 'docs', '--vector', '[]'],
    ['search', 'docs', '--sample', '5', '--text', 'a'],
    ['search', 'docs', '--order-by', 'n', '--like', 'a'],
    ['search', 'docs', '--text', 'a', '--mmr', '0.5'],
    ['search', 'docs', '--id', 'a', '--mmr', '1.5'],
    ['search', 'docs', '--id', 'a', '--mmr', 'NaN'],
    ['search', 'docs', '--id', 'a', '--candidates', '50'],
    ['search', 'docs', '--text', 'a', '--fusion', 'rrf'],
    ['search', 'docs', '--vector', '[1]', '--text', 'a', '--fusion', 'max'],
    ['search', 'docs', '--vector', '[1]', '--text', 'a', '--vector-weight', '0.5'],
    ['search', 'docs', '--text', 'a', '--group-size', '2'],
    ['search', 'docs', '--text', 'a', '--seed', '2'],
    ['search', 'docs', '--text', 'a', '--descending'],
    ['search', 'docs', '--text', 'a', '--score-threshold', 'high'],
    ['search', 'docs', '--queries', 'q.jsonl', '--offset', '3'],
    ['search', 'docs', '--query', '{'],
    ['search', 'docs', '--id', 'a', '--text-field', 't'],
    ['count'],
    ['count', 'docs', '--filter', '{'],
    ['facet', 'docs'],
    ['create', 'docs', '--metric', 'cosine'],
    ['create', 'docs', '--quantization', 'pq'],
    ['create', 'docs', '--dimension', '768', '--quantization', 'small'],
    ['create', 'docs', '--dimension', '2', '--text-positions'],
    ['create', 'docs', '--dimension', '2', '--metric', 'manhattan'],
    ['doctor', '--set-up', 'rules.json'],
    ['doctor', '-n'],
    ['doctor', '--target', 's3://bucket', '-n'],
    ['doctor', '--target', 's3://bucket', '--replica-credentials', 'file'],
    ['adopt'],
    ['adopt', '--moved', '--copy'],
    ['delete', 'docs'],
    ['delete', 'docs', 'a', '--source', 'ab'],
    ['delete', 'docs', '--source', 'ab'],
    ['export', 'docs'],
    ['gc', '--keep', '7'],
    ['list', '--threads', '0'],
    ['list', '--threads', '33'],
    ['list', '--progress', 'dots'],
    ['list', '--lock-wait', 'soon'],
    ['serve', '--listen', '8080'],
    ['serve', '--listen', '0.0.0.0:80', '--offline'],
    ['completion', 'tcsh'],
    ['help', 'nonsense'],
    ['audit', 'log', '--since', '2026-07-01'],
    ['audit', 'prove', 'x', '-o', '-'],
    ['ingest', 'docs', 'a.csv', '--max-rejects', '101%'],
    ['ingest', 'docs', 'a.csv', '--types', 'zip'],
    ['ingest', 'docs', 'a.csv', '--on-bad-row', 'ask'],
  ]
  it('is exit 27 over a named limit, naming it', async () => {
    const over = [
      ['search', 'docs', '--text', 'a', '-k', '10001'],
      ['search', 'docs', '--sample', '10001'],
      ['search', 'docs', '--id', 'a', '--mmr', '1', '--candidates', '1001'],
      ['facet', 'docs', 'lang', '--limit', '10001'],
      ['create', 'docs', '--dimension', '16385'],
    ]
    for (const argv of over) {
      const ran = await run([...argv, '--json'], { engine: fakeEngine().engine })
      expect(ran).toMatchObject({ code: 27, stdout: '' })
      expect(JSON.parse(ran.stderr)).toMatchObject({
        code: 'LIMIT',
        details: { max: expect.any(Number) },
      })
    }
  })

  it('is exit 26 for what can be no query', async () => {
    for (const argv of [
      ['search', 'docs', '--text', 'a', '-k', '0'],
      ['facet', 'docs', 'lang', '--limit', '0'],
      ['search', 'docs', '--vector', '[1e39]'],
      ['search', 'docs', '--vector', '[1,"2"]'],
    ]) {
      const ran = await run(argv, { engine: fakeEngine().engine })
      expect(ran.stderr).toMatch(/^akidb: error: .*\(BAD_INPUT, exit 26\)$/m)
      expect(ran).toMatchObject({ code: 26, stdout: '' })
    }
  })

  for (const argv of wrong) {
    it(`is exit 2 for "${argv.join(' ')}"`, async () => {
      const ran = await run(argv, { engine: fakeEngine().engine })
      expect(ran.stderr).toMatch(/^akidb: error: .*\(USAGE, exit 2\)$/m)
      expect(ran).toMatchObject({ code: 2, stdout: '' })
    })
  }

  it('says what is written where something else stands', async () => {
    for (const [argv, hint] of [
      [['count', 'docs', '--filter', 'site = 3'], 'A filter is JSON, as {"lang":"fi"}'],
      [['search', 'docs', '--vector', '[1,]'], 'A vector is JSON, as [0.5, 1.25]'],
      [['search', 'docs', '--query', 'heat'], 'A query is JSON'],
    ] as const) {
      const ran = await run([...argv], { engine: fakeEngine().engine })
      expect(ran.stderr).toContain(`akidb: hint: ${hint}`)
    }
  })

  it('suggests the command that was meant', async () => {
    const ran = await run(['serch', 'docs'])
    expect(ran.stderr).toContain('Did you mean search?')
  })

  it('suggests the option that was meant, global ones too', async () => {
    expect((await run(['search', 'docs', '--vectr', 'x'])).stderr).toContain('--vector')
    expect((await run(['list', '--no-colour'])).stderr).toContain('Did you mean --no-color?')
  })

  it('suggests the topic that was meant', async () => {
    expect((await run(['help', 'filter'])).stderr).toContain('Did you mean filters?')
  })

  it('knows no option of features that are absent', async () => {
    for (const argv of [
      ['search', 'docs', '--text', 'a', '--receipt', 'r'],
      ['export', 'docs', '-o', 'x', '--volume-size', '1MiB'],
      ['status', '--watch'],
      ['audit', 'cosign', 'c'],
      ['worm', 'status'],
      ['keys', 'rotate'],
    ]) {
      expect((await run(argv, { engine: fakeEngine().engine })).code, argv.join(' ')).toBe(2)
    }
  })
})

describe('errors', () => {
  it('are one object on stderr with --json, before or after the command', async () => {
    const { engine } = fakeEngine()
    for (const argv of [
      ['--json', 'show', 'nope'],
      ['show', 'nope', '--json'],
    ]) {
      const ran = await run(argv, { engine })
      expect(ran).toMatchObject({ code: 21, stdout: '' })
      expect(jsonLines(ran.stderr)).toEqual([
        {
          type: 'error',
          version: 1,
          code: 'NOT_FOUND',
          exit: 21,
          message: 'there is no collection "nope"',
          details: {},
        },
      ])
    }
  })

  it('are objects for usage errors too', async () => {
    const [error] = jsonLines((await run(['list', '--bogus', '--json'])).stderr)
    expect(error).toMatchObject({ type: 'error', version: 1, code: 'USAGE', exit: 2, details: {} })
    expect(error?.hint).toContain('akidb list --help')
  })

  it('that nobody expected are exit 1 without a stack, and with one under -v', async () => {
    const engine = fakeEngine({
      store: {
        list: async () => {
          throw new TypeError('boom')
        },
      },
    }).engine
    const plain = await run(['list'], { engine })
    expect(plain.code).toBe(1)
    expect(plain.stderr).toContain('akidb: error: boom (INTERNAL, exit 1)')
    expect(plain.stderr).not.toMatch(/^ +at /m)
    const verbose = await run(['list', '-v'], { engine })
    expect(verbose.stderr).toMatch(/TypeError: boom\n +at /)
  })

  it('show control characters of data as escapes', async () => {
    const ran = await run(['show', 'a\u001b[2Jb\nakidb: forged\u202e'], {
      engine: fakeEngine().engine,
    })
    expect(ran.stderr).toContain('a\\u001b[2Jb\\nakidb: forged\\u202e')
    expect(ran.stderr.split('\n')).toHaveLength(2)
  })
})

describe('options', () => {
  it('take one value each time and swallow nothing', async () => {
    const { engine, last } = fakeEngine({ engine: { ingest: async () => ingested } })
    const argv = [
      'ingest',
      'docs',
      '--text-column',
      'title',
      'a.csv',
      '--text-column',
      'text',
      'b.csv',
    ]
    expect((await run(argv, { engine })).code).toBe(0)
    expect(last('ingest')).toMatchObject({
      inputs: ['a.csv', 'b.csv'],
      textColumns: ['title', 'text'],
    })
  })

  it('reach the library before and after the command', async () => {
    const { engine, last } = fakeEngine()
    await run(['--store', '/a', 'list', '--state', '/b', '--lock-wait', '3s', '--reason', 'why'], {
      engine,
    })
    expect(last('openStore')).toMatchObject({
      url: '/a',
      state: '/b',
      lockWaitMs: 3000,
      reason: 'why',
      mode: 'read',
    })
  })

  it('end at --', async () => {
    const { engine, calls } = fakeEngine()
    const ran = await run(['get', 'docs', '--', '--json'], { engine })
    expect(ran.code).toBe(21)
    expect(calls.find(({ name }) => name === 'get')?.request).toEqual({})
    expect(ran.stderr).toContain('has no record "--json"')
  })
})

const ingested = {
  collection: 'docs',
  store: '/store',
  created: false,
  files: [],
  inserted: 0,
  updated: 0,
  rejected: 0,
  warnings: [],
  manifestVersion: 1,
  stateRoot: 'ab',
  elapsedMs: 1,
  partial: false,
}
