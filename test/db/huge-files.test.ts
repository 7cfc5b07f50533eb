import { describe, expect, it } from 'vitest'
import { certificateKey } from '../../src/audit/layout.ts'
import { checkStore } from '../../src/db/check/check.ts'
import { repairStore } from '../../src/db/check/repair.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { halfDoneIngests } from '../../src/db/ingest/ledger.ts'
import { certifiedKey } from '../../src/db/open/audit-ops.ts'
import { manifestKey, manifestKeyIn } from '../../src/db/states/manifest-store.ts'
import { replayFolder } from '../../src/db/states/replays.ts'
import { createSnapshot } from '../../src/db/states/snapshots.ts'
import { blobKey } from '../../src/format/blob.ts'
import { getBounded } from '../../src/storage/bounded-get.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import { certifyLogKey } from '../../src/trust/log-key.ts'
import { encodePublicKey } from '../../src/trust/public-key-file.ts'
import { plantHugeFile } from '../support/huge-file.ts'
import { createTestClock, createTestMachine } from '../support/memory-environment.ts'
import { ingestRows, testRows } from '../support/records.ts'

const REPLAY = manifestKeyIn(replayFolder({ name: 'docs', head: '0123456789ab' }), 1)
const EXPORT = `collections/docs/exports/${'a'.repeat(64)}.json`

/** Three versions of a collection, the first with a label, and a process to look at them. */
async function filled() {
  const machine = createTestMachine()
  const writer = machine.start()
  const docs = writer.core('docs')
  await ingestRows(docs, testRows('a', 5))
  await createSnapshot(docs, 'friday')
  await deleteRecords(docs, { ids: ['a1'] })
  await docs.close()
  const { environment } = machine.start()
  const keys = { trusted: async () => [machine.logKey] }
  return { machine, environment: { ...environment, keys } }
}

const tooLong = (key: string) => ({
  code: 'INTEGRITY',
  exitCode: 24,
  message: expect.stringMatching(`${key} has 1099511627776 bytes, not \\d+ at most`),
  hint: expect.any(String),
})

describe('a huge file in the place of', () => {
  it.each([
    ['an old manifest', manifestKey('docs', 1)],
    ['a manifest with a label', manifestKey('docs', 2)],
    ['the head', manifestKey('docs', 3)],
    ['an opened replay', REPLAY],
    ['a snapshot', 'collections/docs/snapshots/friday.json'],
    ['a pin', `pins/${'0'.repeat(16)}.json`],
  ])('%s: gc takes nothing, and says which file it is', async (_, key) => {
    const { environment } = await filled()
    await plantHugeFile(environment.store, key)
    const before = await keysIn(environment.store)
    await expect(collectGarbage(environment, { keepMs: 0 })).rejects.toMatchObject(tooLong(key))
    const gone = before.filter((found) => !/^(gc|pins)\//.test(found))
    expect(await keysIn(environment.store)).toEqual(expect.arrayContaining(gone))
  })

  it('a ledger: gc takes nothing, and status says which file it is', async () => {
    const { environment } = await filled()
    const key = `ledger/docs/${'a'.repeat(64)}-${'b'.repeat(16)}.jsonl`
    await plantHugeFile(environment.state, key)
    await expect(collectGarbage(environment, { keepMs: 0 })).rejects.toMatchObject(tooLong(key))
    await expect(halfDoneIngests(environment.state)).rejects.toMatchObject(tooLong(key))
  })

  it.each([
    ['an old manifest', manifestKey('docs', 1)],
    ['the head', manifestKey('docs', 3)],
    ['an opened replay', REPLAY],
    ['an exported state', EXPORT],
    ['a snapshot', 'collections/docs/snapshots/friday.json'],
    ['the store file', 'akidb.json'],
  ])('%s is a finding of check, which goes on', async (_, key) => {
    const { environment } = await filled()
    await plantHugeFile(environment.store, key)
    const { problems } = await checkStore(environment, { readData: true })
    const { code, message } = tooLong(key)
    expect(problems).toContainEqual({ code, key, message })
  })

  it.each(['key.pem', 'key.dsse'])('%s of a log certifies nothing', async (name) => {
    const { machine, environment } = await filled()
    const { store } = environment
    const { key } = machine.signer
    const folder = `audit/${key.keyId}`
    const certificate = certifyLogKey(key, [machine.signer])
    await store.put(`${folder}/key.pem`, Buffer.from(encodePublicKey(key)), { mode: 'replace' })
    await store.put(certificateKey(key.keyId), certificate)
    expect(await certifiedKey(store, key.keyId, [key])).toHaveLength(1)
    await plantHugeFile(store, `${folder}/${name}`)
    expect(await certifiedKey(store, key.keyId, [key])).toEqual([])
    const { problems } = await checkStore(environment)
    expect(problems.map(({ code }) => code)).toContain('SIGNATURE')
  })

  it('a blob is no help to repair, and lost', async () => {
    const { environment } = await filled()
    const core = createTestMachine().start().core('docs')
    await ingestRows(core, testRows('a', 5))
    const [ref] = (await core.head()).state.segments[0]?.blobs ?? []
    const key = blobKey(ref?.digest ?? '')
    await environment.store.delete(key)
    await plantHugeFile(environment.store, key)
    expect(await repairStore(environment)).toMatchObject({ repaired: [], missing: [key] })
  })
})

const keysIn = async (store: Parameters<typeof plantHugeFile>[0]): Promise<string[]> => {
  const keys: string[] = []
  for await (const { key } of store.list('')) keys.push(key)
  return keys
}

describe('a bounded read', () => {
  const KEY = 'some/file'

  it('takes what is as long as the limit, and no more', async () => {
    const store = createMemoryStore({ clock: createTestClock() })
    await store.put(KEY, Buffer.alloc(10))
    expect(await getBounded(store, KEY, 10)).toHaveLength(10)
    await expect(getBounded(store, KEY, 9)).rejects.toMatchObject({
      code: 'INTEGRITY',
      details: { key: KEY, bytes: 10, bytesMax: 9 },
    })
    await expect(getBounded(store, 'other', 9)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('refuses what grew after it was looked at', async () => {
    const store = createMemoryStore({ clock: createTestClock() })
    const grown = {
      head: async () => ({ key: KEY, bytes: 1, modifiedMs: 0 }),
      get: async () => new Uint8Array(10),
    }
    await expect(getBounded({ ...store, ...grown }, KEY, 9)).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })
})
