import { describe, expect, it } from 'vitest'
import { progressText } from '../../src/cli/progress.ts'
import type { OnProgress } from '../../src/db/api/api.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { fakeEngine } from './support/fake-engine.ts'
import { jsonLines, run } from './support/run.ts'

describe('progress', () => {
  const work = (during: (onProgress: OnProgress) => void) =>
    fakeEngine({
      store: {
        check: async ({ onProgress } = {}) => {
          during(onProgress ?? (() => undefined))
          return { ok: true, problems: [], blobs: 0, bytes: 0 }
        },
      },
    }).engine

  it('is a start line and a summary without a terminal', async () => {
    const engine = work((onProgress) => onProgress({ stage: 'x', done: 7, unit: 'blobs' }))
    const ran = await run(['check'], { engine })
    expect(ran.stderr).toMatch(/^akidb: check: started\nakidb: check: done, 7 blobs, in \d+ ms\n$/)
  })

  it('says where nothing is changed', async () => {
    const gc = { manifests: 0, blobs: 0, bytes: 0, kept: 1, logPieces: 0 }
    const { engine } = fakeEngine({ store: { gc: async () => gc } })
    const ran = await run(['gc', '-n'], { engine })
    expect(ran.stderr).toMatch(/^akidb: gc -n: started\nakidb: gc -n: done in \d+ ms\n$/)
    expect((await run(['gc'], { engine })).stderr).toContain('akidb: gc: started')
  })

  it('says that work broke off, and never that it is done', async () => {
    const engine = work((onProgress) => {
      onProgress({ stage: 'x', done: 7, unit: 'blobs' })
      throw new AkidbError('NO_SPACE', 'the disk is full')
    })
    const ran = await run(['check'], { engine })
    expect(ran.code).toBe(27)
    expect(ran.stderr).toMatch(/\nakidb: check: broke off at x, 7 blobs, after \d+ ms\n/)
    expect(ran.stderr).not.toContain('done')
  })

  it('is a bar on a terminal, drawn at once and at most ten times a second', async () => {
    let ms = 0
    const engine = work((onProgress) => {
      for (let i = 0; i < 1000; i++) {
        ms += 1
        onProgress({ stage: 'reading', done: i, total: 1000, unit: 'rows', item: 'a\u001b[2Jb' })
      }
    })
    const options = { engine, stderrTerminal: true, now: () => ms }
    const ran = await run(['check'], options)
    const draws = ran.stderr.split('\u001b[2K').length
    expect(ran.stderr.startsWith('\r\u001b[2Kcheck: started')).toBe(true)
    expect(draws).toBeGreaterThan(8)
    expect(draws).toBeLessThan(15)
    expect(ran.stderr).not.toContain('\u001b[2J')
    expect(ran.stderr.endsWith('\r\u001b[2K')).toBe(true)
  })

  it('makes way for warnings', async () => {
    let warn: (warning: { code: string; message: string }) => void = () => undefined
    const { engine } = fakeEngine({
      store: {
        check: async () => {
          warn({ code: 'TORN', message: 'torn' })
          return { ok: true, problems: [], blobs: 0, bytes: 0 }
        },
      },
    })
    const openStore: typeof engine.openStore = async (options) => {
      warn = options.onWarning ?? warn
      return engine.openStore(options)
    }
    const ran = await run(['check'], { engine: { ...engine, openStore }, stderrTerminal: true })
    expect(ran.stderr).toContain('\r\u001b[2Kakidb: warning: torn\n')
  })

  it('knows rate and rest after a while', () => {
    const points = Array.from({ length: 11 }, (_, i) => ({
      ms: i * 1000,
      done: i * 100,
      stage: 'r',
    }))
    const textAt = (done: number) => {
      const latest = { stage: 'r', done, total: 2000, unit: 'rows' } as const
      return progressText({ label: 'check', latest, points, elapsedMs: 10_000 })
    }
    expect(textAt(1_000)).toBe('check: r, 1,000 rows of 2,000 rows (50%), 100 rows/s, 10.0 s left')
    expect(textAt(2_000)).toBe(
      'check: r, 2,000 rows of 2,000 rows (100%), finishing, 10.0 s so far',
    )
  })

  it('promises no end while it knows no rate', () => {
    const latest = { stage: 'check', done: 1, total: 2, unit: 'bytes' } as const
    const text = progressText({ label: 'check', latest, points: [], elapsedMs: 5 })
    expect(text).toBe('check: 1 B of 2 B (50%)')
  })

  it('is JSON where that was asked for, and silent for short work under --json', async () => {
    const engine = work(() => undefined)
    const asked = await run(['check', '--progress', 'json'], { engine })
    expect(jsonLines(asked.stderr).map(({ type, event }) => [type, event])).toEqual([
      ['progress', 'start'],
      ['progress', 'finish'],
    ])
    expect((await run(['check', '--json'], { engine })).stderr).toBe('')
    expect((await run(['check'], { engine, env: { AKIDB_PROGRESS: 'none' } })).stderr).toBe('')
  })
})
