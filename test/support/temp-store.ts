import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { initStore } from '../../src/db/open/init.ts'
import { type OpenedStore, openStore } from '../../src/db/store.ts'

/** A folder of this test's own, removed when it ends. */
export async function tempFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'akidb-test-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A folder for all tests of a suite, in whose body this is called; removed after the last. */
export function suiteFolder(): string {
  // Made by a hook: a suite that is skipped leaves none behind.
  const folder = join(tmpdir(), `akidb-suite-${randomUUID()}`)
  beforeAll(() => mkdir(folder, { mode: 0o700 }).then(() => undefined))
  afterAll(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A new store in a folder of its own, open for writing; closed and removed when the test ends. */
export async function tempStore(): Promise<OpenedStore> {
  const folder = await tempFolder()
  const url = join(folder, 'store')
  await initStore({ url })
  return await opened(url)
}

/**
 * What `fill` makes of a store, once for all tests of a suite that change nothing, in whose body
 * this is called; the store is closed and removed after the last.
 */
export function suiteStore<T>(fill: (store: OpenedStore) => Promise<T>): () => Promise<T> {
  const folder = suiteFolder()
  let store: OpenedStore | undefined
  const make = async (): Promise<T> => {
    const url = join(folder, 'store')
    await initStore({ url })
    store = await openStore({ url, mode: 'write', threads: 2 })
    return await fill(store)
  }
  let made: Promise<T> | undefined
  afterAll(() => store?.close())
  return () => {
    made ??= make()
    return made
  }
}

/** An existing store, closed when the test ends. */
export async function opened(
  url: string,
  mode: 'read' | 'write' = 'write',
  more: { readonly memoryBytes?: number } = {},
): Promise<OpenedStore> {
  const store = await openStore({ url, mode, threads: 2, ...more })
  onTestFinished(() => store.close())
  return store
}

/** Writes a file beside the store of this test. */
export async function inputFile(folder: string, name: string, text: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, text)
  return path
}

/** JSON lines of `count` records: id, 4-d vector, n, tag. */
export const lines = (prefix: string, count: number, from = 0): string =>
  Array.from({ length: count }, (_, i) => {
    const n = from + i
    const record = { id: `${prefix}${n}`, vector: [1, n, 0.5, -1], n, tag: n % 2 ? 'odd' : 'even' }
    return `${JSON.stringify(record)}\n`
  }).join('')

/** The objects of a file of JSON lines. */
export const jsonLines = async (path: string): Promise<Record<string, unknown>[]> =>
  (await readFile(path, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

/** Whatever bytes, as a pipe that gives `pieceBytes` at a time. */
export async function* pipe(text: string, pieceBytes = 65_536): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

/** Numbers from 0 to 1 that depend on the seed alone (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
