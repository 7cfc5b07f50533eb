import { expect, it } from 'vitest'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import { createPartedStore } from '../../src/storage/parted-store.ts'

const KEY = 'logs/a/tail'
const bytesOf = (text: string): Buffer => Buffer.from(text)

function newStore() {
  let now = 0
  const inner = createMemoryStore({ clock: { nowMs: () => ++now } })
  const store = createPartedStore(inner, 'logs/', (key) => key.endsWith('/tail'))
  const textOf = async (key: string, range?: { offset: number; bytes: number }) =>
    Buffer.from(await store.get(key, range)).toString()
  const keysOf = async (options = {}): Promise<string[]> =>
    (await Array.fromAsync(store.list('', options))).map(({ key, bytes }) => `${key} ${bytes}`)
  const raw = async (): Promise<string[]> =>
    (await Array.fromAsync(inner.list(''))).map(({ key }) => key)
  return { inner, store, textOf, keysOf, raw }
}

const partOf = (offset: number): string => `${KEY}@${String(offset).padStart(20, '0')}`

async function withParts(...parts: readonly string[]) {
  const made = newStore()
  let at = 0
  for (const part of parts) {
    await made.store.append(KEY, bytesOf(part), at)
    at += part.length
  }
  return made
}

it('reads what was appended as one object, in any range', async () => {
  const { inner, store, textOf, raw } = await withParts('one', 'two', 'three')
  expect(await raw()).toEqual([partOf(0), partOf(3), partOf(6)])
  const whole = 'onetwothree'
  for (let offset = 0; offset <= whole.length; offset++) {
    for (let bytes = 0; offset + bytes <= whole.length; bytes++) {
      expect(await textOf(KEY, { offset, bytes })).toBe(whole.slice(offset, offset + bytes))
    }
  }
  await expect(store.get(KEY, { offset: 6, bytes: 6 })).rejects.toMatchObject({ code: 'INTEGRITY' })
  const pieces = await Array.fromAsync(store.read(KEY, { offset: 4 }))
  expect(Buffer.concat(pieces).toString()).toBe('wothree')
  const newest = await inner.head(partOf(6))
  expect(await store.head(KEY)).toEqual({ ...newest, key: KEY, bytes: 11 })
  expect(await store.head('logs/b/tail')).toBeUndefined()
  await expect(store.get('logs/b/tail')).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

it('gives each place to one of those who append', async () => {
  const { store, textOf } = await withParts('one')
  const both = [store.append(KEY, bytesOf('two'), 3), store.append(KEY, bytesOf('TWO'), 3)]
  const results = await Promise.allSettled(both)
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  await expect(store.append(KEY, bytesOf('x'), 0)).rejects.toMatchObject({ code: 'CONFLICT' })
  expect((await textOf(KEY)).toLowerCase()).toBe('onetwo')
  await store.append(KEY, new Uint8Array(0), 6)
  expect((await store.head(KEY))?.bytes).toBe(6)
})

it('ends where parts do not follow each other', async () => {
  const { inner, store, textOf, keysOf } = await withParts('one', 'two', 'three', 'four')
  await inner.delete(partOf(6))
  expect(await textOf(KEY)).toBe('onetwo')
  expect((await store.head(KEY))?.bytes).toBe(6)
  expect(await keysOf()).toEqual([`${KEY} 6`])
  await inner.delete(partOf(0))
  await expect(store.get(KEY)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(await keysOf()).toHaveLength(1)
})

it('is cut between two parts alone', async () => {
  const { store, textOf } = await withParts('one', 'two', 'three')
  await expect(store.truncate(KEY, 4)).rejects.toMatchObject({ code: 'INTERNAL' })
  await store.truncate(KEY, 11)
  expect(await textOf(KEY)).toBe('onetwothree')
  await store.truncate(KEY, 3)
  await store.append(KEY, bytesOf('!'), 3)
  expect(await textOf(KEY)).toBe('one!')
  await store.truncate(KEY, 0)
  expect(await store.head(KEY)).toBeUndefined()
})

it('is nothing once its deletion began, and a second one removes the rest', async () => {
  const { inner, store, raw } = await withParts('one', 'two', 'three')
  const seen: (number | undefined)[] = []
  const dying = createPartedStore(
    {
      ...inner,
      list: (prefix, options) => inner.list(prefix, options),
      delete: async (key) => {
        if (seen.length === 1) throw new Error('killed')
        const was = await inner.delete(key)
        seen.push((await store.head(KEY))?.bytes)
        return was
      },
    },
    'logs/',
    () => true,
  )
  await expect(dying.delete(KEY)).rejects.toThrow('killed')
  expect(seen).toEqual([undefined])
  expect(await raw()).toHaveLength(2)
  await store.delete(KEY)
  expect(await raw()).toEqual([])
  expect(await store.delete(KEY)).toBe(false)
})

it('is listed once among the others, which are as they were', async () => {
  const { store, keysOf, textOf } = await withParts('one', 'two')
  const other = `logs/b@${'0'.repeat(20)}`
  for (const key of ['a', 'logs/a/part', 'logs/a/u', 'z']) await store.put(key, bytesOf('x'))
  const all = ['a 1', 'logs/a/part 1', `${KEY} 6`, 'logs/a/u 1', 'z 1']
  expect(await keysOf()).toEqual(all)
  for (let i = 0; i < all.length; i++) {
    expect(await keysOf({ limit: i })).toEqual(all.slice(0, i))
    expect(await keysOf({ after: all[i]?.split(' ')[0] })).toEqual(all.slice(i + 1))
  }
  expect(await textOf('logs/a/part')).toBe('x')
  expect(await store.delete('logs/a/part')).toBe(true)
  expect(await store.head(other)).toBeUndefined()
})
