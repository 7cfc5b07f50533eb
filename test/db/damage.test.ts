import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { OpenedStore } from '../../src/db/store.ts'
import { closureOf } from '../../src/format/closure.ts'
import { inputFile, lines, opened, tempFolder, tempStore } from '../support/temp-store.ts'

/** A store with one small collection, and the path of its one blob. */
async function storeWithBlob(): Promise<{ store: OpenedStore; blob: string; file: string }> {
  const store = await tempStore()
  const file = await inputFile(await tempFolder(), 'rows.jsonl', lines('a', 20))
  await store.prospect('docs').ingest({ inputs: [file] })
  const head = await store.core('docs').head()
  const [digest] = [...closureOf(head).keys()]
  const blob = join(store.url, 'blobs/0', String(digest).slice(0, 2), String(digest))
  return { store, blob, file }
}

function flip(path: string): void {
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(200) ^ 1, 200)
  writeFileSync(path, bytes)
}

describe('a store with a damaged blob', () => {
  it('is read again once it is mended', async () => {
    const { store, blob } = await storeWithBlob()
    // A handle that has read nothing yet.
    const docs = await (await opened(store.url, 'read')).collection('docs')
    flip(blob)
    await expect(docs.search({ id: 'a1' })).rejects.toMatchObject({ code: 'INTEGRITY' })
    flip(blob)
    expect((await docs.search({ id: 'a1' })).hits).toHaveLength(10)
  })

  it('can still list and drop the collection', async () => {
    const { store, blob } = await storeWithBlob()
    flip(blob)
    const [info] = await store.list()
    expect(info).toMatchObject({ collection: 'docs', count: 20 })
    expect(await store.drop('docs')).toEqual({ rows: 20 })
    expect(await store.list()).toEqual([])
  })

  it('takes the right bytes when they come again', async () => {
    const { store, blob, file } = await storeWithBlob()
    flip(blob)
    await store.prospect('twin').ingest({ inputs: [file] })
    expect(readdirSync(join(blob, '..'))).toHaveLength(1)
    const docs = await store.collection('docs')
    expect((await docs.search({ id: 'a1' })).hits).toHaveLength(10)
  })
})

describe('two ingests that make one collection', () => {
  it('both land in it', async () => {
    const store = await tempStore()
    const folder = await tempFolder()
    const first = await inputFile(folder, 'a.jsonl', lines('a', 30))
    const second = await inputFile(folder, 'b.jsonl', lines('b', 30))
    await Promise.all(
      [first, second].map((file) => store.prospect('docs').ingest({ inputs: [file] })),
    )
    expect((await (await store.collection('docs')).info()).count).toBe(60)
  })
})
