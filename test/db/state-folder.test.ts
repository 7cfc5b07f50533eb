import { beforeEach, expect, it, vi } from 'vitest'
import { stateFolderFor } from '../../src/db/open/state-folder.ts'
import { STORE_FILE } from '../../src/db/states/store-file.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { ObjectVersion } from '../../src/storage/object-store.ts'
import type { S3Access } from '../../src/storage/s3/s3-access.ts'
import { systemClock } from '../../src/storage/system-clock.ts'

const opened = vi.hoisted(() => ({ with: [] as unknown[], closed: 0, target: {} as object }))

vi.mock('../../src/storage/s3/open-sealed-store.ts', () => ({
  openSealedStore: async (_url: string, access: unknown) => {
    opened.with.push(access)
    return opened.target
  },
}))

const ID = '5'.repeat(32)
const url = 's3://bucket/prefix'

/** A bucket of which a store file says what lies there. */
function holds(kind?: string): void {
  const store = createMemoryStore({ clock: systemClock })
  const file = { format: 'akidb-store/1', id: ID, kind, createdAt: '2026-01-01T00:00:00.000Z' }
  if (kind !== undefined) void store.put(STORE_FILE, Buffer.from(`${JSON.stringify(file)}\n`))
  opened.target = Object.assign(store, {
    url,
    async *versions(prefix: string): AsyncGenerator<ObjectVersion> {
      for await (const info of store.list(prefix)) {
        yield { ...info, versionId: 'v', isLatest: true, isDeleteMarker: false }
      }
    },
    async *readVersion(key: string) {
      yield await store.get(key)
    },
    getVersion: (key: string, _: string, range: { offset: number; bytes: number }) =>
      store.get(key, range),
    close: async () => void opened.closed++,
  })
}

beforeEach(() => {
  opened.with.length = 0
  opened.closed = 0
})

it('of a bucket goes by the id of its store, sealed or working', async () => {
  for (const kind of ['sealed', 'working']) {
    holds(kind)
    expect(await stateFolderFor({ url, stateHome: '/home' })).toBe(`/home/akidb/${ID}`)
  }
  expect(opened.closed).toBe(2)
  holds()
  await expect(stateFolderFor({ url })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(opened.closed).toBe(3)
})

it('that is named is not asked for, and none is waited for long', async () => {
  holds('sealed')
  expect(await stateFolderFor({ url, state: '/here' })).toBe('/here')
  expect(await stateFolderFor({ url: '/store', state: '/here' })).toBe('/here')
  expect(opened.with).toEqual([])
  for (const retryForMs of [undefined, 120_000, 100]) {
    await stateFolderFor({ url, s3: retryForMs === undefined ? {} : { retryForMs } })
  }
  const times = (opened.with as S3Access[]).map(({ retryForMs }) => retryForMs)
  expect(times).toEqual([5_000, 5_000, 100])
})
