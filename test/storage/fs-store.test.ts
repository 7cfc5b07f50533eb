import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmod,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { openFsStore } from '../../src/storage/fs-store.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { probeFs } from '../../src/storage/probe-fs.ts'

const WRITER_PROGRAM = fileURLToPath(new URL('./store-writer-program.ts', import.meta.url))
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

let folder: string
let root: string
let store: ObjectStore
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'akidb-fs-'))
  root = join(folder, 'store')
  store = openFsStore(root, { mode: 'write' })
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true, force: true })
})

async function keysOf(prefix = ''): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list(prefix)) keys.push(key)
  return keys
}

const temporaryFiles = async (): Promise<string[]> => readdir(join(root, '.tmp'))

describe('folder store', () => {
  it('makes its folder at the first write only', async () => {
    expect(await store.head('k')).toBeUndefined()
    expect(await keysOf()).toEqual([])
    await expect(store.get('k')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(stat(root)).rejects.toMatchObject({ code: 'ENOENT' })
    await store.put('a/b/c', bytesOf('x'))
    expect(store.localPath('a/b/c')).toBe(join(root, 'a/b/c'))
    expect(await readFile(join(root, 'a/b/c'), 'utf8')).toBe('x')
  })

  it('leaves no temporary files, whatever became of the objects', async () => {
    await store.put('k', bytesOf('x'))
    await store.put('k', bytesOf('y'))
    await store.put('k', bytesOf('z'), { mode: 'replace' })
    const staged = await store.stage()
    await staged.write(bytesOf('x'))
    expect(await temporaryFiles()).toHaveLength(1)
    await staged.commit('s')
    const aborted = await store.stage()
    await aborted.abort()
    await store.nowMs()
    expect(await temporaryFiles()).toEqual([])
  })

  it('changes nothing when it is opened for reading', async () => {
    await store.put('k', bytesOf('x'))
    const reader = openFsStore(root, { mode: 'read' })
    const attempts: (() => Promise<unknown>)[] = [
      () => reader.put('n', bytesOf('x')),
      () => reader.put('k', bytesOf('x'), { mode: 'replace' }),
      () => reader.stage(),
      () => reader.delete('k'),
      () => reader.append('k', bytesOf('x'), 1),
      () => reader.truncate('k', 0),
      () => reader.sweepTemporary(),
    ]
    for (const attempt of attempts) await expect(attempt()).rejects.toMatchObject({ code: 'AUTH' })
    expect(await reader.get('k')).toEqual(bytesOf('x'))
    expect(await reader.nowMs()).toBeGreaterThan(0)
    expect(await keysOf()).toEqual(['k'])
  })

  it('follows no symbolic link inside the store', async () => {
    const outside = join(folder, 'outside')
    await mkdir(outside)
    await writeFile(join(outside, 'secret'), 'secret')
    await store.put('a/k', bytesOf('x'))
    await symlink(outside, join(root, 'link'))
    await symlink(join(outside, 'secret'), join(root, 'a/file-link'))
    const refused = { code: 'INTEGRITY' }
    await expect(store.get('link/secret')).rejects.toMatchObject(refused)
    await expect(store.put('link/new', bytesOf('x'))).rejects.toMatchObject(refused)
    await expect(store.delete('link/secret')).rejects.toMatchObject(refused)
    await expect(store.get('a/file-link')).rejects.toMatchObject(refused)
    await expect(store.append('a/file-link', bytesOf('x'), 0)).rejects.toMatchObject(refused)
    await expect(store.put('a/file-link', bytesOf('x'))).rejects.toMatchObject(refused)
    expect(await keysOf()).toEqual(['a/k'])
    expect(await readdir(outside)).toEqual(['secret'])
    expect(await readFile(join(outside, 'secret'), 'utf8')).toBe('secret')
  })

  it('may itself be reached through a symbolic link', async () => {
    await mkdir(join(folder, 'real'))
    await symlink(join(folder, 'real'), join(folder, 'alias'))
    const aliased = openFsStore(join(folder, 'alias'), { mode: 'write' })
    await aliased.put('a/k', bytesOf('x'))
    expect(await readFile(join(folder, 'real/a/k'), 'utf8')).toBe('x')
  })

  it('says so where a file stands in the way of a folder, or a folder of a file', async () => {
    await store.put('a', bytesOf('x'))
    await store.put('f/k', bytesOf('x'))
    await expect(store.put('a/b', bytesOf('x'))).rejects.toHaveProperty('code')
    await expect(store.get('a/b')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(store.put('f', bytesOf('x'))).rejects.toMatchObject({ code: 'INTEGRITY' })
    await expect(store.get('f')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await store.head('f')).toBeUndefined()
    expect(await temporaryFiles()).toEqual([])
  })

  it('does not list litter of desktops and file systems', async () => {
    await store.put('k', bytesOf('x'))
    await mkdir(join(root, 'lost+found'))
    await writeFile(join(root, 'lost+found', '#12'), '')
    await writeFile(join(root, '.DS_Store'), '')
    await writeFile(join(root, 'with space'), '')
    expect(await keysOf()).toEqual(['k'])
  })

  it('goes on when its folders were removed behind its back', async () => {
    await store.put('a/b/k', bytesOf('x'))
    await rm(join(root, 'a'), { recursive: true })
    await rm(join(root, '.tmp'), { recursive: true })
    expect(await store.put('a/b/k', bytesOf('y'))).toBe('created')
    expect(await store.get('a/b/k')).toEqual(bytesOf('y'))
  })

  it('keeps within its open files with thousands of reads at once', async () => {
    await store.put('k', bytesOf('x'))
    const reads = Array.from({ length: limits.openFilesMax * 8 }, () => store.get('k'))
    for (const body of await Promise.all(reads)) expect(body).toHaveLength(1)
    const staged = await Promise.all(
      Array.from({ length: limits.openFilesMax / 2 }, () => store.stage()),
    )
    await expect(store.stage()).rejects.toMatchObject({ code: 'LIMIT' })
    expect(await store.get('k')).toHaveLength(1)
    await Promise.all(staged.map((one) => one.abort()))
    await (await store.stage()).abort()
  })

  it('gives a stream its slot back when its reader stops early', async () => {
    await store.put('k', new Uint8Array(100))
    for (let i = 0; i < limits.openFilesMax; i++) {
      for await (const piece of store.read('k', { pieceBytes: 10 })) {
        expect(piece).toHaveLength(10)
        break
      }
    }
  })
})

describe('temporary files of killed writers', () => {
  const children: ChildProcess[] = []
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    }
  })

  /** A child that has staged an object and stands there. */
  async function spawnWriter(shell?: string): Promise<ChildProcess> {
    const [command, args] =
      shell === undefined
        ? [process.execPath, [WRITER_PROGRAM, root]]
        : ['/bin/sh', ['-c', `${shell}; exec "$0" "$@"`, process.execPath, WRITER_PROGRAM, root]]
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    children.push(child)
    return child
  }

  it('are invisible, stay while the writer lives, and go when it is dead', async () => {
    const child = await spawnWriter()
    if (child.stdout === null) throw new Error('no stdout')
    await once(child.stdout, 'data')
    expect(await temporaryFiles()).toHaveLength(1)
    expect(await keysOf()).toEqual([])
    expect(await store.sweepTemporary()).toBe(0)
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
    expect(await keysOf()).toEqual([])
    expect(await store.sweepTemporary()).toBe(1)
    expect(await temporaryFiles()).toEqual([])
  })

  it('of other hosts wait for a day', async () => {
    const staged = await store.stage()
    const [own] = await temporaryFiles()
    const foreign = `000000000000${own?.slice(12)}`
    const odd = 'something'
    for (const name of [foreign, odd]) await writeFile(join(root, '.tmp', name), '')
    expect(await store.sweepTemporary()).toBe(0)
    const yesterday = new Date(Date.now() - 25 * 3_600_000)
    for (const name of [own ?? '', foreign, odd]) {
      await utimes(join(root, '.tmp', name), yesterday, yesterday)
    }
    expect(await store.sweepTemporary()).toBe(2)
    await staged.write(bytesOf('still there'))
    expect(await staged.commit('k')).toBe('created')
  })

  it('a pid that was given out again does not keep them', async () => {
    const staged = await store.stage()
    const [own = ''] = await temporaryFiles()
    const [host, pid, , random] = own.split('-')
    await writeFile(join(root, '.tmp', `${host}-${pid}-1-${random}`), '')
    expect(await store.sweepTemporary()).toBe(1)
    await staged.abort()
  })

  it('a write that hits a size limit is NO_SPACE and leaves nothing', async () => {
    const child = await spawnWriter('ulimit -f 1024')
    if (child.stdout === null) throw new Error('no stdout')
    let output = ''
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString()
    })
    child.stdin?.end()
    await once(child, 'close')
    expect(output.trim()).toBe('staged NO_SPACE put NO_SPACE append NO_SPACE 3')
    expect(await keysOf()).toEqual(['log'])
    expect(await temporaryFiles()).toEqual([])
  })
})

describe('probe of a file system', () => {
  it('finds all in a proper folder, even before it is made, and leaves nothing', async () => {
    const probe = await probeFs(join(folder, 'not', 'yet'))
    expect(probe).toMatchObject({ writable: true, hardLinks: true, folderSync: true })
    expect(probe.message).toContain(folder)
    expect(await readdir(folder)).toEqual([])
  })

  it('says that a file is no folder', async () => {
    await writeFile(join(folder, 'file'), '')
    expect(await probeFs(join(folder, 'file'))).toMatchObject({ writable: false })
    expect(await probeFs(join(folder, 'file', 'below'))).toMatchObject({ writable: false })
  })

  it.skipIf(process.getuid?.() === 0)('says that a closed folder cannot be written', async () => {
    await chmod(folder, 0o500)
    expect(await probeFs(folder)).toMatchObject({ writable: false })
    await expect(store.put('k', bytesOf('x'))).rejects.toMatchObject({ code: 'AUTH' })
    await chmod(folder, 0o700)
  })

  it('says that a file system of the kernel cannot be written', async () => {
    expect(await probeFs('/proc/self')).toMatchObject({ writable: false })
  })
})

describe('a large object that is staged', () => {
  const piece = new Uint8Array(8 * 1024 * 1024).fill(7)

  async function withSyncs(sync: () => Promise<void>, work: (folder: string) => Promise<void>) {
    const folder = await mkdtemp(join(tmpdir(), 'akidb-staged-'))
    const handle = await open(folder)
    const spy = vi.spyOn(Object.getPrototypeOf(handle), 'datasync').mockImplementation(sync)
    await handle.close()
    try {
      await work(folder)
    } finally {
      spy.mockRestore()
      await rm(folder, { recursive: true })
    }
  }

  it('goes to the disk while it is written, and once more at its commit', async () => {
    let syncs = 0
    const sync = async (): Promise<void> => void syncs++
    await withSyncs(sync, async (folder) => {
      const staged = await openFsStore(folder, { mode: 'write' }).stage()
      for (let i = 0; i < 8; i++) await staged.write(piece)
      expect(syncs).toBeGreaterThan(0)
      const before = syncs
      await staged.commit('blobs/large')
      expect(syncs).toBe(before + 1)
    })
  })

  it('is not committed where an early sync failed, whatever the last one says', async () => {
    let syncs = 0
    const sync = async (): Promise<void> => {
      if (++syncs === 1) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
    }
    await withSyncs(sync, async (folder) => {
      const store = openFsStore(folder, { mode: 'write' })
      const staged = await store.stage()
      for (let i = 0; i < 12; i++) await staged.write(piece)
      await expect(staged.commit('blobs/large')).rejects.toThrow(/the disk reports an error/)
      await staged.abort()
      expect(syncs).toBeGreaterThan(1)
      expect(await store.head('blobs/large')).toBeUndefined()
    })
  })
})
