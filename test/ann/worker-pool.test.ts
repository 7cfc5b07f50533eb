import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { buildIndexSync } from '../../src/ann/build-index.ts'
import { openVectorIndex } from '../../src/ann/open-index.ts'
import { searchRanked } from '../../src/ann/ranked-search.ts'
import type { RowSearch, ScanKind, VectorIndex } from '../../src/ann/vector-index.ts'
import { createWorkerPool, type PoolOptions, type WorkerPool } from '../../src/ann/worker-pool.ts'
import { Bitset } from '../../src/core/bitset.ts'
import { sha256Hex } from '../../src/core/digest.ts'
import { limits } from '../../src/core/limits.ts'
import { METRICS, type Metric } from '../../src/core/metric.ts'
import { clusteredVectors, GRAPH, segmentOf } from './reference.ts'

const run = promisify(execFile)
const dimension = 70
const rows = 2_500
const vectors = clusteredVectors(rows, dimension, 81)
const options = { graphRowsMin: 1 }
let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'akidb-workers-'))
})
afterAll(() => rm(folder, { recursive: true }))

const moduleUrl = (name: string): string => new URL(`../../src/ann/${name}`, import.meta.url).href

/** The workers' own module, behind code that sees each message first. */
async function wrappedWorker(name: string, code: string): Promise<URL> {
  const file = join(folder, `${name}.mjs`)
  const text = `import { parentPort } from 'node:worker_threads'
    const on = parentPort.on.bind(parentPort)
    parentPort.on = (event, listener) => on(event, (message) => { ${code}; listener(message) })
    await import(${JSON.stringify(moduleUrl('task-worker.ts'))})`
  await writeFile(file, text)
  return pathToFileURL(file)
}

function poolOf(more: Partial<PoolOptions> = {}): WorkerPool {
  const pool = createWorkerPool({ ...options, threads: 2, ...more })
  onTestFinished(() => pool.close())
  return pool
}

function opened(metric: Metric, contexts: number): VectorIndex {
  const segment = segmentOf(metric, dimension, vectors)
  const built = buildIndexSync(segment, GRAPH, options)
  return openVectorIndex({ ...segment, ...built, parameters: GRAPH, contexts })
}

const requestOf = (row: number, more: Partial<RowSearch> = {}): RowSearch => ({
  query: vectors.slice(row * dimension, (row + 1) * dimension),
  k: 10,
  ef: 40,
  kind: 'graph',
  ...more,
})

const search = (pool: WorkerPool, index: VectorIndex, request: RowSearch, signal?: AbortSignal) =>
  pool.search({ index, request, costNs: 100_000, signal })

describe('searches on workers', () => {
  it.each(METRICS)('give by %s what the calling thread gives, bit for bit', async (metric) => {
    const odd = Bitset.from(
      rows,
      Array.from({ length: rows / 2 }, (_, i) => 2 * i + 1),
    )
    const kinds: ScanKind[] = ['graph', 'scan-int8', 'scan-f32']
    const requests = Array.from({ length: 60 }, (_, i) =>
      requestOf(i * 41, {
        kind: kinds[i % 3] as ScanKind,
        ...(i % 2 === 0 ? {} : { allowed: odd }),
      }),
    )
    for (const threads of [1, 2, 3]) {
      const pool = poolOf({ threads })
      const index = opened(metric, pool.contexts)
      const found = await Promise.all(requests.map((request) => search(pool, index, request)))
      expect(found).toEqual(requests.map((request) => searchRanked(index, request)))
      await pool.close()
    }
  })

  it('send their queries alone, whatever these are a part of', async () => {
    const log = join(folder, 'sent')
    const note = `process.getBuiltinModule('node:fs').appendFileSync(${JSON.stringify(log)},
      message.queries.buffer.byteLength + ' ')`
    const pool = poolOf({ taskModule: await wrappedWorker('sizes', note), threads: 1 })
    const index = opened('dot', pool.contexts)
    const matrix = vectors.slice()
    const shared = new Float32Array(new SharedArrayBuffer(matrix.byteLength))
    shared.set(matrix)
    for (const all of [matrix, shared]) {
      const query = all.subarray(3 * dimension, 4 * dimension)
      const found = await search(pool, index, { ...requestOf(3), query })
      expect(found).toEqual(searchRanked(index, requestOf(3)))
    }
    expect(matrix).toEqual(vectors)
    expect(await readFile(log, 'utf8')).toBe(`${4 * dimension} `.repeat(2))
  })

  it('run on the calling thread where the index has no room for other threads', async () => {
    const never = await wrappedWorker('never-asked', 'process.exit(1)')
    const pool = poolOf({ taskModule: never })
    const index = opened('l2', 1)
    expect(await search(pool, index, requestOf(3))).toEqual(searchRanked(index, requestOf(3)))
  })

  it('hand on the errors of the kernel', async () => {
    const pool = poolOf()
    const index = opened('dot', pool.contexts)
    const short = requestOf(0, { query: new Float32Array(3) })
    await expect(search(pool, index, short)).rejects.toMatchObject({ code: 'DIMENSION_MISMATCH' })
    index.close()
    await expect(search(pool, index, requestOf(0))).rejects.toThrow(/closed/)
  })

  it('do not wait for a build', async () => {
    const pool = poolOf({ threads: 1 })
    const index = opened('cosine', pool.contexts)
    const slow = { ...GRAPH, m: 32, efConstruction: 2_000 }
    const stop = new AbortController()
    const build = pool.build(segmentOf('cosine', dimension, vectors), slow, stop.signal)
    const building = build.then(
      () => 'build',
      () => 'build',
    )
    const searches = Array.from({ length: 20 }, (_, i) => search(pool, index, requestOf(i)))
    const searching = Promise.all(searches).then(() => 'searches')
    expect(await Promise.race([building, searching])).toBe('searches')
    stop.abort()
    await building
  })

  it('do not wait for a large digest', async () => {
    const pool = poolOf({ threads: 1 })
    const index = opened('cosine', pool.contexts)
    await search(pool, index, requestOf(0))
    const hashing = pool.digests(new Uint8Array(256 * 2 ** 20), 65_536).then(() => 'digest')
    const searching = search(pool, index, requestOf(1)).then(() => 'search')
    expect(await Promise.race([hashing, searching])).toBe('search')
    await hashing
  })
})

describe('a worker that dies', () => {
  const deadly = requestOf(5, { k: 7 })

  it.each([
    ['ends', 'process.exit(3)'],
    ['throws', 'throw new Error("worker broke")'],
  ])('inside a search: when it %s that is said, and another takes its place', async (name, act) => {
    const code = `if (message.searches?.some(({ k }) => k === 7)) ${act}`
    const pool = poolOf({ threads: 2, taskModule: await wrappedWorker(`dies-${name}`, code) })
    const index = opened('cosine', pool.contexts)
    for (let round = 0; round < 3; round++) {
      await expect(search(pool, index, deadly)).rejects.toMatchObject({
        code: 'INTERNAL',
        message: expect.stringMatching(/worker thread ended/),
      })
      const requests = Array.from({ length: 8 }, (_, i) => requestOf(round * 8 + i))
      const found = await Promise.all(requests.map((request) => search(pool, index, request)))
      expect(found).toEqual(requests.map((request) => searchRanked(index, request)))
    }
  })

  it('inside a digest rejects it', async () => {
    const dies = await wrappedWorker(
      'dies-digest',
      `if (message.kind === 'digest') process.exit(1)`,
    )
    const pool = poolOf({ taskModule: dies })
    await expect(pool.digests(new Uint8Array(10), 10)).rejects.toMatchObject({ code: 'INTERNAL' })
  })
})

const digestsOf = (digests: Uint8Array): string[] =>
  Array.from({ length: digests.length / 32 }, (_, i) =>
    Buffer.from(digests.subarray(i * 32, (i + 1) * 32)).toString('hex'),
  )

const wanted = (bytes: Uint8Array, chunkBytes: number): string[] =>
  Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, i) =>
    sha256Hex(bytes.subarray(i * chunkBytes, (i + 1) * chunkBytes)),
  )

describe('a pool', () => {
  const deaf = () => wrappedWorker('deaf', 'return')

  it('refuses searches beyond its queue, and rejects those that wait when it closes', async () => {
    const pool = poolOf({ taskModule: await deaf(), threads: 1 })
    const index = opened('cosine', pool.contexts)
    const request = requestOf(0)
    const outcomes: Promise<unknown>[] = []
    let refused: unknown
    for (let i = 0; i < limits.searchesWaitingMax + 100 && refused === undefined; i++) {
      const found = search(pool, index, request)
      outcomes.push(found.catch((error: unknown) => error))
      if (i >= limits.searchesWaitingMax) {
        refused = await Promise.race([outcomes.at(-1), new Promise((go) => setImmediate(go))])
      }
    }
    expect(refused).toMatchObject({ code: 'LIMIT', details: { limit: 'searchesWaitingMax' } })
    await pool.close()
    const errors = await Promise.all(outcomes.slice(0, -1))
    expect(errors.every((error) => /closed/.test(String(error)))).toBe(true)
    await expect(search(pool, index, request)).rejects.toThrow(/closed/)
  })

  it('gives up a search that is aborted, in the queue and in a worker', async () => {
    const pool = poolOf({ taskModule: await deaf(), threads: 1 })
    const index = opened('cosine', pool.contexts)
    const stop = new AbortController()
    const searches = Array.from({ length: 30 }, (_, i) =>
      search(pool, index, requestOf(i), stop.signal),
    )
    const outcomes = Promise.allSettled(searches)
    stop.abort(new Error('enough'))
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'enough' } })
    }
    await expect(search(pool, index, requestOf(0), stop.signal)).rejects.toThrow('enough')
  })

  it('lets go of an index that was forgotten before it was searched', async () => {
    const log = join(folder, 'messages')
    const note = `process.getBuiltinModule('node:fs')
      .appendFileSync(${JSON.stringify(log)}, message.kind + ' ')`
    const pool = poolOf({ taskModule: await wrappedWorker('noting', note), threads: 1 })
    const index = opened('cosine', pool.contexts)
    pool.forget(index)
    expect(await search(pool, index, requestOf(1))).toEqual(searchRanked(index, requestOf(1)))
    await pool.digests(new Uint8Array(1), 1)
    expect(await readFile(log, 'utf8')).toBe('search detach digest ')
  })

  it('leaves a processor to the calling thread, until there is more to do at once', async () => {
    const file = join(folder, 'started.mjs')
    const log = join(folder, 'started')
    await writeFile(
      file,
      `import { appendFileSync } from 'node:fs'
       appendFileSync(${JSON.stringify(log)}, 'x')
       await import(${JSON.stringify(moduleUrl('task-worker.ts'))})`,
    )
    const started = async (): Promise<number> => (await readFile(log)).length
    const pool = poolOf({ taskModule: pathToFileURL(file), threads: 3, processors: 2 })
    const index = opened('cosine', pool.contexts)
    pool.warm()
    await Promise.all(Array.from({ length: 6 }, (_, i) => search(pool, index, requestOf(i))))
    expect(await started()).toBe(1)
    const long = { index, request: requestOf(0), costNs: 60_000_000 }
    await Promise.all(Array.from({ length: 8 }, () => pool.search(long)))
    expect(await started()).toBe(3)
  })

  it('has the calling thread do what waits for a worker, where that is short', async () => {
    const pool = poolOf({ taskModule: await deaf(), threads: 1 })
    const index = opened('cosine', pool.contexts)
    // The worker is given two at once.
    const searches = Array.from({ length: 6 }, (_, i) => search(pool, index, requestOf(i)))
    const lost = Promise.allSettled(searches.slice(0, 2))
    for (let i = 2; i < 6; i++) expect(pool.help()).toBe(true)
    expect(pool.help()).toBe(false)
    const found = await Promise.all(searches.slice(2))
    expect(found).toEqual([2, 3, 4, 5].map((row) => searchRanked(index, requestOf(row))))
    const wrong = search(pool, index, requestOf(0, { query: new Float32Array(3) }))
    expect(pool.help()).toBe(true)
    await expect(wrong).rejects.toMatchObject({ code: 'DIMENSION_MISMATCH' })
    const long = pool.search({ index, request: requestOf(0), costNs: 2_000_000 })
    const given = expect(long).rejects.toThrow(/closed/)
    expect(pool.help()).toBe(false)
    await pool.close()
    await given
    expect((await lost).every(({ status }) => status === 'rejected')).toBe(true)
  })

  it('ends idle workers, and starts others when they are needed', async () => {
    const pool = poolOf({ idleMs: 1 })
    const index = opened('dot', pool.contexts)
    for (let round = 0; round < 3; round++) {
      const found = await search(pool, index, requestOf(round))
      expect(found).toEqual(searchRanked(index, requestOf(round)))
      while (pool.ready) await new Promise((turn) => setImmediate(turn))
    }
  })

  it('hashes bytes and gives them back', async () => {
    const pool = poolOf()
    const sizes = [0, 1, 4 * 2 ** 20, 4 * 2 ** 20 + 1, 9 * 2 ** 20]
    const given = sizes.map((bytes, i) => new Uint8Array(bytes).fill(i + 1))
    const copies = given.map((bytes) => bytes.slice())
    const chunkBytes = 2 ** 20
    const digested = await Promise.all(given.map((bytes) => pool.digests(bytes, chunkBytes)))
    for (const [i, { digests, bytes }] of digested.entries()) {
      expect(digestsOf(digests)).toEqual(wanted(copies[i] as Uint8Array, chunkBytes))
      expect(Buffer.compare(bytes, copies[i] as Uint8Array)).toBe(0)
    }
    // Part of a larger buffer is copied, not moved.
    const whole = new Uint8Array(100).fill(7)
    const { digests } = await pool.digests(whole.subarray(10, 20), 4)
    expect(digestsOf(digests)).toEqual(wanted(whole.subarray(10, 20), 4))
    expect(whole).toHaveLength(100)
  })

  it('hashes shared memory where it is', async () => {
    const pool = poolOf()
    const memory = new Uint8Array(new SharedArrayBuffer(300_000)).map((_, i) => i * 7)
    const shared = new Uint8Array(new SharedArrayBuffer(300_000))
    shared.set(memory)
    const { digests, bytes } = await pool.digests(shared.subarray(1_000), 65_536)
    expect(digestsOf(digests)).toEqual(wanted(memory.slice(1_000), 65_536))
    // The same memory under another name.
    bytes[0] = 99
    expect(shared[1_000]).toBe(99)
  })

  it.each([
    ['a worker says that it runs', 'pool.warm()\n while (!existsSync(said)) {}'],
    ['a build is given up', 'pool.build(segment, hnsw).catch(() => undefined)\n await turn()'],
  ])('is closed before the program is over, though %s meanwhile', async (what, begin) => {
    const said = join(folder, `said ${what}`)
    const worker = join(folder, `${what}.mjs`)
    await writeFile(
      worker,
      `import { writeFileSync } from 'node:fs'
       import { parentPort } from 'node:worker_threads'
       parentPort.postMessage([])
       writeFileSync(${JSON.stringify(said)}, '')
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)`,
    )
    const file = join(folder, `closes while ${what}.ts`)
    await writeFile(
      file,
      `import { existsSync } from 'node:fs'
       import { setImmediate as turn } from 'node:timers/promises'
       import { createWorkerPool } from ${JSON.stringify(moduleUrl('worker-pool.ts'))}
       const said = ${JSON.stringify(said)}
       const taskModule = new URL(${JSON.stringify(pathToFileURL(worker).href)})
       const pieces = [Float32Array.from({ length: 1_000_000 }, (_, i) => Math.sin(i * i))]
       const segment = { rows: 10_000, dimension: 100, metric: 'cosine', pieces }
       const hnsw = { type: 'hnsw', m: 16, efConstruction: 200 }
       const pool = createWorkerPool({ threads: 1, taskModule })
       ${begin}
       await pool.close()
       console.log('closed')`,
    )
    const { stdout } = await run(process.execPath, [file])
    expect(stdout).toBe('closed\n')
  })

  it('does not keep the process alive when idle, but does while it searches', async () => {
    const file = join(folder, 'idle.ts')
    const from = (name: string) => JSON.stringify(moduleUrl(name))
    await writeFile(
      file,
      `import { openVectorIndex } from ${from('open-index.ts')}
       import { createWorkerPool } from ${from('worker-pool.ts')}
       const pieces = [Float32Array.from({ length: 50000 }, (_, i) => Math.sin(i * i))]
       const parameters = { type: 'flat' as const, m: 8, efConstruction: 50 }
       const shape = { rows: 1000, dimension: 50, metric: 'dot' as const, pieces, parameters }
       const index = openVectorIndex({ ...shape, contexts: 3 })
       const pool = createWorkerPool({ threads: 2 })
       pool.warm()
       const request = { query: pieces[0]!.slice(0, 50), k: 3, ef: 10, kind: 'scan-f32' as const }
       void pool.search({ index, request, costNs: 1 })
         .then(({ rows }) => process.stdout.write('rows ' + rows.length))\n`,
    )
    const { stdout } = await run(process.execPath, [file], { timeout: 9_000 })
    expect(stdout).toBe('rows 3')
  })
})
