import { expect, it } from 'vitest'
import { probeWorkingBucket } from '../../src/db/open/init-bucket.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { ObjectStore, PutOptions, SealedStore } from '../../src/storage/object-store.ts'

const BODY = Buffer.from('as it was')

/** A bucket that is like memory, but for what it does otherwise. */
function bucketOf(lies: (honest: ObjectStore) => Partial<ObjectStore>, lock = {}) {
  const honest = createMemoryStore({ clock: { nowMs: () => Date.now() } })
  const other = { ...lies(honest), lockState: async () => ({ enabled: false, ...lock }) }
  const target = new Proxy(honest, {
    get: (store, name) => {
      const value: unknown = Reflect.get(name in other ? other : store, name)
      return typeof value === 'function' && !(name in other) ? value.bind(store) : value
    },
  })
  const left = async () => (await Array.fromAsync(honest.list(''))).map(({ key }) => key)
  return { target: target as SealedStore, left }
}

/** The n-th put of a call, from 1, is answered otherwise. */
function puts(honest: ObjectStore, lie: (n: number, done: 'created' | 'exists') => typeof done) {
  let n = 0
  return {
    put: async (key: string, body: Uint8Array, options?: PutOptions) => {
      const at = ++n
      return lie(at, await honest.put(key, body, options))
    },
  }
}

const lies: Readonly<Record<string, (honest: ObjectStore) => Partial<ObjectStore>>> = {
  'both of two that create an object are told so': (honest) =>
    puts(honest, (n, done) => (n === 2 ? 'created' : done)),
  'none of two that create an object is told so': (honest) =>
    puts(honest, (n, done) => (n <= 2 ? 'exists' : done)),
  'a later one is told that it created it': (honest) =>
    puts(honest, (n, done) => (n === 3 ? 'created' : done)),
  'the last of two wins': (honest) => ({
    put: async (key, body) => {
      const was = await honest.head(key)
      await honest.put(key, body, { mode: 'replace' })
      return was === undefined ? 'created' : 'exists'
    },
  }),
  'what is read is old': () => ({ get: async () => BODY }),
  'what was replaced is read as it was': (honest) => {
    let first: Promise<Uint8Array> | undefined
    return {
      get: (key) => {
        first ??= honest.get(key)
        return first
      },
    }
  },
  'nothing is listed': () => ({ list: async function* () {} }),
  'what was deleted is listed': (honest) => ({
    list: async function* (prefix) {
      yield { key: prefix, bytes: 1, modifiedMs: 0 }
      yield* honest.list('no-such')
    },
  }),
  'what was deleted is there': (honest) => ({
    head: async (key) => (await honest.head(key)) ?? { key, bytes: 1, modifiedMs: 0 },
  }),
}

it('a bucket that does what a working store needs is taken, and left empty', async () => {
  const { target, left } = bucketOf(() => ({}))
  await probeWorkingBucket(target)
  expect(await left()).toEqual([])
})

for (const [lie, changes] of Object.entries(lies)) {
  it(`a bucket is refused where ${lie}, and nothing is left there`, async () => {
    const { target, left } = bucketOf(changes)
    await expect(probeWorkingBucket(target)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('cannot keep a working store'),
    })
    expect(await left()).toEqual([])
  })
}

it('a bucket with a default retention is refused before anything is written', async () => {
  const retention = { mode: 'COMPLIANCE', days: 365 }
  const { target, left } = bucketOf(
    () => ({
      put: async () => {
        throw new Error('nothing may be written')
      },
    }),
    { defaultRetention: retention },
  )
  await expect(probeWorkingBucket(target)).rejects.toMatchObject({
    code: 'USAGE',
    message: expect.stringContaining('COMPLIANCE, 365 days'),
  })
  expect(await left()).toEqual([])
})
