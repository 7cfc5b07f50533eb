import { type ChildProcess, spawnSync } from 'node:child_process'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { cp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { exportBundle, importBundle, openStore, statusAway } from '../../src/index.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { AKIDB, startServe } from '../support/serve-process.ts'
import { tempFolder } from '../support/temp-store.ts'
import { noPassphrase } from '../transfer/sites.ts'
import {
  commandAt,
  envOf,
  idsAt,
  type LocalServer,
  localServer,
  OK,
  outages,
  serveLocal,
  statusAt,
} from './local-serve.ts'
import { type Machine, newMachine, newPlace, record } from './machines.ts'

// What becomes of rows that are acknowledged on the local disk when something else goes wrong.

const TIMEOUT_MS = 90_000
/** With the reserve file of the state folder. */
const DISK_BYTES = 40 * 1024 * 1024

/** Whether a disk of one's own can be had without rights: user namespaces may be switched off. */
const canMount = (): boolean =>
  spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0

/** Takes all space. @returns what gives it back */
function fillDisk(path: string): () => void {
  const file = openSync(path, 'w')
  try {
    for (let bytes = 1024 * 1024; bytes > 0; bytes = Math.floor(bytes / 2)) {
      try {
        for (;;) writeSync(file, new Uint8Array(bytes))
      } catch (error) {
        expect(error).toMatchObject({ code: 'ENOSPC' })
      }
    }
  } finally {
    closeSync(file)
  }
  return () => rmSync(path)
}

describeMinio('rows at risk', () => {
  const { proxy, server, through } = minioScene({ plain: ['plain'] })
  const children: ChildProcess[] = []
  let a: Machine
  /** The bucket is never away for this one. */
  let b: Machine
  beforeEach(async () => {
    const url = newPlace()
    a = await newMachine(through, url)
    b = await newMachine(server, url)
    const store = await b.open()
    await (await store.createCollection('docs', { dimension: 4 })).upsert([record('before')])
    await store.close()
  })
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })

  const { cut, heal } = outages(proxy)
  /** A server of which one row is in the bucket, and another, `x`, at risk. */
  const serveAtRisk = async (): Promise<LocalServer> => {
    const server = await serveLocal(a, children)
    await server.send('sent')
    cut()
    expect(await server.upsert(['x'])).toEqual(OK)
    return server
  }
  /** Ids of the rows in the files of `unsent/`. */
  const keptAtA = async (): Promise<string[]> => {
    const { unsentFiles } = (await statusAt(a)) as { unsentFiles: readonly string[] }
    const texts = await Promise.all(unsentFiles.map((name) => readFile(join(a.stateFolder, name))))
    const lines = texts.flatMap((text) => text.toString('utf8').trim().split('\n'))
    return lines.map((line) => (JSON.parse(line) as { id: string }).id).sort()
  }
  const idOfDocs = async (): Promise<string> => {
    const store = await b.open('read')
    const { commit } = await store.core('docs').head()
    await store.close()
    return commit.collection
  }
  /** Drops docs and takes it again from a bundle of its own: the same collection id. */
  const dropAndImport = async (): Promise<void> => {
    const path = join(await tempFolder(), 'docs.akipkg')
    const passphrase = noPassphrase
    const output = { path, force: false }
    const at = { ...b.at, lockWaitMs: 200 }
    const id = await idOfDocs()
    await exportBundle({ ...at, collections: ['docs'], output, key: 'default', passphrase })
    const store = await openStore({ ...at, mode: 'write' })
    await store.drop('docs')
    await store.close()
    await importBundle({ ...at, input: { path }, diverge: true })
    expect(await idOfDocs()).toBe(id)
  }

  describe('of a collection that was dropped, and imported again with the same id', () => {
    it(
      'are kept, and not put on what was imported, by an owner that was killed',
      async () => {
        const first = await serveAtRisk()
        expect(await first.end('SIGKILL')).toBe('SIGKILL')
        await dropAndImport()
        const imported = await idsAt(b)
        heal()
        const next = await serveLocal(a, children)
        expect(await next.upsert(['later'])).toEqual(OK)
        expect(await next.end('SIGTERM')).toBe(0)
        expect(await idsAt(b)).toEqual([...imported, 'later'].sort())
        expect(await keptAtA()).toContain('x')
        expect(await statusAt(a)).toMatchObject({ rowsAtRisk: 0 })
      },
      TIMEOUT_MS,
    )

    it(
      'the same by an owner that lives, and goes on with what was imported',
      async () => {
        const first = await serveAtRisk()
        await dropAndImport()
        const imported = await idsAt(b)
        heal()
        await first.settled()
        expect(await first.upsert(['y'])).toEqual(OK)
        expect(await first.end('SIGTERM')).toBe(0)
        expect(await idsAt(b)).toEqual([...imported, 'y'].sort())
        expect(await keptAtA()).toContain('x')
      },
      TIMEOUT_MS,
    )
  })

  it(
    'are told by status while the bucket is away, from the state folder',
    async () => {
      const first = await serveLocal(a, children)
      await first.send('sent')
      cut()
      const startMs = Date.now()
      expect(await first.upsert(['x', 'y'])).toEqual(OK)
      const { url: store, stateHome } = a.at
      const away = await statusAway({ url: store, stateHome })
      const states = [{ state: a.stateFolder, rowsAtRisk: 2, unsentFiles: [] }]
      expect(away).toMatchObject({ store, reachable: false, states })
      expect(Date.parse(String(away.states[0]?.rowsAtRiskSince))).toBeGreaterThanOrEqual(startMs)
      expect((await statusAway({ url: `${store}-other`, stateHome })).states).toEqual([])
      expect((await statusAway({ url: store, state: a.stateFolder })).states).toEqual(away.states)
      const asked = await commandAt(a, 'status')
      expect(asked.code).toBe(25)
      expect(JSON.parse(asked.stdout)).toMatchObject({ type: 'status', ...away })
      expect(asked.stderr).toContain('UNREACHABLE')
    },
    TIMEOUT_MS,
  )

  describe('in a state folder that was restored from a backup', () => {
    const backup = async (): Promise<string> => {
      const copy = join(await tempFolder(), 'backup')
      await cp(a.stateFolder, copy, { recursive: true, filter: (path) => !path.endsWith('.sock') })
      return copy
    }
    const restore = async (copy: string): Promise<void> => {
      await rm(a.stateFolder, { recursive: true })
      await cp(copy, a.stateFolder, { recursive: true })
    }

    it(
      'go on where it has all that the bucket tells of, each once',
      async () => {
        const first = await serveAtRisk()
        const copy = await backup()
        heal()
        expect(await first.upsert(['y'])).toEqual(OK)
        await first.settled()
        await first.end('SIGKILL')
        await restore(copy)
        // The mark is as old as the rest: too much is told, never too little.
        expect(await statusAt(a)).toMatchObject({ rowsAtRisk: 1 })
        const next = await serveLocal(a, children)
        expect(await next.end('SIGTERM')).toBe(0)
        expect(await idsAt(b)).toEqual(['before', 'sent', 'x', 'y'])
        expect(await statusAt(a)).toMatchObject({ rowsAtRisk: 0, unsentFiles: [] })
      },
      TIMEOUT_MS,
    )

    it(
      'are never sent late where it is older than what it published',
      async () => {
        const first = await serveAtRisk()
        await first.end('SIGKILL')
        const copy = await backup()
        heal()
        const second = await serveLocal(a, children)
        expect(await second.upsert(['y'])).toEqual(OK)
        expect(await second.end('SIGTERM')).toBe(0)
        const store = await b.open()
        await (await store.collection('docs')).delete({ ids: ['x'] })
        await store.close()
        await restore(copy)
        await expect(serveLocal(a, children)).rejects.toThrow(/AUDIT_BROKEN.*"exit":24/)
        expect(await idsAt(b)).toEqual(['before', 'sent', 'y'])
        // What the documentation says: the old one stays, moved away, with its rows.
        const moved = `${a.stateFolder}.old`
        await rename(a.stateFolder, moved)
        expect(await commandAt(a, 'init', '--no-key')).toMatchObject({ code: 0 })
        const next = await serveLocal(a, children)
        expect(await next.upsert(['z'])).toEqual(OK)
        expect(await next.end('SIGTERM')).toBe(0)
        expect(await idsAt(b)).toEqual(['before', 'sent', 'y', 'z'])
        const old = await readdir(join(moved, 'outbox'), { recursive: true })
        expect(old.some((name) => /-\d{20}$/.test(name))).toBe(true)
      },
      TIMEOUT_MS,
    )
  })

  describe.skipIf(!canMount())('on a full disk', () => {
    it(
      'stay, while what does not fit is refused, until there is space',
      async () => {
        const home = await tempFolder()
        const machine: Machine = { ...a, at: { ...a.at, stateHome: home } }
        const first = await serveIn(home, machine)
        await first.server.send('sent')
        cut()
        expect(await first.server.upsert(['x'])).toEqual(OK)
        const free = first.fill()
        const many = Array.from({ length: 500 }, (_, i) => `refused-${i}`)
        for (let tries = 0; tries < 3; tries++) {
          expect(await first.server.upsert(many)).toEqual([507, 'NO_SPACE'])
        }
        expect(await first.server.atRisk()).toBe(1)
        free()
        expect(await first.server.upsert(['y'])).toEqual(OK)
        expect(await first.server.atRisk()).toBe(2)
        const freeAgain = first.fill()
        heal()
        await first.server.settled()
        expect(await idsAt(b)).toEqual(['before', 'sent', 'x', 'y'])
        freeAgain()
        expect(await first.server.upsert(['z'])).toEqual(OK)
        expect(await first.server.end('SIGTERM')).toBe(0)
        expect(await idsAt(b)).toEqual(['before', 'sent', 'x', 'y', 'z'])
      },
      TIMEOUT_MS,
    )
  })

  /** A server whose state folder is on a disk of its own, which only it has. */
  async function serveIn(home: string, machine: Machine) {
    const mount = `mount -t tmpfs -o size=${DISK_BYTES} none "${home}"`
    const script = `${mount} && "${AKIDB}" --store "$0" --quiet init && exec "${AKIDB}" "$@"`
    const argv = ['--store', machine.at.url, '--json', 'serve', '--listen', '127.0.0.1:0']
    const program = ['unshare', '-rm', 'sh', '-c', script, machine.at.url]
    const server = await startServe({
      ...{ store: machine.at.url, env: envOf(machine), children },
      command: [...program, ...argv, '--durability', 'local'],
    })
    const pid = children.at(-1)?.pid ?? 0
    const filler = `/proc/${pid}/root${home}/filler`
    return { server: localServer(server), fill: () => fillDisk(filler) }
  }
})
