import { constants } from 'node:fs'
import * as files from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { alignedMemory } from '../../src/storage/aligned-memory.ts'
import { DirectFile } from '../../src/storage/direct-file.ts'
import { openFsStore } from '../../src/storage/fs-store.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { patternOf } from '../support/s3.ts'

// What is staged past the page cache, on a disk and a file system that fail.

const system = vi.hoisted(() => ({ refusesDirect: false }))

/** A file system without direct writes refuses them when it has made the file. */
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof files>()
  const open: typeof files.open = async (path, flags, mode) => {
    const handle = await real.open(path, flags, mode)
    const isDirect = (Number(flags) & constants.O_DIRECT) !== 0
    if (!system.refusesDirect || !isDirect) return handle
    await handle.close()
    throw Object.assign(new Error('EINVAL: invalid argument, open'), { code: 'EINVAL' })
  }
  return { ...real, open }
})

/** Two buffers of 1 MiB, and an end that fills no block. */
const BYTES = 2 * 2 ** 20 + 12_345
const body = patternOf(BYTES)

let root: string
let store: ObjectStore
let handles: files.FileHandle
beforeEach(async () => {
  root = await files.mkdtemp(join(tmpdir(), 'akidb-direct-'))
  store = openFsStore(root, { mode: 'write' })
  await store.put('blobs/other', Buffer.from('x'))
  const handle = await files.open(root)
  handles = Object.getPrototypeOf(handle)
  await handle.close()
})
afterEach(async () => {
  vi.restoreAllMocks()
  system.refusesDirect = false
  await store.close()
  await files.rm(root, { recursive: true, force: true })
})

type Write = (bytes: Uint8Array, at: number, length: number, from: number) => Promise<Written>
type Written = Readonly<{ bytesWritten: number; buffer: Uint8Array }>

/** Runs `change` in place of the writes of all files; it is given the real one and their number. */
function changeWrites(change: (number: number, args: Parameters<Write>, write: Write) => unknown) {
  const real = handles.write as unknown as (...args: Parameters<Write>) => Promise<Written>
  let number = 0
  const changed = function (this: files.FileHandle, ...args: Parameters<Write>) {
    return change(++number, args, (...others) => real.apply(this, others))
  }
  vi.spyOn(handles, 'write').mockImplementation(changed as unknown as files.FileHandle['write'])
}

async function stageBody() {
  const staged = await store.stage({ cold: true })
  for (let at = 0; at < BYTES; at += 700_001) await staged.write(body.subarray(at, at + 700_001))
  return staged
}

const isWhole = async (key: string) => body.equals(await store.get(key))

/** What is brought to the disk from now on, and whether the key is there at that moment. */
function syncsOf(key: string): string[] {
  const seen: string[] = []
  for (const name of ['sync', 'datasync'] as const) {
    const real = handles[name]
    vi.spyOn(handles, name).mockImplementation(async function (this: files.FileHandle) {
      const info = await this.stat()
      const size = (await store.head(key))?.bytes
      seen.push(`${info.isFile() ? info.size : 'folder'} before ${size ?? 'nothing'}`)
      await real.call(this)
    })
  }
  return seen
}

it('is on the disk before it has its name, and so is its name before it is told of', async () => {
  const seen = syncsOf('blobs/k')
  expect(await (await stageBody()).commit('blobs/k')).toBe('created')
  expect(seen).toEqual([`${BYTES} before nothing`, `folder before ${BYTES}`])
  expect(await isWhole('blobs/k')).toBe(true)
  // Who gave it its name may not have brought that to the disk yet.
  seen.length = 0
  expect(await (await stageBody()).commit('blobs/k')).toBe('exists')
  expect(seen).toEqual([`${BYTES} before ${BYTES}`, `folder before ${BYTES}`])
})

it('is so as well where it is put at once, or appended to, cut or deleted', async () => {
  const seen = syncsOf('blobs/k')
  await store.put('blobs/k', Buffer.from('abc'))
  expect(seen.splice(0)).toEqual(['3 before nothing', 'folder before 3'])
  await store.put('blobs/k', Buffer.from('abcd'), { mode: 'replace' })
  expect(seen.splice(0)).toEqual(['4 before 3', 'folder before 4'])
  await store.put('blobs/k', Buffer.from('ab'))
  expect(seen.splice(0)).toContain('folder before 4')
  await store.append('blobs/log', Buffer.from('ab'), 0)
  expect(seen.splice(0)).toEqual(['2 before 4', 'folder before 4'])
  await store.append('blobs/log', Buffer.from('cde'), 2)
  expect(seen.splice(0)).toEqual(['5 before 4'])
  await store.truncate('blobs/log', 3)
  expect(seen.splice(0)).toEqual(['3 before 4'])
  await store.delete('blobs/k')
  expect(seen.splice(0)).toEqual(['folder before nothing'])
})

// The first write is under way while the next bytes come, the last is that of the end.
it.each([1, 2, 3])('is not there where its write %i fails, and leaves nothing', async (failing) => {
  for (const [code, meaning] of [
    ['ENOSPC', 'NO_SPACE'],
    ['EIO', 'INTEGRITY'],
  ]) {
    changeWrites((number, args, write) =>
      number === failing
        ? Promise.reject(Object.assign(new Error(`${code}: write`), { code }))
        : write(...args),
    )
    const staged = await store.stage({ cold: true })
    const taken = await staged.write(body).then(
      () => undefined,
      (error: unknown) => error,
    )
    if (taken === undefined) {
      await expect(staged.commit('blobs/k')).rejects.toMatchObject({ code: meaning })
    } else {
      expect(taken).toMatchObject({ code: meaning })
    }
    await expect(staged.commit('blobs/k')).rejects.toMatchObject({ code: 'INTERNAL' })
    await staged.abort()
    expect(await store.head('blobs/k')).toBeUndefined()
    expect(await files.readdir(join(root, '.tmp'))).toEqual([])
    vi.restoreAllMocks()
  }
})

it('goes on where a write was cut short', async () => {
  changeWrites((number, [bytes, at, length, from], write) =>
    write(bytes, at, number === 1 ? 4_096 : number === 2 ? 100 : length, from),
  )
  await (await stageBody()).commit('blobs/k')
  expect(await isWhole('blobs/k')).toBe(true)
})

it('is an ordinary file where direct writes are refused, the first or a later one', async () => {
  system.refusesDirect = true
  await (await stageBody()).commit('blobs/0')
  system.refusesDirect = false
  expect(await isWhole('blobs/0')).toBe(true)
  // A tmpfs of an older kernel refuses each at once.
  const probe = await files
    .open(join(root, 'probe'), constants.O_WRONLY | constants.O_CREAT | constants.O_DIRECT)
    .catch(() => undefined)
  if (probe === undefined) return
  await probe.close()
  for (const refused of [1, 2, 3]) {
    changeWrites((number, args, write) =>
      number === refused
        ? Promise.reject(Object.assign(new Error('EINVAL: write'), { code: 'EINVAL' }))
        : write(...args),
    )
    await (await stageBody()).commit(`blobs/${refused}`)
    vi.restoreAllMocks()
    expect(await isWhole(`blobs/${refused}`)).toBe(true)
  }
})

it('keeps files apart that are written at once, however late their writes', async () => {
  await (await stageBody()).commit('blobs/k')
  changeWrites(async (number, args, write) => {
    for (let i = number % 3; i < 3; i++) await setImmediate()
    return await write(...args)
  })
  const turned = Buffer.from(body).reverse()
  const [one, two] = [await store.stage({ cold: true }), await store.stage({ cold: true })]
  for (let at = 0; at < BYTES; at += 300_007) {
    await one.write(body.subarray(at, at + 300_007))
    await two.write(turned.subarray(at, at + 300_007))
  }
  await Promise.all([one.commit('blobs/one'), two.commit('blobs/two')])
  expect(await isWhole('blobs/one')).toBe(true)
  expect(turned.equals(await store.get('blobs/two'))).toBe(true)
})

it('takes no file that is there, nor what a link names', async () => {
  const [path, link] = [join(root, 'there'), join(root, 'link')]
  await files.writeFile(path, 'mine')
  await files.symlink(path, link)
  for (const refused of [false, true]) {
    system.refusesDirect = refused
    for (const name of [path, link]) {
      await expect(DirectFile.create(name, 0o666)).rejects.toMatchObject({ code: 'EEXIST' })
    }
  }
  expect(await files.readFile(path, 'utf8')).toBe('mine')
})

/** Pieces of 1 MiB in memory that begins at a page; each is used again when it is written. */
async function stageAligned(pieces: number, end: number) {
  const memory = alignedMemory(2 ** 20, true)
  const staged = await store.stage({ cold: true })
  for (let piece = 0; piece < pieces; piece++) {
    memory.fill(piece + 1)
    await staged.write(memory)
    memory.fill(0xee)
  }
  memory.fill(9)
  await staged.write(memory.subarray(0, end))
  return staged
}

it('writes what is aligned from where it stands, in order with what is not', async () => {
  for (const end of [0, 1, 4_096, 2 ** 20 - 1]) {
    await (await stageAligned(3, end)).commit(`blobs/${end}`)
    const pieces = [1, 2, 3].map((value) => Buffer.alloc(2 ** 20, value))
    const whole = Buffer.concat([...pieces, Buffer.alloc(end, 9)])
    expect(whole.equals(await store.get(`blobs/${end}`))).toBe(true)
  }
  const written: [number, number][] = []
  changeWrites((_, args, write) => {
    written.push([args[2], args[3]])
    return write(...args)
  })
  const memory = alignedMemory(2 ** 21, true).fill(7)
  const staged = await store.stage({ cold: true })
  // Behind bytes that wait for more, and where it does not begin at a page, it is copied.
  for (const piece of [Buffer.from('x'), memory, memory.subarray(1), memory.subarray(0, 2 ** 20)]) {
    await staged.write(piece)
  }
  await staged.commit('blobs/mixed')
  const whole = Buffer.concat([Buffer.from('x'), Buffer.alloc(2 ** 21 * 2 - 1 + 2 ** 20, 7)])
  expect(whole.equals(await store.get('blobs/mixed'))).toBe(true)
  expect(written.every(([length, at]) => length % 4_096 === 0 && at % 4_096 === 0)).toBe(true)
})

it('tells of a write from such memory that fails, and takes nothing more', async () => {
  changeWrites((number, args, write) =>
    number === 2
      ? Promise.reject(Object.assign(new Error('ENOSPC: write'), { code: 'ENOSPC' }))
      : write(...args),
  )
  await expect(stageAligned(3, 5)).rejects.toMatchObject({ code: 'NO_SPACE' })
})
