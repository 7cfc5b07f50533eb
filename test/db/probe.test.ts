import { expect, it } from 'vitest'
import { checkStore } from '../../src/db/check.ts'
import { deleteRecords } from '../../src/db/delete.ts'
import { mergeSegments } from '../../src/db/merge.ts'
import { createSnapshot } from '../../src/db/snapshots.ts'
import { buildIndexes } from '../../src/db/index-build.ts'
import { createTestMachine } from '../support/memory-environment.ts'
import { ingestRows, testRows } from '../support/records.ts'

it('probe', async () => {
  const machine = createTestMachine()
  const { environment, core } = machine.start()
  const docs = core('docs')
  await ingestRows(docs, testRows('a', 5), { textColumns: ['text'] })
  await ingestRows(docs, testRows('b', 3))
  await createSnapshot(docs, 'friday')
  await deleteRecords(docs, { ids: ['a1'] })
  await mergeSegments(docs, { kind: 'compact' })
  await (await environment.audit()).checkpoint()
  const env = { ...environment, keys: { trusted: async () => [machine.logKey] } }
  const t0 = performance.now()
  const result = await checkStore(env, { readData: true })
  console.log(result, performance.now() - t0)
  expect(result.ok).toBe(true)
  let missed: string[] = []
  for await (const { key, bytes } of machine.store.list('')) {
    const body = await machine.store.get(key)
    const misses = []
    let tried = 0
    const stride = Math.max(1, Math.floor(bytes / 60))
    for (let at = 0; at < bytes; at += stride) {
      const bad = Buffer.from(body)
      bad[at]! ^= 1 << (at % 8)
      await machine.store.put(key, bad, { mode: 'replace' })
      tried++
      try {
        const r = await checkStore(env, { readData: true })
        if (!r.problems.some((p) => p.key === key || (key.startsWith(p.key) && p.key.startsWith('audit')))) misses.push(at + ':' + r.problems.map((p) => p.key+p.message).join(';'))
      } catch (e) { misses.push(at + ' threw ' + (e as Error).stack) }
    }
    await machine.store.put(key, body, { mode: 'replace' })
    console.log(key, bytes, tried, misses.length, misses.slice(0, 3))
  }
}, 600000)
