import { type ChildProcess, execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AKIDB, type ServeProcess, startServe } from '../support/serve-process.ts'
import { makeStoreFolder, removeFolder } from './support.ts'

const TIMEOUT_MS = 30_000

let folder: string
let children: ChildProcess[]

beforeEach(async () => {
  folder = await makeStoreFolder()
  children = []
})

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await removeFolder(folder)
})

const serve = (): Promise<ServeProcess> => startServe({ store: folder, children })

async function akidb(...args: readonly string[]): Promise<Record<string, unknown>> {
  const all = ['--store', folder, '--json', '--quiet', ...args]
  const { stdout } = await promisify(execFile)(AKIDB, all)
  return stdout === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>)
}

const post = async (url: string, body: unknown): Promise<Record<string, unknown>> => {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) })
  const answer = (await response.json()) as Record<string, unknown>
  expect(response.ok, JSON.stringify(answer)).toBe(true)
  return answer
}

const upsert = (url: string, ids: readonly string[]): Promise<unknown> =>
  post(`${url}/collections/docs/vectors`, {
    vectors: ids.map((id, i) => ({ id, vector: [1, i] })),
  })

const idsOf = (found: unknown): string[] =>
  (found as { hits: { id: string }[] }).hits.map(({ id }) => id).sort()

const found = async (url: string): Promise<string[]> =>
  idsOf(await post(`${url}/collections/docs/search`, { vector: [1, 0], top_k: 100 }))

describe('akidb serve', () => {
  it('has every acknowledged row after kill -9', { timeout: TIMEOUT_MS }, async () => {
    const first = await serve()
    await post(`${first.url}/collections`, { name: 'docs', vector_dim: 2, distance: 'l2' })
    const acknowledged: string[] = []
    let isDead = false
    const writer = async (name: string): Promise<void> => {
      for (let i = 0; !isDead; i++) {
        await upsert(first.url, [`${name}${i}`])
        acknowledged.push(`${name}${i}`)
      }
    }
    const writers = ['a', 'b', 'c'].map((name) => writer(name).catch(() => undefined))
    await expect.poll(() => acknowledged.length, { interval: 5 }).toBeGreaterThan(30)
    const killed = first.end('SIGKILL')
    isDead = true
    await Promise.all(writers)
    expect(await killed).toBe('SIGKILL')

    // Another process reads the log of the dead owner.
    const search = ['search', 'docs', '--vector', '[1,0]', '-k', '10000']
    expect(idsOf(await akidb(...search))).toEqual(expect.arrayContaining(acknowledged))
    // A snapshot commits it first.
    await akidb('snapshot', 'create', 'docs', 'after')
    expect(idsOf(await akidb(...search, '--as-of', 'after'))).toEqual(
      expect.arrayContaining(acknowledged),
    )
    const second = await serve()
    const wanted = { vector: [1, 0], top_k: 10_000 }
    const after = idsOf(await post(`${second.url}/collections/docs/search`, wanted))
    expect(after).toEqual(expect.arrayContaining(acknowledged))
    expect(new Set(after).size).toBe(after.length)
    await upsert(second.url, ['z'])
    expect(await second.end('SIGTERM')).toBe(0)
    expect(idsOf(await akidb(...search))).toEqual([...after, 'z'].sort())
    expect(await akidb('audit', 'verify')).toMatchObject({ ok: true })
  })

  it('lets other commands work beside it', { timeout: TIMEOUT_MS }, async () => {
    const server = await serve()
    await post(`${server.url}/collections`, { name: 'docs', vector_dim: 2 })
    await upsert(server.url, ['a', 'b'])
    const file = join(folder, '..', `${folder.split('/').at(-1)}.jsonl`)
    await writeFile(file, '{"id":"b","vector":[2,2]}\n{"id":"c","vector":[3,1]}\n')
    try {
      await akidb('ingest', 'docs', file)
      await expect.poll(() => found(server.url), { timeout: 1_000 }).toEqual(['a', 'b', 'c'])
    } finally {
      await removeFolder(file)
    }
    await upsert(server.url, ['d'])
    const snapshot = await akidb('snapshot', 'create', 'docs', 'friday')
    expect(snapshot).toMatchObject({ label: 'friday' })
    // The snapshot holds what was in the log only.
    const search = ['search', 'docs', '--vector', '[1,0]', '--as-of', 'friday']
    expect(idsOf(await akidb(...search))).toEqual(['a', 'b', 'c', 'd'])
    await akidb('delete', 'docs', 'a', 'd')
    await expect.poll(() => found(server.url), { timeout: 1_000 }).toEqual(['b', 'c'])
    expect(await server.end('SIGINT')).toBe(0)
    expect(await akidb('show', 'docs')).toMatchObject({ count: 2 })
  })

  it('refuses to be the second on a store, naming the first', { timeout: TIMEOUT_MS }, async () => {
    await serve()
    const refused = await serve().then(
      () => '',
      (error: Error) => error.message,
    )
    const [pid] = children.map((child) => child.pid)
    expect(refused).toContain('"code":"LOCKED"')
    expect(refused).toContain(`single writes of this store: process ${pid} on ${hostname()} (`)
    expect(refused).toMatch(/akidb .*serve.*\), since \d{4}-/)
    expect(refused).toContain(`kill ${pid}`)
  })
})
