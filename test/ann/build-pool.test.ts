import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildIndexSync } from '../../src/ann/build-index.ts'
import { createIndexBuilder } from '../../src/ann/build-pool.ts'
import { METRICS } from '../../src/core/metric.ts'
import { clusteredVectors, GRAPH, segmentOf } from './reference.ts'

const run = promisify(execFile)
const dimension = 70
const vectors = clusteredVectors(2_500, dimension, 80)
const segment = segmentOf('cosine', dimension, vectors)
const options = { graphRowsMin: 1 }
let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'akidb-pool-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe('index builder', () => {
  it.each(METRICS)('makes the same bytes by %s with any number of workers', async (metric) => {
    for (const width of [dimension, 12]) {
      const piece = vectors.subarray(0, 2_000 * width)
      const shape = segmentOf(metric, width, piece)
      const expected = buildIndexSync(shape, GRAPH, options)
      for (const threads of [1, 2, 3]) {
        const builder = createIndexBuilder({ ...options, threads })
        expect(await builder.build(shape, GRAPH)).toEqual(expected)
        await builder.close()
      }
    }
  })

  it('builds one after the other, also in memory used before', async () => {
    const builder = createIndexBuilder({ ...options, threads: 2 })
    const sizes = [2_500, 700, 2_499, 1, 0, 1_300]
    const shapes = sizes.map((rows) =>
      segmentOf('l2', dimension, vectors.subarray(0, rows * dimension)),
    )
    const all = await Promise.all(shapes.map((shape) => builder.build(shape, GRAPH)))
    expect(all).toEqual(shapes.map((shape) => buildIndexSync(shape, GRAPH, options)))
    await builder.close()
  })

  it('takes vectors in pieces of whole rows', async () => {
    const builder = createIndexBuilder({ ...options, threads: 1 })
    const pieces = [vectors.slice(0, dimension), new Float32Array(0), vectors.slice(dimension)]
    expect(await builder.build({ ...segment, pieces }, GRAPH)).toEqual(
      buildIndexSync(segment, GRAPH, options),
    )
    await builder.close()
  })

  it('takes pieces as they come, each valid until the next', async () => {
    const builder = createIndexBuilder({ ...options, threads: 2 })
    expect(await builder.build({ ...segment, pieces: streamed() }, GRAPH)).toEqual(
      buildIndexSync(segment, GRAPH, options),
    )
    await builder.close()
  })

  it('goes on after pieces that end early or fail', async () => {
    const builder = createIndexBuilder({ ...options, threads: 1 })
    const short = { ...segment, pieces: streamed(segment.rows - 1) }
    await expect(builder.build(short, GRAPH)).rejects.toMatchObject({ code: 'BAD_INPUT' })
    const failing = { ...segment, pieces: streamed(segment.rows, new Error('disk broke')) }
    await expect(builder.build(failing, GRAPH)).rejects.toThrow('disk broke')
    expect((await builder.build(segment, GRAPH)).graph).toBeDefined()
    await builder.close()
  })

  it('stops while pieces still come', async () => {
    const builder = createIndexBuilder({ ...options, threads: 1 })
    const [abort, started] = [new AbortController(), Promise.withResolvers<void>()]
    const aborted = builder.build({ ...segment, pieces: slow(started) }, GRAPH, abort.signal)
    await started.promise
    abort.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    const again = Promise.withResolvers<void>()
    const closed = builder.build({ ...segment, pieces: slow(again) }, GRAPH)
    closed.catch(() => undefined)
    await again.promise
    await builder.close()
    await expect(closed).rejects.toThrow(/closed/)
  })

  it('makes no graph for type flat', async () => {
    const builder = createIndexBuilder({ ...options, threads: 1 })
    const { graph } = await builder.build(segment, { ...GRAPH, type: 'flat' })
    expect(graph).toBeUndefined()
    await builder.close()
  })

  it('refuses a row that is not finite and goes on with the next build', async () => {
    const builder = createIndexBuilder({ ...options, threads: 2 })
    const bad = vectors.slice()
    bad[5 * dimension + 3] = Number.NaN
    await expect(builder.build(segmentOf('dot', dimension, bad), GRAPH)).rejects.toMatchObject({
      code: 'BAD_INPUT',
      details: { row: 5 },
    })
    expect((await builder.build(segment, GRAPH)).graph).toBeDefined()
    await builder.close()
  })

  it('stops when aborted, inside the kernel too, and builds again afterwards', async () => {
    const builder = createIndexBuilder({ ...options, threads: 2 })
    const abort = new AbortController()
    const slow = { ...GRAPH, m: 32, efConstruction: 2_000 }
    const building = builder.build(segment, slow, abort.signal)
    setTimeout(() => abort.abort(new Error('enough')), 150)
    await expect(building).rejects.toThrow('enough')
    await expect(builder.build(segment, slow, abort.signal)).rejects.toThrow('enough')
    expect(await builder.build(segment, GRAPH)).toEqual(buildIndexSync(segment, GRAPH, options))
    await builder.close()
  })

  it('rejects builds under way and later ones when closed', async () => {
    const builder = createIndexBuilder({ ...options, threads: 2 })
    const building = builder.build(segment, GRAPH)
    const waiting = builder.build(segment, GRAPH)
    const outcomes = Promise.allSettled([building, waiting])
    await builder.close()
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await expect(builder.build(segment, GRAPH)).rejects.toThrow(/closed/)
    await builder.close()
  })

  it.each(['process.exit(3)', 'throw new Error("worker broke")'])(
    'fails instead of hanging when a worker does %s',
    async (act) => {
      const file = join(folder, `worker-${act.length}.mjs`)
      const code = `import { parentPort } from 'node:worker_threads'
        parentPort.on('message', () => { ${act} })`
      await writeFile(file, code)
      const builder = createIndexBuilder({ ...options, threads: 2, workerUrl: pathToFileURL(file) })
      await expect(builder.build(segment, GRAPH)).rejects.toThrow(/ended early|worker broke/)
      await expect(builder.build(segment, GRAPH)).rejects.toThrow(/ended early|worker broke/)
      await builder.close()
    },
  )

  it.each([0, 33, 1.5])('refuses %s threads', (threads) => {
    expect(() => createIndexBuilder({ threads })).toThrow(
      expect.objectContaining({ code: 'LIMIT' }),
    )
  })

  it('refuses parameters beyond the limits', async () => {
    const builder = createIndexBuilder({ ...options, threads: 1 })
    for (const parameters of [{ m: 1 }, { m: 65 }, { efConstruction: 2_001 }]) {
      await expect(builder.build(segment, { ...GRAPH, ...parameters })).rejects.toMatchObject({
        code: 'LIMIT',
      })
    }
    await builder.close()
  })

  it('does not keep the process alive when idle, but does while building', async () => {
    const file = join(folder, 'idle.ts')
    const from = (name: string) =>
      JSON.stringify(new URL(`../../src/ann/${name}`, import.meta.url).href)
    await writeFile(
      file,
      `import { createIndexBuilder } from ${from('build-pool.ts')}
       const vectors = Float32Array.from({ length: 50000 }, (_, i) => Math.sin(i * i))
       const segment = { rows: 1000, dimension: 50, metric: 'dot' as const, pieces: [vectors] }
       const parameters = { type: 'hnsw' as const, m: 8, efConstruction: 50 }
       void createIndexBuilder({ threads: 2, graphRowsMin: 1 }).build(segment, parameters)
         .then(({ graph }) => process.stdout.write('graph ' + (graph !== undefined)))\n`,
    )
    const { stdout } = await run(process.execPath, [file], { timeout: 30_000 })
    expect(stdout).toBe('graph true')
  })
})

/** Rows of the segment, one after the other in the same memory; may fail behind the last. */
async function* streamed(rows = segment.rows, failure?: Error): AsyncGenerator<Float32Array> {
  const piece = new Float32Array(dimension)
  for (let row = 0; row < rows; row++) {
    piece.set(vectors.subarray(row * dimension, (row + 1) * dimension))
    yield piece
  }
  if (failure !== undefined) throw failure
}

/** The same with others' turns between them; says when the first was taken. */
async function* slow(started: PromiseWithResolvers<void>): AsyncGenerator<Float32Array> {
  for await (const piece of streamed()) {
    yield piece
    started.resolve()
    await setImmediate()
  }
}
