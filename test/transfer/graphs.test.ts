import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { initStore, openStore, verifyBundle } from '../../src/index.ts'
import { opened, randomNumbers, tempFolder, tempStore } from '../support/temp-store.ts'
import { pack, trusts, unpack } from './sites.ts'

const ROWS = 10_500

beforeAll(() => {
  // Roles get blobs of their own, as in a large collection.
  Object.assign(limits, { packBytesMax: 1 })
})

/** Enough random 8-d vectors for a graph. */
async function rows(folder: string, count = ROWS): Promise<string> {
  const random = randomNumbers(7)
  const vector = (): number[] => Array.from({ length: 8 }, () => Math.fround(random() - 0.5))
  const text = Array.from(
    { length: count },
    (_, id) => `${JSON.stringify({ id, vector: vector(), n: id % 10 })}\n`,
  ).join('')
  const path = join(folder, 'rows.jsonl')
  await writeFile(path, text)
  return path
}

describe('a collection with a graph', () => {
  it('comes out the same with one thread and with two', async () => {
    const folder = await tempFolder()
    const file = await rows(folder)
    const roots: string[] = []
    for (const threads of [1, 2]) {
      const url = join(folder, `store-${threads}`)
      await initStore({ url })
      await using store = await openStore({ url, mode: 'write', threads })
      roots.push((await store.prospect('docs').ingest({ inputs: [file] })).stateRoot)
      const [segment] = (await store.prospect('docs').info()).segments
      expect(segment).toMatchObject({ rows: ROWS, graph: true })
    }
    expect(roots[0]).toBe(roots[1])
  })

  it('is built anew, byte for byte, from a bundle without its index', async () => {
    const from = await tempStore()
    const to = await tempStore()
    const folder = await tempFolder()
    await from.prospect('docs').ingest({ inputs: [await rows(folder)] })
    await trusts(to, from, folder)
    const full = await pack(from, folder, 'full')
    const bare = await pack(from, folder, 'bare', { noIndex: true })
    expect(bare.result.bytes).toBeLessThan(full.result.bytes - 200_000)
    expect(bare.result.stateRoots).toEqual(full.result.stateRoots)
    const input = { path: bare.path }
    const verified = await verifyBundle({ input, keyFiles: [], store: { url: to.url } })
    expect(verified.problems).toEqual([])
    await unpack(to, bare.path)
    const info = await (await to.collection('docs')).info()
    expect(info.segments).toEqual((await (await from.collection('docs')).info()).segments)
    expect((await to.check({ readData: true })).problems).toEqual([])
    const query = { id: '17', k: 20, exact: false }
    const there = await (await from.collection('docs')).search(query)
    expect((await (await to.collection('docs')).search(query)).hits).toEqual(there.hits)
  })
})

/** Starts an act in a process of its own and kills it a while later. */
async function killed(act: string, url: string, path: string, delayMs: number): Promise<void> {
  const program = join(import.meta.dirname, 'import-program.ts')
  const child = fork(program, [act, url, path], { silent: true })
  await once(child, 'message')
  await after(delayMs)
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

describe('kill -9', () => {
  it('of an export leaves no bundle, of an import nothing visible; both run again', async () => {
    const from = await tempStore()
    const folder = await tempFolder()
    await from.prospect('docs').ingest({ inputs: [await rows(folder, 3_000)] })
    await from.close()
    const url = join(folder, 'to')
    await initStore({ url })
    const seed = Date.now() % 1_000_000
    const random = randomNumbers(seed)
    const bundle = join(folder, 'killed.akipkg')
    for (let round = 0; round < 2; round++) {
      await killed('export', from.url, bundle, random() * 150)
      const bytes = await readFile(bundle).catch(() => undefined)
      // What stands under the bundle's name is whole, or nothing does.
      if (bytes === undefined) continue
      const verified = await verifyBundle({
        input: { path: bundle },
        keyFiles: [],
        store: { url: from.url },
      })
      expect(verified.problems, `seed ${seed}, round ${round}`).toEqual([])
    }
    const origin = await opened(from.url)
    const { path, result } = await pack(origin, folder, 'full')
    const first = await opened(url)
    await trusts(first, origin, folder)
    await first.close()
    for (let round = 0; round < 4; round++) {
      await killed('import', url, path, random() * 300)
      await using store = await openStore({ url, mode: 'write' })
      const why = `seed ${seed}, round ${round}`
      const roots = (await store.list()).map(({ stateRoot }) => stateRoot)
      expect([[], [result.stateRoots.docs]], why).toContainEqual(roots)
      expect((await store.check()).problems, why).toEqual([])
    }
    const last = await opened(url)
    await unpack(last, path)
    expect((await (await last.collection('docs')).info()).stateRoot).toBe(result.stateRoots.docs)
    expect((await last.check({ readData: true })).problems).toEqual([])
    expect(
      (await readdir(join(url, 'local', 'locks'))).filter((name) => /^act-/.test(name)),
    ).toEqual([])
  })
})
