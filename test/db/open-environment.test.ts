import { availableParallelism } from 'node:os'
import { expect, it, vi } from 'vitest'
import { createWorkerPool } from '../../src/ann/worker-pool.ts'
import { tempStore } from '../support/temp-store.ts'

vi.mock('../../src/ann/worker-pool.ts', async (original) => {
  const pool = await original<typeof import('../../src/ann/worker-pool.ts')>()
  return { ...pool, createWorkerPool: vi.fn(pool.createWorkerPool) }
})

it('the worker threads of a store know how many processors there are', async () => {
  const store = await tempStore()
  await store.createCollection('docs', { dimension: 2 })
  const pool = store.core('docs').environment.workers?.()
  expect(pool?.threads).toBeGreaterThan(0)
  expect(createWorkerPool).toHaveBeenCalledExactlyOnceWith(
    expect.objectContaining({ processors: availableParallelism() }),
  )
  await store.close()
})
