import { dirname } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { FilterCache } from '../../src/db/segment/filter-cache.ts'
import type { ViewSegment } from '../../src/db/segment/view.ts'
import { parseFilter } from '../../src/search/filter.ts'
import { inputFile, lines, tempStore } from '../support/temp-store.ts'

async function segmentOf(): Promise<ViewSegment> {
  const store = await tempStore()
  const docs = store.prospect('docs')
  await docs.ingest({ inputs: [await inputFile(dirname(store.url), 'a.jsonl', lines('r', 40))] })
  const { view, hold } = await docs.core.hold()
  await hold.release()
  return view.segments[0] as ViewSegment
}

const even = { tag: 'even' }
const filter = parseFilter(even)
const text = JSON.stringify(even)

it('keeps the rows of a filter for one state of a segment', async () => {
  const cache = new FilterCache()
  const segment = await segmentOf()
  const first = await cache.select(segment, filter, text)
  expect(first).toMatchObject({ count: 20, estimate: 20 })
  expect(await cache.select(segment, filter, text)).toBe(first)
  const alive = segment.alive.clone()
  alive.remove(0)
  const later = { ...segment, alive, live: segment.live - 1 }
  expect(await cache.select(later, filter, text)).toMatchObject({ count: 19 })
  // The same segment in the older state is not mistaken for it.
  expect(await cache.select(segment, filter, text)).toMatchObject({ count: 20 })
  cache.clear()
  expect(await cache.select(segment, filter, text)).not.toBe(first)
})

it('does not keep filters without a text, long ones and failures', async () => {
  const cache = new FilterCache()
  const segment = await segmentOf()
  for (const not of [undefined, 'x'.repeat(limits.filterCacheTextMax + 1)]) {
    const once = await cache.select(segment, filter, not)
    expect(await cache.select(segment, filter, not)).not.toBe(once)
  }
  let calls = 0
  const reader = new Proxy(segment.reader, {
    get: (target, name) => {
      if (name === 'fields' && calls++ === 0) return () => Promise.reject(new Error('once'))
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const failing = { ...segment, reader }
  await expect(cache.select(failing, filter, text)).rejects.toThrow('once')
  expect(await cache.select(failing, filter, text)).toMatchObject({ count: 20 })
})

it('lets go of what was used longest ago when it holds too much', async () => {
  const cache = new FilterCache()
  const segment = await segmentOf()
  // Each entry stands for its key's length; these are as long as they may be.
  const textOf = (i: number): string => `${i}`.padEnd(limits.filterCacheTextMax, '.')
  const first = await cache.select(segment, filter, textOf(0))
  const second = await cache.select(segment, filter, textOf(1))
  const fits = Math.floor(limits.filterCacheBytesMax / (2 * limits.filterCacheTextMax + 700))
  for (let i = 2; i < fits; i++) await cache.select(segment, filter, textOf(i))
  expect(await cache.select(segment, filter, textOf(0))).toBe(first)
  for (let i = fits; i < fits + 80; i++) await cache.select(segment, filter, textOf(i))
  expect(await cache.select(segment, filter, textOf(0))).toBe(first)
  expect(await cache.select(segment, filter, textOf(1))).not.toBe(second)
})

it('keeps no older state of a segment in memory', async () => {
  const cache = new FilterCache()
  const segment = await segmentOf()
  const older: WeakRef<object>[] = []
  for (let row = 0; row < 20; row++) {
    const alive = segment.alive.clone()
    alive.remove(row)
    older.push(new WeakRef(alive))
    await cache.select({ ...segment, alive, live: segment.live - 1 }, filter, `${text} ${row}`)
  }
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const held = (): number => {
    collect()
    return older.filter((set) => set.deref() !== undefined).length
  }
  await expect.poll(held).toBeLessThan(2)
  expect(await cache.select(segment, filter, text)).toMatchObject({ count: 20 })
})
