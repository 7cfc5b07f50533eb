import { expect, it } from 'vitest'
import type { BlobRef } from '../../src/format/manifest.ts'
import { BlobArrivals } from '../../src/transfer/pull/arrivals.ts'

const ref = (digest: string) => ({ digest }) as BlobRef

/** What became of a promise by now. */
async function stateOf(promise: Promise<unknown>): Promise<string> {
  const turns = new Promise((resolve) => setImmediate(resolve, 'waits'))
  const ended = promise.then(
    () => 'ready',
    (error: Error) => error.message,
  )
  return (await Promise.race([ended, turns])) as string
}

it('are ready when the last of them is there, in whatever order they come', async () => {
  const arrivals = new BlobArrivals(undefined)
  arrivals.add(ref('b'))
  const ready = arrivals.ready([ref('a'), ref('b'), ref('c')])
  arrivals.add(ref('c'))
  expect(await stateOf(ready)).toBe('waits')
  arrivals.add(ref('a'))
  expect(await stateOf(ready)).toBe('ready')
  expect(await stateOf(arrivals.ready([]))).toBe('ready')
})

it('are told why no more come, whenever they wait; what is there stays there', async () => {
  const arrivals = new BlobArrivals(undefined)
  arrivals.add(ref('a'))
  const ready = arrivals.ready([ref('a'), ref('b')])
  expect(await stateOf(ready)).toBe('waits')
  arrivals.fail(new Error('the server is gone'))
  arrivals.fail(new Error('it was stopped'))
  expect(await stateOf(ready)).toBe('the server is gone')
  expect(await stateOf(arrivals.ready([ref('c')]))).toBe('the server is gone')
  expect(await stateOf(arrivals.ready([ref('a')]))).toBe('ready')
})

it('are sound where somebody looked at them, and found nothing', () => {
  const arrivals = new BlobArrivals(undefined)
  arrivals.add(ref('there'))
  arrivals.add(ref('sound'), { isSound: true })
  arrivals.add(ref('broken'), { isSound: false })
  const found = ['there', 'sound', 'broken', 'absent'].map((name) => arrivals.isSound(ref(name)))
  expect(found).toEqual([false, true, false, false])
})
