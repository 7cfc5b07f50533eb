import { expect, it } from 'vitest'
import { exportBundle } from '../../src/index.ts'
import { plantHugeFile } from '../support/huge-file.ts'
import { lines } from '../support/temp-store.ts'
import { noPassphrase, pack, take, twoSites, unpack } from './sites.ts'

const HUGE = '1099511627776 bytes'

it('a huge note of what was imported is an error of the next import, which names it', async () => {
  const { from, to, folder } = await twoSites()
  const { path } = await pack(from, folder, 'first')
  await unpack(to, path)
  const { state } = to.environment
  const notes: string[] = []
  for await (const { key } of state.list('origins/')) notes.push(key)
  expect(notes).toHaveLength(1)
  const [key = ''] = notes
  await plantHugeFile(state, key)
  await expect(unpack(to, path)).rejects.toMatchObject({
    code: 'INTEGRITY',
    message: expect.stringContaining(`${key} has ${HUGE}`),
  })
})

it('a huge exported state is an error of the next delta, which names it', async () => {
  const { from, folder } = await twoSites()
  await pack(from, folder, 'first')
  await take(from, folder, 'b', lines('s', 3))
  const key = `collections/docs/exports/${'0'.repeat(64)}.json`
  await plantHugeFile(from.environment.store, key)
  await expect(pack(from, folder, 'delta', { since: 'last' })).rejects.toMatchObject({
    code: 'INTEGRITY',
    message: expect.stringContaining(`${key} has ${HUGE}`),
  })
})

it('a huge note of the last export is as good as none', async () => {
  const { from, folder } = await twoSites()
  await plantHugeFile(from.environment.state, 'exports/last.json')
  const request = { url: from.url, collections: ['docs'], key: 'default', passphrase: noPassphrase }
  const output = { write: async () => undefined }
  await expect(exportBundle({ ...request, output, since: 'last' })).rejects.toMatchObject({
    code: 'NOT_FOUND',
  })
  expect((await pack(from, folder, 'full')).result.sequence).toBeGreaterThan(0)
})
