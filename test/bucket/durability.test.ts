import { type ChildProcess, execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, it, vi } from 'vitest'
import { initStore, openStore } from '../../src/index.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { AKIDB } from '../support/serve-process.ts'
import { tempFolder } from '../support/temp-store.ts'
import { idsAt, OK, outages, serveLocal, statusAt, UNTIL } from './local-serve.ts'
import { record, twoMachines } from './machines.ts'

const TIMEOUT_MS = 60_000

describeMinio('single writes acknowledged on the local disk', () => {
  const { proxy, through } = minioScene({ plain: ['plain'] })
  const children: ChildProcess[] = []
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })

  const { cut, heal } = outages(proxy)

  it(
    'goes on while the bucket is away, and sends when it is back',
    async () => {
      const [a, b] = await twoMachines(through)
      const store = await openStore({ ...a.at, mode: 'write', durability: 'local' })
      const docs = await store.collection('docs')
      await docs.upsert([record('sent', 1)])
      await vi.waitFor(async () => expect(await store.unsent()).toMatchObject({ rows: 0 }), UNTIL)
      expect(await idsAt(b)).toEqual(['sent'])
      cut()
      const startMs = Date.now()
      await docs.upsert([record('x', 2), record('y', 3)])
      await (await store.collection('docs')).upsert([record('z', 4)])
      const unsent = await store.unsent()
      expect(unsent?.rows).toBe(3)
      expect(unsent?.sinceMs).toBeGreaterThanOrEqual(startMs)
      heal()
      await vi.waitFor(async () => expect(await store.unsent()).toMatchObject({ rows: 0 }), UNTIL)
      expect(await idsAt(b)).toEqual(['sent', 'x', 'y', 'z'])
      await store.close()
      expect(await readdir(join(a.stateFolder, 'outbox'), { recursive: true })).not.toContainEqual(
        expect.stringMatching(/\d{20}/),
      )
      const reader = await b.open('read')
      expect((await reader.status()).walRows).toBe(0)
      expect((await reader.check({ readData: true })).problems).toEqual([])
    },
    TIMEOUT_MS,
  )

  it(
    'is for stores in a bucket',
    async () => {
      const folder = await tempFolder()
      await initStore({ url: folder })
      const opening = openStore({ url: folder, mode: 'write', durability: 'local' })
      await expect(opening).rejects.toMatchObject({ code: 'USAGE' })
      const args = ['--store', folder, '--json', 'serve', '--durability', 'local']
      const failed = await promisify(execFile)(AKIDB, args).catch((error: unknown) => error)
      expect(failed).toMatchObject({ code: 2, stderr: expect.stringContaining('bucket') })
    },
    TIMEOUT_MS,
  )

  it(
    'has every answered row after an outage, kill -9 and a new start',
    async () => {
      const [a, b] = await twoMachines(through)
      const first = await serveLocal(a, children)
      await first.send('sent')
      cut()
      const startMs = Date.now()
      expect(await first.upsert(['x', 'y'])).toEqual(OK)
      expect(await first.upsert(['z'])).toEqual(OK)
      expect(await first.atRisk()).toBe(3)
      expect(await first.end('SIGKILL')).toBe('SIGKILL')
      heal()
      const status = await statusAt(a)
      expect(status).toMatchObject({ rowsAtRisk: 3, unsentFiles: [] })
      expect(Date.parse(String(status.rowsAtRiskSince))).toBeGreaterThanOrEqual(startMs)
      expect(await idsAt(b)).toEqual(['sent'])
      const next = await serveLocal(a, children)
      expect(await idsAt(b)).toEqual(['sent', 'x', 'y', 'z'])
      expect(await next.upsert(['last'])).toEqual(OK)
      expect(await next.end('SIGTERM')).toBe(0)
      expect(await idsAt(b)).toEqual(['last', 'sent', 'x', 'y', 'z'])
      expect(await statusAt(a)).toMatchObject({
        ...{ rowsAtRisk: 0, rowsAtRiskSince: null, walRows: 0, unsentFiles: [] },
      })
    },
    TIMEOUT_MS,
  )

  it(
    'names the file with rows that another machine came before',
    async () => {
      const [a, b] = await twoMachines(through)
      const first = await serveLocal(a, children)
      await first.send('before')
      cut()
      expect(await first.upsert(['x'])).toEqual(OK)
      await first.end('SIGKILL')
      heal()
      const other = await b.open()
      await (await other.collection('docs')).upsert([record('x', 9)])
      await other.close()
      const next = await serveLocal(a, children)
      expect(await idsAt(b)).toEqual(['before', 'x'])
      await next.end('SIGTERM')
      const { unsentFiles, rowsAtRisk } = await statusAt(a)
      expect(rowsAtRisk).toBe(0)
      expect(unsentFiles).toEqual([
        expect.stringMatching(/^unsent\/docs\/\d+-[0-9a-f]{16}\.jsonl$/),
      ])
    },
    TIMEOUT_MS,
  )
})
