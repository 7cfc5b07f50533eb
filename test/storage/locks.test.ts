import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { LockHolder, LockManager } from '../../src/storage/locks.ts'
import { createMemoryLocks } from '../../src/storage/memory-locks.ts'
import { openSqliteLocks } from '../../src/storage/sqlite-locks.ts'
import { systemClock } from '../../src/storage/system-clock.ts'

const HOLDER_PROGRAM = fileURLToPath(new URL('./lock-holder-program.ts', import.meta.url))
const holder = (command: string): LockHolder => ({
  host: 'station-7',
  pid: 4711,
  command,
  startedAt: '2026-01-02T03:04:05.000Z',
})

interface TwoManagers {
  readonly a: LockManager
  readonly b: LockManager
  dispose(): Promise<void>
}

function lockConformance(name: string, create: () => Promise<TwoManagers>): void {
  describe(`${name}: lock manager`, () => {
    let managers: TwoManagers
    beforeEach(async () => {
      managers = await create()
    })
    afterEach(async () => {
      await managers.a.close()
      await managers.b.close()
      await managers.dispose()
    })

    it('gives a lock to one at a time and names the holder to the other', async () => {
      const { a, b } = managers
      const lock = await a.acquire('owner', 0)
      expect(await b.isHeld('owner')).toBe(true)
      expect(await b.holder('owner')).toEqual(holder('akidb serve'))
      const refused = await b.acquire('owner', 0).catch((error: unknown) => error)
      expect(refused).toMatchObject({ code: 'LOCKED', details: { lock: 'owner' } })
      for (const word of ['station-7', '4711', 'akidb serve', '2026-01-02T03:04:05']) {
        expect(String(refused)).toContain(word)
      }
      expect(refused).toMatchObject({
        message: expect.stringMatching(/^another process takes the single writes of this store: /),
        hint: expect.stringContaining('"kill 4711" on station-7'),
      })
      await lock.release()
      await lock.release()
      expect(await b.isHeld('owner')).toBe(false)
      expect(await b.holder('owner')).toBeUndefined()
      const next = await b.acquire('owner', 0)
      await expect(a.acquire('owner', 0)).rejects.toMatchObject({ code: 'LOCKED' })
      await next.release()
    })

    it('is exclusive within one manager too', async () => {
      const lock = await managers.a.acquire('x', 0)
      await expect(managers.a.acquire('x', 5)).rejects.toMatchObject({ code: 'LOCKED' })
      expect(await managers.a.isHeld('x')).toBe(true)
      await lock.release()
      await (await managers.a.acquire('x', 0)).release()
    })

    it('a late release does not free the lock of the next holder', async () => {
      const { a, b } = managers
      const first = await a.acquire('x', 0)
      await first.release()
      const second = await b.acquire('x', 0)
      await first.release()
      expect(await a.isHeld('x')).toBe(true)
      await second.release()
    })

    it('waits until the lock is free', async () => {
      const { a, b } = managers
      const lock = await a.acquire('x', 0)
      let acquired = false
      const waiting = b.acquire('x', 30_000).then((next) => {
        acquired = true
        return next
      })
      await systemClock.sleep(20)
      expect(acquired).toBe(false)
      await lock.release()
      await (await waiting).release()
    })

    it('keeps names apart, lists them and removes free ones', async () => {
      const { a, b } = managers
      const one = await a.acquire('act-1', 0)
      const two = await b.acquire('act-2', 0)
      await (await a.acquire('audit', 0)).release()
      expect(await a.list('act-')).toEqual(['act-1', 'act-2'])
      expect(await a.list('')).toEqual(['act-1', 'act-2', 'audit'])
      await expect(b.remove('act-1')).rejects.toMatchObject({ code: 'LOCKED' })
      await one.release()
      await b.remove('act-1')
      await b.remove('never-there')
      expect(await a.list('act-')).toEqual(['act-2'])
      expect(await a.isHeld('act-1')).toBe(false)
      await two.release()
    })

    it('frees all on close', async () => {
      const { a, b } = managers
      await a.acquire('x', 0)
      await a.acquire('y', 0)
      await a.close()
      await (await b.acquire('x', 0)).release()
      await (await b.acquire('y', 0)).release()
    })

    it('lets one of many waiters in at a time', async () => {
      const { a, b } = managers
      let inside = 0
      let most = 0
      const enter = async (manager: LockManager): Promise<void> => {
        const lock = await manager.acquire('x', 30_000)
        most = Math.max(most, ++inside)
        await systemClock.sleep(1)
        inside--
        await lock.release()
      }
      await Promise.all(Array.from({ length: 12 }, (_, i) => enter(i % 2 === 0 ? a : b)))
      expect(most).toBe(1)
    })

    it('removal and acquisition never leave two holders', async () => {
      const { a, b } = managers
      let inside = 0
      for (let round = 0; round < 100; round++) {
        const enter = async (manager: LockManager): Promise<void> => {
          const lock = await manager.acquire('x', 30_000)
          expect(++inside).toBe(1)
          await Promise.resolve()
          inside--
          await lock.release()
        }
        const removal = b.remove('x').catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'LOCKED' })
        })
        await Promise.all([enter(a), removal, enter(b)])
      }
    })

    it('refuses names that are no file names', async () => {
      for (const name of ['', '../x', 'a/b', '.', 'a\0']) {
        await expect(managers.a.acquire(name, 0)).rejects.toMatchObject({ code: 'INTERNAL' })
      }
    })
  })
}

lockConformance('memory', async () => {
  const locks = createMemoryLocks({ clock: systemClock })
  return {
    a: locks.forProcess('a', holder('akidb serve')),
    b: locks.forProcess('b', holder('akidb ingest')),
    dispose: async () => undefined,
  }
})

lockConformance('sqlite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'akidb-locks-'))
  const open = (command: string): LockManager =>
    openSqliteLocks(join(folder, 'locks'), { holder: holder(command), clock: systemClock })
  return {
    a: open('akidb serve'),
    b: open('akidb ingest'),
    dispose: () => rm(folder, { recursive: true, force: true }),
  }
})

describe('memory locks', () => {
  it('frees what a killed process held, and only that', async () => {
    const locks = createMemoryLocks({ clock: systemClock })
    const a = locks.forProcess('a', holder('a'))
    const b = locks.forProcess('b', holder('b'))
    const dead = await a.acquire('x', 0)
    await b.acquire('y', 0)
    locks.releaseAll('a')
    expect(await b.isHeld('x')).toBe(false)
    expect(await b.isHeld('y')).toBe(true)
    await b.acquire('x', 0)
    await dead.release()
    expect(await b.isHeld('x')).toBe(true)
  })

  it('gives nothing to code of a killed process that still runs', async () => {
    const locks = createMemoryLocks({ clock: systemClock })
    const a = locks.forProcess('a', holder('a'))
    const b = locks.forProcess('b', holder('b'))
    const lock = await b.acquire('x', 0)
    const waiting = expect(a.acquire('x', 30_000)).rejects.toThrow(/dead/)
    locks.releaseAll('a')
    await lock.release()
    await waiting
    await expect(a.acquire('y', 0)).rejects.toThrow(/dead/)
    await (await locks.forProcess('a', holder('again')).acquire('x', 0)).release()
  })
})

describe('a sqlite lock', () => {
  it('writes nothing to its file and keeps no journal: a full disk stops no one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'akidb-locks-'))
    const locks = openSqliteLocks(folder, { holder: holder('test'), clock: systemClock })
    try {
      await locks.acquire('x', 0)
      expect((await readdir(folder)).sort()).toEqual(['x.db', 'x.json'])
      expect((await stat(join(folder, 'x.db'))).size).toBe(0)
    } finally {
      await locks.close()
      await rm(folder, { recursive: true })
    }
  })
})

describe('sqlite locks between processes', () => {
  let folder: string
  let locks: LockManager
  const children: ChildProcess[] = []
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'akidb-locks-'))
    locks = openSqliteLocks(folder, { holder: holder('test'), clock: systemClock })
  })
  afterEach(async () => {
    await locks.close()
    for (const child of children.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) {
        const exit = once(child, 'exit')
        child.kill('SIGKILL')
        await exit
      }
    }
    await rm(folder, { recursive: true, force: true })
  })

  /** A child that holds the lock when this resolves. */
  async function spawnHolder(name: string): Promise<ChildProcess> {
    const child = spawn(process.execPath, [HOLDER_PROGRAM, folder, name], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    children.push(child)
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    expect(line.toString()).toBe('held\n')
    return child
  }

  it('names the other process, and is free at once after kill −9', async () => {
    const child = await spawnHolder('owner')
    expect(await locks.isHeld('owner')).toBe(true)
    expect((await locks.holder('owner'))?.pid).toBe(child.pid)
    await expect(locks.acquire('owner', 30)).rejects.toMatchObject({
      code: 'LOCKED',
      message: expect.stringContaining(`process ${child.pid} `),
    })
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
    expect(await locks.isHeld('owner')).toBe(false)
    expect(await locks.holder('owner')).toBeUndefined()
    await (await locks.acquire('owner', 0)).release()
  })

  it('names its file where its holder left no name', async () => {
    await spawnHolder('owner')
    await rm(join(folder, 'owner.json'))
    await expect(locks.acquire('owner', 0)).rejects.toMatchObject({
      message: expect.stringContaining('a process that left no name'),
      hint: expect.stringContaining(`fuser -v ${join(folder, 'owner.db')}`),
    })
  })

  it('stays with a process that stands still', async () => {
    const child = await spawnHolder('owner')
    child.kill('SIGSTOP')
    await expect(locks.acquire('owner', 100)).rejects.toMatchObject({ code: 'LOCKED' })
    child.kill('SIGCONT')
  })

  it('is not lost when its holder looks at, waits for or fails to remove it', async () => {
    const lock = await locks.acquire('owner', 0)
    const again = openSqliteLocks(folder, { holder: holder('again'), clock: systemClock })
    expect(await again.isHeld('owner')).toBe(true)
    expect(await locks.holder('owner')).toBeDefined()
    await expect(again.acquire('owner', 5)).rejects.toMatchObject({ code: 'LOCKED' })
    await expect(again.remove('owner')).rejects.toMatchObject({ code: 'LOCKED' })
    await again.close()
    const child = spawn(process.execPath, [HOLDER_PROGRAM, folder, 'owner', '200'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    children.push(child)
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    expect(line.toString()).toBe('LOCKED\n')
    await lock.release()
  })

  it('never lets two processes in at once', async () => {
    const first = await spawnHolder('owner')
    const waiting = locks.acquire('owner', 30_000)
    first.stdin?.end()
    await once(first, 'exit')
    await (await waiting).release()
    expect(await locks.list('')).toEqual(['owner'])
  })

  it('refuses a lock file that somebody wrote into', async () => {
    await writeFile(join(folder, 'x.db'), 'this is no database, but it is long enough'.repeat(100))
    await expect(locks.acquire('x', 0)).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('leaves nothing but the lock files behind', async () => {
    await (await locks.acquire('x', 0)).release()
    expect((await readdir(folder)).sort()).toEqual(['x.db'])
    await locks.remove('x')
    expect(await readdir(folder)).toEqual([])
  })

  it.skipIf(process.getuid?.() === 0)('is refused on a file that cannot be written', async () => {
    await (await locks.acquire('x', 0)).release()
    await chmod(join(folder, 'x.db'), 0o444)
    await expect(locks.acquire('x', 0)).rejects.toMatchObject({ code: 'AUTH' })
  })

  it('survives its manager being collected', async () => {
    await openSqliteLocks(folder, { holder: holder('lost'), clock: systemClock }).acquire('x', 0)
    setFlagsFromString('--expose-gc')
    runInNewContext('gc')()
    await systemClock.sleep(1)
    runInNewContext('gc')()
    expect(await locks.isHeld('x')).toBe(true)
  })

  it('says AUTH where the lock cannot be made', async () => {
    await mkdir(join(folder, 'file-as-folder.db'))
    await expect(locks.acquire('file-as-folder', 0)).rejects.toMatchObject({ code: 'AUTH' })
  })
})
