import { expect, it } from 'vitest'
import { PageCache } from '../../src/db/segment/page-cache.ts'
import type { DecodedPage } from '../../src/format/payload-section.ts'

const pageOf = (bytes: number): DecodedPage => ({
  rows: 1,
  bytes,
  text: () => Buffer.alloc(0),
})

it('keeps the pages that are used, within its bytes, of all owners together', async () => {
  const cache = new PageCache(100)
  const [a, b] = [{}, {}]
  let made = 0
  const get = (owner: object, number: number, bytes = 40): Promise<DecodedPage> =>
    cache.get(owner, number, async () => {
      made++
      return pageOf(bytes)
    })
  const first = await get(a, 1)
  expect(await get(a, 1)).toBe(first)
  expect(cache.now(a, 1)).toBe(first)
  expect(cache.now(b, 1)).toBeUndefined()
  await get(b, 1)
  expect(made).toBe(2)
  cache.now(a, 1)
  // The older of the two was used, the other was not.
  await get(b, 2)
  expect(cache.now(b, 1)).toBeUndefined()
  expect(cache.now(b, 2)).toBeDefined()
  // It was passed over once, and was not used again.
  await get(b, 3)
  expect(cache.now(a, 1)).toBeUndefined()
  expect(cache.now(b, 2)).toBeDefined()
  await get(a, 1)
  // One that is larger than all stays until the next.
  await get(a, 9, 1_000)
  expect(cache.now(a, 9)).toBeDefined()
  expect(cache.now(a, 1)).toBeUndefined()
  await get(a, 10)
  expect(cache.now(a, 9)).toBeUndefined()
})

it('makes a page once for those who ask at the same time, and again after a failure', async () => {
  const cache = new PageCache(100)
  const owner = {}
  let made = 0
  const make = async (): Promise<DecodedPage> => {
    if (made++ === 0) throw new Error('torn')
    return pageOf(1)
  }
  const both = await Promise.allSettled([cache.get(owner, 1, make), cache.get(owner, 1, make)])
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(made).toBe(1)
  expect(await cache.get(owner, 1, make)).toMatchObject({ bytes: 1 })
})

it('lets go of all pages of an owner, also of one that is being made', async () => {
  const cache = new PageCache(100)
  const owner = {}
  for (let round = 0; round < 20; round++) {
    const pending = cache.get(owner, 1, async () => pageOf(10))
    cache.forget(owner)
    await pending
    expect(cache.now(owner, 1)).toBeUndefined()
  }
  // What was let go of takes no bytes.
  await cache.get(owner, 3, async () => pageOf(80))
  await cache.get(owner, 2, async () => pageOf(10))
  expect(cache.now(owner, 2)).toBeDefined()
  expect(cache.now(owner, 3)).toBeDefined()
  cache.forget(owner)
  expect(cache.now(owner, 2)).toBeUndefined()
})
