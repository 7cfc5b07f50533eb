import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Engine } from '../../src/cli/engine.ts'
import type { OpenOptions } from '../../src/db/api/api.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { fakeEngine, INFO, ROOT } from './support/fake-engine.ts'
import { jsonLines, run, temporaryFolder } from './support/run.ts'

const folder = temporaryFolder()
afterAll(() => folder.remove())

const gcDone = { manifests: 1, blobs: 2, logPieces: 0, bytes: 3000, kept: 4 }
const gcEngine = () => fakeEngine({ store: { gc: async () => gcDone } })

describe('priority', () => {
  it('is lowered for bulk work, and for nothing that somebody waits for', async () => {
    const { engine } = fakeEngine({
      collection: { buildIndex: async () => ({ segments: 1, elapsedMs: 2 }) },
    })
    expect((await run(['gc'], { engine: gcEngine().engine })).lowered).toBe(true)
    expect((await run(['index', 'build', 'docs'], { engine })).lowered).toBe(true)
    expect((await run(['search', 'docs', '--text', 'x'], { engine })).lowered).toBe(false)
  })
})

describe('index build', () => {
  it('says so where there was nothing to do, and how to do it all the same', async () => {
    const built = async (segments: number): Promise<string> => {
      const { engine } = fakeEngine({
        collection: { buildIndex: async () => ({ segments, elapsedMs: 2 }) },
      })
      return (await run(['index', 'build', 'docs'], { engine })).stdout
    }
    expect(await built(0)).toBe('docs: nothing to build; --again builds all of it anew\n')
    expect(await built(2)).toContain('docs: built 2 segments in ')
  })
})

describe('an outage of a bucket', () => {
  it('is noted on stderr, not with -q, and stdout stays as it is', async () => {
    const outage = async (...options: readonly string[]) => {
      const openStore = async ({ s3 }: OpenOptions) => {
        s3?.onOutage?.('no answer; it is tried again for another 110 s')
        return gcEngine().engine.openStore({ url: '', mode: 'write' })
      }
      const { engine } = fakeEngine({ engine: { openStore: openStore as Engine['openStore'] } })
      return await run(['gc', '--store', 's3://b/p', ...options], { engine })
    }
    expect((await outage()).stderr).toContain('akidb: note: no answer; it is tried again')
    expect(await outage('-q')).toMatchObject({ code: 0, stdout: '', stderr: '' })
    const { stdout, stderr } = await outage('--json')
    expect(jsonLines(stderr)).toMatchObject([{ type: 'note', code: 'RETRYING' }])
    expect(jsonLines(stdout)).toMatchObject([{ type: 'gc' }])
  })
})

describe('--json', () => {
  it('prints one document with the path of the command as its type', async () => {
    const ran = await run(['gc', '--json'], { engine: gcEngine().engine })
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    expect(ran.stdout).toBe(
      '{"type":"gc","version":1,"manifests":1,"blobs":2,"logPieces":0,"bytes":3000,"kept":4}\n',
    )
  })

  it('joins the words of a command by dots', async () => {
    const { engine } = fakeEngine({
      collection: { buildIndex: async () => ({ segments: 1, elapsedMs: 2 }) },
    })
    const ran = await run(['index', 'build', 'docs', '--json'], { engine })
    expect(jsonLines(ran.stdout)).toEqual([
      { type: 'index.build', version: 1, collection: 'docs', segments: 1, elapsedMs: 2 },
    ])
  })

  it('prints the search document of the contract', async () => {
    const { engine } = fakeEngine()
    const ran = await run(['search', 'docs', '--text', 'x', '--json'], { engine })
    const [document] = jsonLines(ran.stdout)
    expect(Object.keys(document ?? {})).toEqual([
      'type',
      'version',
      'collection',
      'stateRoot',
      'k',
      'hits',
      'plan',
      'elapsedMs',
    ])
    expect(document).toMatchObject({
      k: 10,
      hits: [{ id: 'a', score: 0.5, payload: { title: 'x' } }],
      plan: { kind: 'scan' },
    })
    const explained = await run(['search', 'docs', '--text', 'x', '--json', '--explain'], {
      engine,
    })
    expect(jsonLines(explained.stdout)[0]?.plan).toEqual({ kind: 'scan', segments: [{ rows: 2 }] })
  })

  it('prints records one a line, wide integers exact', async () => {
    const { engine } = fakeEngine()
    const ran = await run(['get', 'docs', 'a', 'b', '--json'], { engine })
    expect(jsonLines(ran.stdout).map(({ type, id }) => [type, id])).toEqual([
      ['get', 'a'],
      ['get', 'b'],
    ])
    expect(ran.stdout).toContain('"wide":1152921504606846976')
    expect(ran.stdout).toContain('"file":"a.csv"')
  })

  it('prints warnings and notes as objects on stderr', async () => {
    const { engine } = fakeEngine({
      engine: {
        openStore: async ({ onWarning }) => {
          onWarning?.({ code: 'TORN', message: 'a torn entry was cut' })
          throw new AkidbError('LOCKED', 'held')
        },
      },
    })
    const ran = await run(['list', '--json'], { engine })
    expect(jsonLines(ran.stderr)).toEqual([
      { type: 'warning', version: 1, code: 'TORN', message: 'a torn entry was cut' },
      { type: 'error', version: 1, code: 'LOCKED', exit: 22, message: 'held', details: {} },
    ])
  })
})

describe('search --queries', () => {
  const queriesEngine = (columns: object = { vectorColumn: 'embedding', idColumn: 'qid' }) =>
    fakeEngine({
      engine: {
        openQueries: async () => ({
          ...columns,
          rows: (async function* () {
            yield { query: 'q1', vector: Float32Array.of(1, 0), text: 'one' }
            yield { query: 'q2', vector: Float32Array.of(0, 1), text: 'two' }
          })(),
        }),
      },
    })

  it('prints exactly query, stateRoot and hits, with --json or without', async () => {
    for (const more of [[], ['--json']]) {
      const { engine, last, calls } = queriesEngine()
      const ran = await run(['search', 'docs', '--queries', 'q.jsonl', ...more], { engine })
      const lines = jsonLines(ran.stdout)
      expect(lines.map((line) => Object.keys(line))).toEqual([
        ['query', 'stateRoot', 'hits'],
        ['query', 'stateRoot', 'hits'],
      ])
      expect(lines.map(({ query }) => query)).toEqual(['q1', 'q2'])
      expect(ran.stderr).toContain('the vectors of column embedding')
      expect(last('openQueries')).toMatchObject({ path: 'q.jsonl', dimension: 2, text: true })
      expect(last('search')).not.toHaveProperty('text')
      expect(calls.filter(({ name }) => name === 'auditSearch')).toHaveLength(1)
    }
  })

  it('uses what --use says, and refuses what the file lacks', async () => {
    const both = { vectorColumn: 'v', textColumn: 'text' }
    const hybrid = queriesEngine(both)
    await run(['search', 'docs', '--queries', 'q', '--use', 'hybrid'], { engine: hybrid.engine })
    expect(hybrid.last('search')).toMatchObject({ text: 'two', vector: Float32Array.of(0, 1) })
    const fields = queriesEngine(both)
    const argv = ['search', 'docs', '--queries', 'q', '--text-field', 't^2']
    expect((await run(argv, { engine: fields.engine })).code).toBe(2)
    await run([...argv, '--use', 'text'], { engine: fields.engine })
    expect(fields.last('search')).toMatchObject({ text: { query: 'two', fields: ['t^2'] } })
    const { engine } = queriesEngine({ textColumn: 'text' })
    const ran = await run(['search', 'docs', '--queries', 'q', '--use', 'vector'], { engine })
    expect(ran).toMatchObject({ code: 2, stdout: '' })
  })
})

describe('-q', () => {
  it('silences work that went well, and its warnings, but not data', async () => {
    const { engine } = fakeEngine({
      store: { gc: async () => gcDone },
      engine: {},
    })
    expect(await run(['gc', '-q'], { engine })).toMatchObject({ code: 0, stdout: '', stderr: '' })
    const list = await run(['list', '-q'], { engine })
    expect(list.stdout).toContain('docs')
    const json = await run(['gc', '-q', '--json'], { engine })
    expect(jsonLines(json.stdout)).toHaveLength(1)
  })

  it('keeps errors, and the warnings before them', async () => {
    const { engine } = fakeEngine({
      engine: {
        openStore: async ({ onWarning }) => {
          onWarning?.({ code: 'TORN', message: 'torn' })
          throw new AkidbError('LOCKED', 'held')
        },
      },
    })
    const ran = await run(['gc', '-q'], { engine })
    expect(ran.code).toBe(22)
    expect(ran.stderr).toMatch(/warning: torn\nakidb: error: held/)
  })

  it('says what a check found', async () => {
    const problems = [{ code: 'INTEGRITY', key: 'blobs/0/ab', message: 'digest differs' }]
    const { engine } = fakeEngine({
      store: { check: async () => ({ ok: false, problems, blobs: 1, logPieces: 0, bytes: 2 }) },
    })
    const ran = await run(['check', '-q'], { engine })
    expect(ran.code).toBe(24)
    expect(ran.stdout).toContain('blobs/0/ab: digest differs')
    const json = await run(['check', '--json'], { engine })
    expect(jsonLines(json.stdout)[0]).toMatchObject({ type: 'check', ok: false, problems })
    expect(jsonLines(json.stderr)[0]).toMatchObject({ code: 'INTEGRITY', exit: 24 })
  })
})

describe('a reader that goes away', () => {
  it('is exit 0, without an error', async () => {
    const { engine } = fakeEngine()
    for (const argv of [
      ['get', 'docs', 'a', 'b', '--json'],
      ['list'],
      ['dump', 'docs', '--format', 'jsonl'],
      ['help'],
    ]) {
      const ran = await run(argv, { engine, stdoutClosesAfter: 5 })
      expect(ran, argv.join(' ')).toMatchObject({ code: 0, stdout: '', stderr: '' })
    }
  })
})

describe('signals', () => {
  const waiting = (after: () => void) =>
    fakeEngine({
      store: {
        check: async ({ signal } = {}) =>
          new Promise((_, reject) => {
            signal?.addEventListener('abort', () => reject(new Error('stopped')))
            setImmediate(after)
          }),
      },
    })

  it.each([
    ['SIGINT', 130, 'INTERRUPTED'],
    ['SIGTERM', 143, 'TERMINATED'],
  ] as const)('%s stops the work, exit %i', async (name, code, errorCode) => {
    let send: (signal: typeof name) => void = () => undefined
    const { engine, calls } = waiting(() => send(name))
    const onStart = (sender: typeof send) => {
      send = sender
    }
    const ran = await run(['check', '--progress', 'none'], { engine, onStart })
    expect(ran.code).toBe(code)
    const word = errorCode.toLowerCase()
    expect(ran.stderr).toBe(`akidb: error: ${word} (${errorCode}, exit ${code})\n`)
    expect(calls.at(-1)?.name).toBe('close')
  })

  it('a second one ends the process at once', async () => {
    let send: (signal: 'SIGINT') => void = () => undefined
    const { engine } = waiting(() => {
      send('SIGINT')
      send('SIGINT')
    })
    const onStart = (sender: typeof send) => {
      send = sender
    }
    expect((await run(['check'], { engine, onStart })).exits).toEqual([130])
  })

  it('SIGUSR2 prints the progress', async () => {
    let send: (signal: 'SIGUSR2') => void = () => undefined
    const { engine } = fakeEngine({
      store: {
        check: async ({ onProgress } = {}) => {
          onProgress?.({ stage: 'reading', done: 512, total: 1024, unit: 'bytes' })
          send('SIGUSR2')
          return { ok: true, problems: [], blobs: 0, logPieces: 0, bytes: 0 }
        },
      },
    })
    const onStart = (sender: typeof send) => {
      send = sender
    }
    const ran = await run(['check', '-q'], { engine, onStart })
    expect(ran.stderr).toContain('check: reading, 512 B of 1.0 KiB (50%)')
  })

  it('end a server regularly, exit 0', async () => {
    let send: (signal: 'SIGTERM') => void = () => undefined
    const { engine } = fakeEngine({
      engine: {
        serve: async ({ signal, onReady }) => {
          onReady({ url: 'http://127.0.0.1:8080', port: 8080 })
          return new Promise((resolve) => {
            signal?.addEventListener('abort', () => resolve({ requests: 3, elapsedMs: 5 }))
            setImmediate(() => send('SIGTERM'))
          })
        },
      },
    })
    const onStart = (sender: typeof send) => {
      send = sender
    }
    const ran = await run(['serve'], { engine, onStart })
    expect(ran).toMatchObject({ code: 0, stdout: 'listening on http://127.0.0.1:8080\n' })
  })
})

describe('--log-file', () => {
  it('appends JSON lines with mode 0640', async () => {
    const path = join(folder.path, 'akidb.log')
    await run(['gc', '--log-file', path], { engine: gcEngine().engine })
    await run(['show', 'no\u001bpe', '--log-file', path], { engine: gcEngine().engine })
    const lines = jsonLines(readFileSync(path, 'utf8'))
    expect(lines.filter(({ message }) => message === 'start')).toHaveLength(2)
    expect(lines.at(-2)).toMatchObject({ level: 'error', code: 'NOT_FOUND' })
    expect(lines.at(-1)).toMatchObject({ message: 'end', exit: 21 })
    expect(statSync(path).mode & 0o777).toBe(0o640 & ~process.umask())
    expect(readFileSync(path, 'utf8')).not.toContain('\u001b')
  })

  it('that cannot be opened is an error, not silence', async () => {
    const path = join(folder.path, 'absent/akidb.log')
    expect((await run(['list', '--log-file', path], { engine: gcEngine().engine })).code).toBe(21)
  })
})

describe('colour', () => {
  const doctor = fakeEngine({
    engine: {
      doctor: async () => ({
        ok: false,
        checks: [{ name: 'disk', status: 'fail', message: 'full', fix: 'akidb gc' }],
      }),
    },
  }).engine

  it('is there on a terminal only, and not where it was refused', async () => {
    const coloured = await run(['doctor'], { engine: doctor, stdoutTerminal: true })
    expect(coloured.stdout).toContain('\u001b[31mfail\u001b[39m')
    for (const [argv, env] of [
      [['doctor', '--no-color'], {}],
      [['doctor'], { NO_COLOR: '1' }],
      [['doctor'], { TERM: 'dumb' }],
    ] as const) {
      const plain = await run(argv, { engine: doctor, stdoutTerminal: true, env })
      expect(plain.stdout).not.toContain('\u001b')
    }
    expect((await run(['doctor'], { engine: doctor })).stdout).not.toContain('\u001b')
  })

  it('leaves the exit code of a failed doctor at 20', async () => {
    const ran = await run(['doctor', '--json'], { engine: doctor })
    expect(ran.code).toBe(20)
    expect(jsonLines(ran.stdout)[0]).toMatchObject({ type: 'doctor', ok: false })
  })
})

describe('data on a terminal', () => {
  it('has its control characters escaped, in text and in JSON', async () => {
    const info = { ...INFO, collection: 'x\u001b[2J\u009b' }
    const { engine } = fakeEngine({ store: { list: async () => [info] } })
    for (const argv of [['list'], ['list', '--json']]) {
      const ran = await run(argv, { engine, stdoutTerminal: true })
      expect(ran.stdout).not.toMatch(/(?!\n)\p{Cc}/u)
    }
    const piped = await run(['list', '--json'], { engine })
    expect(jsonLines(piped.stdout)[0]?.collections).toMatchObject([{ collection: info.collection }])
  })
})

describe('-o -', () => {
  it('sends the bytes to stdout and the result to stderr', async () => {
    const { engine } = fakeEngine({
      engine: {
        exportBundle: async ({ output }) => {
          if ('write' in output) await output.write(Buffer.from('BUNDLE'))
          return {
            path: '-',
            bytes: 6,
            headDigest: ROOT,
            stateRoots: { docs: ROOT },
            sequence: 1,
            keyId: ROOT,
          }
        },
      },
    })
    const ran = await run(['export', 'docs', '-o', '-', '--json'], { engine })
    expect(ran.stdout).toBe('BUNDLE')
    expect(jsonLines(ran.stderr)).toMatchObject([{ type: 'export', version: 1, path: '-' }])
    const terminal = await run(['export', 'docs', '-o', '-'], { engine, stdoutTerminal: true })
    expect(terminal.code).toBe(2)
  })
})
