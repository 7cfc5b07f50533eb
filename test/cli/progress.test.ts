import { describe, expect, it } from 'vitest'
import type { OnProgress } from '../../src/db/api.ts'
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
    expect(ran.stderr).toMatch(/^akidb: check: started.*\nakidb: check: x, 7 blobs, done\n$/)
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

  it('knows rate and rest after a while', async () => {
    let ms = 0
    const engine = work((onProgress) => {
      for (let i = 0; i <= 10; i++) {
        ms = i * 1000
        onProgress({ stage: 'r', done: i * 100, total: 2000, unit: 'rows' })
      }
    })
    const ran = await run(['check', '--progress', 'plain'], { engine, now: () => ms })
    expect(ran.stderr).toContain('r, 1,000 rows of 2,000 rows (50%), 100 rows/s, 10.0 s left, done')
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
