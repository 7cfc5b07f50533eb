import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { OpenedStore } from '../../src/db/store.ts'
import { pack, twoSites, unpack } from './sites.ts'

it('a bundle carries sparse vectors, with their index or without', async () => {
  const { from, to, folder } = await twoSites()
  const path = join(folder, 'words.jsonl')
  const lines = Array.from({ length: 50 }, (_, i) => {
    const s = i % 5 === 0 ? null : { [String(i % 4)]: i / 2, '7': -1 }
    return `${JSON.stringify({ id: `w${i}`, s })}\n`
  })
  await writeFile(path, lines.join(''))
  await from.prospect('words').ingest({ inputs: [path], sparseColumns: ['s'] })
  await (await from.collection('words')).delete({ ids: ['w1'] })
  const sparse = { indices: Uint32Array.of(1, 7), values: Float32Array.of(1, 0.5) }
  const answer = async (store: OpenedStore) => {
    const words = await store.collection('words')
    return (await words.query({ query: { sparse, using: 's' }, k: 20 })).hits
  }
  const wanted = await answer(from)
  expect(wanted).toHaveLength(20)
  expect(wanted[0]).toMatchObject({ id: 'w49', score: 24 })
  const { path: bundle } = await pack(from, folder, 'words', { collections: ['words'] })
  await unpack(to, bundle)
  expect(await answer(to)).toEqual(wanted)
  expect((await to.check({ readData: true })).problems).toEqual([])
  expect((await (await to.collection('words')).info()).schema.vectors).toEqual({
    s: { kind: 'sparse' },
  })
})
