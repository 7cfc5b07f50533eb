import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ObjectInfo, ObjectStore, StagedObject } from '../../src/storage/object-store.ts'

/** One fresh, empty store and how to get rid of it. */
export interface StoreUnderTest {
  readonly store: ObjectStore
  dispose(): Promise<void>
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

async function keysOf(objects: AsyncIterable<ObjectInfo>): Promise<string[]> {
  const keys: string[] = []
  for await (const info of objects) keys.push(info.key)
  return keys
}

async function gather(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return all
}

function pattern(bytes: number): Uint8Array {
  const body = new Uint8Array(bytes)
  for (let i = 0; i < bytes; i++) body[i] = (i * 31 + (i >>> 8)) & 0xff
  return body
}

/**
 * What every ObjectStore must do; `append` where it says that it can. Where it lists page by page,
 * what goes meanwhile may still be listed.
 */
export function storeConformance(
  name: string,
  create: () => Promise<StoreUnderTest>,
  { append = true, paged = false }: { readonly append?: boolean; readonly paged?: boolean } = {},
): void {
  describe(`${name}: object store`, () => {
    let under: StoreUnderTest
    let store: ObjectStore
    beforeEach(async () => {
      under = await create()
      store = under.store
    })
    afterEach(async () => {
      await store.close()
      await under.dispose()
    })
    putAndGet(() => store)
    it('says what it can do', () => {
      expect(store.capabilities).toMatchObject({ conditionalPut: true, append })
    })
    refusals(() => store)
    describe.each([{}, { cold: true }])('stages with %o', (options) => {
      staging(
        () => store,
        (current) => current.stage(options),
      )
    })
    listing(() => store, paged)
    sweeping(() => store)
    if (append) appending(() => store)
  })
}

function putAndGet(current: () => ObjectStore): void {
  it('returns what was put, whole and in ranges', async () => {
    const body = pattern(100_000)
    expect(await current().put('blobs/0/ab/x', body)).toBe('created')
    expect(await current().get('blobs/0/ab/x')).toEqual(body)
    const range = await current().get('blobs/0/ab/x', { offset: 99_999, bytes: 1 })
    expect(range).toEqual(body.slice(99_999))
    expect(await current().get('blobs/0/ab/x', { offset: 5, bytes: 0 })).toHaveLength(0)
    expect(await current().get('blobs/0/ab/x', { offset: 100_000, bytes: 0 })).toHaveLength(0)
  })

  it('keeps an empty object', async () => {
    await current().put('empty', new Uint8Array(0))
    expect(await current().get('empty')).toHaveLength(0)
    expect(await gather(current().read('empty'))).toEqual([])
    expect((await current().head('empty'))?.bytes).toBe(0)
  })

  it('does not share memory with its callers', async () => {
    const body = bytesOf('abc')
    await current().put('k', body)
    body[0] = 0
    const read = await current().get('k')
    read[1] = 0
    expect(textOf(await current().get('k'))).toBe('abc')
  })

  it('never overwrites with ifAbsent, and replaces with replace', async () => {
    expect(await current().put('k', bytesOf('one'))).toBe('created')
    expect(await current().put('k', bytesOf('two'))).toBe('exists')
    expect(textOf(await current().get('k'))).toBe('one')
    expect(await current().put('k', bytesOf('three'), { mode: 'replace' })).toBe('created')
    expect(textOf(await current().get('k'))).toBe('three')
    expect(await current().put('new', bytesOf('n'), { mode: 'replace' })).toBe('created')
  })

  it('does the same with what need not outlive a power failure', async () => {
    const durable = false
    expect(await current().put('a/k', bytesOf('one'), { durable })).toBe('created')
    expect(await current().put('a/k', bytesOf('two'), { durable })).toBe('exists')
    expect(await current().put('a/k', bytesOf('three'), { mode: 'replace', durable })).toBe(
      'created',
    )
    expect(textOf(await current().get('a/k'))).toBe('three')
    expect(await current().delete('a/k', { durable })).toBe(true)
    expect(await current().delete('a/k', { durable })).toBe(false)
    expect(await current().head('a/k')).toBeUndefined()
  })

  it('lets exactly one of many racing writers create an object', async () => {
    const racers = Array.from({ length: 16 }, (_, i) => current().put('race/k', bytesOf(`w${i}`)))
    const results = await Promise.all(racers)
    expect(results.filter((result) => result === 'created')).toHaveLength(1)
    expect(textOf(await current().get('race/k'))).toBe(`w${results.indexOf('created')}`)
  })

  it('streams from an offset in pieces of the size asked for', async () => {
    const body = pattern(10_000)
    await current().put('k', body)
    const pieces = await gather(current().read('k', { offset: 1, pieceBytes: 4_000 }))
    expect(pieces.map((piece) => piece.length)).toEqual([4_000, 4_000, 1_999])
    expect(Buffer.concat(pieces).equals(body.slice(1))).toBe(true)
    expect(await gather(current().read('k', { offset: 10_000 }))).toEqual([])
  })

  it('tells size and time of an object', async () => {
    const beforeMs = await current().nowMs()
    await current().put('k', bytesOf('abc'))
    const info = await current().head('k')
    const afterMs = await current().nowMs()
    expect(info).toMatchObject({ key: 'k', bytes: 3 })
    expect(info?.modifiedMs).toBeGreaterThanOrEqual(beforeMs)
    expect(info?.modifiedMs).toBeLessThanOrEqual(afterMs)
    expect(await current().head('absent')).toBeUndefined()
    expect(await current().head('k/below')).toBeUndefined()
  })

  it('deletes once', async () => {
    await current().put('a/k', bytesOf('abc'))
    expect(await current().delete('a/k')).toBe(true)
    expect(await current().delete('a/k')).toBe(false)
    expect(await current().head('a/k')).toBeUndefined()
    expect(await current().put('a/k', bytesOf('again'))).toBe('created')
  })
}

function refusals(current: () => ObjectStore): void {
  it('says NOT_FOUND for a missing object', async () => {
    await expect(current().get('no/such')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(gather(current().read('no/such'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('says INTEGRITY for bytes beyond the end', async () => {
    await current().put('k', bytesOf('abc'))
    for (const range of [
      { offset: 0, bytes: 4 },
      { offset: 3, bytes: 1 },
      { offset: 4, bytes: 0 },
    ]) {
      await expect(current().get('k', range)).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
    await expect(gather(current().read('k', { offset: 4 }))).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })

  const badKeys = ['', '/', '/a', 'a/', 'a//b', '.', '..', '../a', 'a/../b', 'a/./b', 'a\\b', 'a\0']
  for (const key of [...badKeys, 'ä', 'a b', '.tmp/x', 'lost+found/x', 'k'.repeat(256)]) {
    it(`refuses the key ${JSON.stringify(key.slice(0, 20))}`, async () => {
      const store = current()
      const refused = expect.objectContaining({ code: 'BAD_INPUT' })
      const attempts: (() => Promise<unknown>)[] = [
        () => store.get(key),
        () => gather(store.read(key)),
        () => store.put(key, bytesOf('x')),
        () => store.head(key),
        () => store.delete(key),
        () => store.append(key, bytesOf('x'), 0),
        () => store.truncate(key, 0),
        async () => {
          const staged = await store.stage()
          try {
            await staged.commit(key)
          } finally {
            await staged.abort()
          }
        },
      ]
      for (const attempt of attempts) await expect(attempt()).rejects.toEqual(refused)
    })
  }

  it('takes keys of the greatest length', async () => {
    const key = `${'a'.repeat(255)}/${'b'.repeat(255)}`
    expect(await current().put(key, bytesOf('x'))).toBe('created')
    expect(await keysOf(current().list(''))).toEqual([key])
  })

  it('stops at an aborted signal and leaves nothing', async () => {
    const signal = AbortSignal.abort()
    await expect(current().put('k', bytesOf('x'), { signal })).rejects.toMatchObject({
      name: 'AbortError',
    })
    expect(await current().head('k')).toBeUndefined()
  })
}

function staging(
  current: () => ObjectStore,
  stage: (store: ObjectStore) => Promise<StagedObject>,
): void {
  it('shows a staged object only after its commit', async () => {
    const body = pattern(3_000_000)
    const staged = await stage(current())
    for (const size of [0, 1, 999, 1_048_576, 1_048_575, 1]) {
      const at = staged.bytesWritten
      const piece = body.slice(at, at + size)
      await staged.write(piece)
      piece.fill(0xee)
    }
    await staged.write(body.slice(staged.bytesWritten))
    expect(staged.bytesWritten).toBe(body.length)
    expect(await keysOf(current().list(''))).toEqual([])
    expect(await staged.commit('blobs/b')).toBe('created')
    expect(Buffer.from(await current().get('blobs/b')).equals(body)).toBe(true)
    expect(await keysOf(current().list(''))).toEqual(['blobs/b'])
  })

  it('does not overwrite with a staged object', async () => {
    await current().put('k', bytesOf('first'))
    const staged = await stage(current())
    await staged.write(bytesOf('second'))
    expect(await staged.commit('k')).toBe('exists')
    expect(textOf(await current().get('k'))).toBe('first')
  })

  it('leaves nothing of an aborted object, and abort can come twice', async () => {
    const staged = await stage(current())
    await staged.write(bytesOf('x'))
    await staged.abort()
    await staged.abort()
    await expect(staged.write(bytesOf('x'))).rejects.toThrow()
    await expect(staged.commit('k')).rejects.toThrow()
    expect(await keysOf(current().list(''))).toEqual([])
  })

  it('keeps several staged objects apart', async () => {
    const staged = await Promise.all(Array.from({ length: 8 }, () => stage(current())))
    await Promise.all(staged.map((one, i) => one.write(bytesOf(`body ${i}`))))
    await Promise.all(staged.map((one, i) => one.commit(`k${i}`)))
    for (let i = 0; i < 8; i++) expect(textOf(await current().get(`k${i}`))).toBe(`body ${i}`)
  })
}

function listing(current: () => ObjectStore, paged: boolean): void {
  const keys = ['a', 'a-b', 'a.b/c', 'a/b', 'a/b-c', 'a/b/never', 'a0', 'B', 'b/1', 'b/10', 'b/2']
    .filter((key) => key !== 'a' && key !== 'a/b')
    .sort()

  it('lists in bytewise order of whole keys', async () => {
    for (const key of [...keys].reverse()) await current().put(key, bytesOf(key))
    expect(await keysOf(current().list(''))).toEqual(keys)
  })

  it('filters by prefix, which need not end at a segment', async () => {
    for (const key of keys) await current().put(key, bytesOf(key))
    for (const prefix of ['a', 'a/', 'a/b', 'b/1', 'b', 'zzz', 'a/b/never', 'a/b/never/x']) {
      const expected = keys.filter((key) => key.startsWith(prefix))
      expect(await keysOf(current().list(prefix))).toEqual(expected)
    }
  })

  it('goes on after any key and stops at the limit', async () => {
    for (const key of keys) await current().put(key, bytesOf(key))
    for (const after of [...keys, 'a/', 'a/zzz', 'zzz', '0']) {
      const expected = keys.filter((key) => key > after)
      expect(await keysOf(current().list('', { after }))).toEqual(expected)
      expect(await keysOf(current().list('', { after, limit: 2 }))).toEqual(expected.slice(0, 2))
    }
    expect(await keysOf(current().list('', { limit: 0 }))).toEqual([])
  })

  it('tells sizes', async () => {
    await current().put('k', bytesOf('12345'))
    for await (const info of current().list('k')) expect(info).toMatchObject({ bytes: 5 })
  })

  it('lists while objects come and go', async () => {
    for (let i = 0; i < 10; i++) await current().put(`k${i}`, bytesOf('x'))
    const seen: string[] = []
    for await (const info of current().list('k')) {
      seen.push(info.key)
      await current().delete('k5')
      await current().put(`k0${seen.length}`, bytesOf('x'))
    }
    expect(seen).toEqual(expect.arrayContaining(['k0', 'k1', 'k4', 'k6', 'k9']))
    if (!paged) expect(seen).not.toContain('k5')
  })
}

function appending(current: () => ObjectStore): void {
  it('appends at the end only', async () => {
    await current().append('log/1', bytesOf('one'), 0)
    await current().append('log/1', bytesOf('two'), 3)
    await expect(current().append('log/1', bytesOf('x'), 3)).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    await expect(current().append('log/1', bytesOf('x'), 0)).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    await expect(current().append('log/1', bytesOf('x'), 7)).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    expect(textOf(await current().get('log/1'))).toBe('onetwo')
  })

  it('cuts an object, and appending goes on there', async () => {
    await current().append('log', bytesOf('one, torn'), 0)
    await current().truncate('log', 3)
    await current().append('log', bytesOf(', two'), 3)
    expect(textOf(await current().get('log'))).toBe('one, two')
    await current().truncate('log', 0)
    expect((await current().head('log'))?.bytes).toBe(0)
    await current().append('log', new Uint8Array(0), 0)
    await current().append('log', bytesOf('new'), 0)
    expect(textOf(await current().get('log'))).toBe('new')
  })

  it('refuses to append to and to cut what is not there', async () => {
    const store = current()
    await expect(store.truncate('no/such', 0)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const appended = store.append('no/such', bytesOf('x'), 1)
    await expect(appended).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await store.put('k', bytesOf('abc'))
    await expect(store.truncate('k', 4)).rejects.toMatchObject({ code: 'INTEGRITY' })
  })
}

function sweeping(current: () => ObjectStore): void {
  it('has nothing to sweep after orderly work', async () => {
    await current().put('k', bytesOf('x'))
    expect(await current().sweepTemporary()).toBe(0)
    expect(await keysOf(current().list(''))).toEqual(['k'])
  })
}
