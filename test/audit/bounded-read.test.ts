import { expect, it } from 'vitest'
import { readBounded } from '../../src/audit/bounded-read.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { systemClock } from '../../src/storage/system-clock.ts'

const KEY = 'audit/log/tail/000'

/** A store whose file changes between every look at its length and the reading. */
function changing(store: ObjectStore, change: (reads: number) => Promise<void>): ObjectStore {
  let reads = 0
  const get: ObjectStore['get'] = async (key, range) => {
    await change(++reads)
    return await store.get(key, range)
  }
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'get') return get
      const value = Reflect.get(target, name)
      return value instanceof Function ? value.bind(target) : value
    },
  })
}

const bound = (store: ObjectStore): ObjectStore =>
  ({ get: store.get.bind(store), head: store.head.bind(store) }) as unknown as ObjectStore

it('reads a file that is cut and grows again meanwhile', async () => {
  const store = createMemoryStore({ clock: systemClock })
  await store.append(KEY, Buffer.from('one\ntorn'), 0)
  const busy = changing(store, async (reads) => {
    if (reads === 1) await store.truncate(KEY, 4)
    if (reads === 2) await store.append(KEY, Buffer.from('two\nand more'), 4)
  })
  // It has grown by the time that its length is looked at again.
  const head: ObjectStore['head'] = async (key) => {
    const info = await store.head(key)
    if (info?.bytes === 4) await busy.get(key).catch(() => undefined)
    return await store.head(key)
  }
  const found = await readBounded({ ...bound(busy), head }, KEY, 100)
  expect(Buffer.from(found as Uint8Array).toString()).toBe('one\ntwo\nand more')
})

it('gives up on a file that is cut whenever it is read', async () => {
  const store = createMemoryStore({ clock: systemClock })
  await store.append(KEY, Buffer.alloc(64), 0)
  const busy = changing(store, (reads) => store.truncate(KEY, 64 - reads))
  await expect(readBounded(busy, KEY, 100)).rejects.toMatchObject({ code: 'INTEGRITY' })
})

it('reads nothing of what is missing or too long', async () => {
  const store = createMemoryStore({ clock: systemClock })
  expect(await readBounded(store, KEY, 100)).toBeUndefined()
  await store.append(KEY, Buffer.alloc(101), 0)
  expect(await readBounded(store, KEY, 100)).toBe('too long')
})
