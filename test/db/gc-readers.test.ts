import { expect, it } from 'vitest'
import { inputFile, lines, opened, tempFolder, tempStore } from '../support/temp-store.ts'

it('a reader goes on while what it reads is compacted and collected', async () => {
  const store = await tempStore()
  const folder = await tempFolder()
  for (const name of ['a', 'b', 'c']) {
    const file = await inputFile(folder, `${name}.jsonl`, lines(name, 20))
    await store.prospect('docs').ingest({ inputs: [file] })
  }
  const docs = await (await opened(store.url, 'read')).collection('docs')
  const ids: string[] = []
  for await (const { id } of docs.scan()) {
    ids.push(id)
    if (ids.length > 1) continue
    await (await store.collection('docs')).compact()
    await store.gc({ keepMs: 0 })
  }
  expect(new Set(ids).size).toBe(60)
})
