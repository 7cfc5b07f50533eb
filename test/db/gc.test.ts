import { describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { dropCollection } from '../../src/db/collection/lifecycle.ts'
import { collectGarbage, GC_KEEP_MS } from '../../src/db/gc/gc.ts'
import { openLedger } from '../../src/db/ingest/ledger.ts'
import { beginAct } from '../../src/db/states/acts.ts'
import { writeBlob } from '../../src/db/states/blob-store.ts'
import type { Environment } from '../../src/db/states/environment.ts'
import { manifestKey, manifestKeyIn } from '../../src/db/states/manifest-store.ts'
import { createWriterPin, pinManifest } from '../../src/db/states/pins.ts'
import { replayFolder } from '../../src/db/states/replays.ts'
import { createSnapshot, dropSnapshot } from '../../src/db/states/snapshots.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { blobKey, section } from '../../src/format/blob.ts'
import { closureOf } from '../../src/format/closure.ts'
import type { BlobRef, Manifest } from '../../src/format/manifest.ts'
import { blobsIn, DAY_MS, expectWhole, LIVE, versionsOf, withHistory } from '../support/history.ts'
import { contentsOf, createTestMachine, type TestMachine } from '../support/memory-environment.ts'
import { idsOf, ingestRows, testRows } from '../support/records.ts'

/** A blob that nobody names. */
async function rubbish(environment: Environment, word: string): Promise<BlobRef> {
  const pin = createWriterPin(environment)
  const sections = [section('json', Buffer.from(word))]
  const input = { role: 'sources', records: 1, dimension: 0, sections } as const
  const ref = await writeBlob(environment.store, pin, input)
  await pin.release()
  return ref
}

describe('what stays', () => {
  it('removes all history but the head where nothing is to be kept', async () => {
    const machine = createTestMachine()
    const { environment, core } = await withHistory(machine)
    const before = await contentsOf(machine.store)
    const result = await collectGarbage(environment, { keepMs: 0 })
    const after = await contentsOf(machine.store)
    expect(await versionsOf(core('docs'))).toEqual([5])
    expect(await idsOf(core('docs'))).toEqual(LIVE)
    const gone = [...before].filter(([key]) => !after.has(key))
    expect(gone.map(([key]) => key.split('/')[0]).sort()).toEqual(
      [...Array(3).fill('blobs'), ...Array(4).fill('collections')].sort(),
    )
    const bytes = gone.reduce((sum, [, body]) => sum + body.byteLength, 0)
    expect(result).toEqual({ manifests: 4, blobs: 3, logPieces: 0, bytes, kept: 1 })
    await expect(core('docs').hold('3')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: expect.stringContaining('gc'),
    })
    expect(await collectGarbage(environment, { keepMs: 0 })).toMatchObject({
      manifests: 0,
      blobs: 0,
    })
  })

  it.each([
    // The state that held when the history begins stays with it.
    [4 * DAY_MS + 60_000, [5, 4, 3, 2, 1]],
    [3 * DAY_MS + 60_000, [5, 4, 3, 2]],
    [2 * DAY_MS + 60_000, [5, 4, 3]],
    [DAY_MS + 60_000, [5, 4]],
    [DAY_MS - 60_000, [5]],
    [1, [5]],
  ])('keeps the commits of the last %d ms and the state before them', async (keepMs, kept) => {
    const machine = createTestMachine()
    const { environment, core } = await withHistory(machine)
    await collectGarbage(environment, { keepMs })
    expect(await versionsOf(core('docs'))).toEqual(kept)
    await expectWhole(core('docs'))
  })

  it('keeps seven days unless told otherwise', async () => {
    const machine = createTestMachine()
    const { environment, core } = await withHistory(machine)
    expect(GC_KEEP_MS).toBe(7 * DAY_MS)
    await collectGarbage(environment)
    expect(await versionsOf(core('docs'))).toEqual([5, 4, 3, 2, 1])
    machine.clock.advance(7 * DAY_MS)
    await collectGarbage(environment)
    expect(await versionsOf(core('docs'))).toEqual([5])
  })

  it('keeps a snapshot until it is dropped', async () => {
    const machine = createTestMachine()
    const { environment, core } = machine.start()
    const docs = core('docs')
    await ingestRows(docs, testRows('a', 3))
    const { version } = await createSnapshot(docs, 'friday')
    await deleteRecords(docs, { ids: ['a0', 'a1', 'a2'] })
    await collectGarbage(environment, { keepMs: 0 })
    expect(await versionsOf(docs)).toEqual([version + 1, version])
    expect(await idsOf(docs, 'friday')).toEqual(['a0', 'a1', 'a2'])
    await dropSnapshot(docs, 'friday')
    await collectGarbage(environment, { keepMs: 0 })
    expect(await versionsOf(docs)).toEqual([version + 1])
    expect(await blobsIn(machine.store)).toEqual([])
  })

  it("keeps a reader's state until its pin lapses", async () => {
    const machine = createTestMachine()
    const { environment, core } = machine.start()
    await ingestRows(core('docs'), testRows('a', 3))
    const head = await core('docs').head()
    const options = { wait: false }
    const pin = await pinManifest(environment, core('docs').manifests, head, options)
    await deleteRecords(core('docs'), { ids: ['a0', 'a1', 'a2'] })
    await collectGarbage(environment, { keepMs: 0 })
    expect(await versionsOf(core('docs'))).toContain(head.commit.version)
    await expectWhole(core('docs'))
    machine.clock.advance(limits.pinLifeMs)
    await collectGarbage(environment, { keepMs: 0 })
    expect(await versionsOf(core('docs'))).toEqual([head.commit.version + 1])
    expect([...(await contentsOf(machine.store)).keys()].join()).not.toContain('pins/')
    await pin?.release()
  })

  it('keeps the blobs that a writer has pinned, and no longer', async () => {
    const { environment } = createTestMachine().start()
    const { digest } = await rubbish(environment, 'soon to be named')
    const pin = createWriterPin(environment)
    await pin.add([digest])
    expect(await collectGarbage(environment)).toMatchObject({ blobs: 0, kept: 1 })
    await pin.release()
    expect(await collectGarbage(environment)).toMatchObject({ blobs: 1, kept: 0 })
  })

  it('keeps the segments of a half-done ingest', async () => {
    const machine = createTestMachine()
    const { environment } = machine.start()
    const ref = await rubbish(environment, 'a finished segment')
    const hex = 'ab'.repeat(32)
    const key = { collection: 'docs', sha256: hex, options: hex, schema: hex }
    const pin = createWriterPin(environment)
    const ledger = await openLedger(key, { ...environment, pin, mayReject: true })
    const segment = { rows: 1, blobs: [ref], payloadBytes: 1 }
    await ledger.record({ segment, rowsRead: 1, drop: 0, rejected: 0, rejectBytes: 0 })
    await pin.release()
    expect(await collectGarbage(environment)).toMatchObject({ blobs: 0, kept: 1 })
    await ledger.remove()
    expect(await collectGarbage(environment)).toMatchObject({ blobs: 1, kept: 0 })
  })

  it('keeps replayed states', async () => {
    const machine = createTestMachine()
    const { environment, core } = machine.start()
    await ingestRows(core('docs'), testRows('a', 3))
    const head = await core('docs').head()
    const file = await machine.store.get(manifestKey('docs', head.commit.version))
    const folder = replayFolder({ name: 'docs', head: '0123456789ab' })
    await machine.store.put(manifestKeyIn(folder, 1), file)
    await dropCollection(core('docs'))
    await collectGarbage(environment, { keepMs: 0 })
    for (const digest of closureOf(head).keys()) {
      expect(await machine.store.head(blobKey(digest))).toBeDefined()
    }
    await machine.store.delete(manifestKeyIn(folder, 1))
    await collectGarbage(environment, { keepMs: 0 })
    expect(await blobsIn(machine.store)).toEqual([])
  })

  it('keeps the commits that an open write-ahead log is compared with', async () => {
    const machine = createTestMachine()
    const { environment, core } = machine.start()
    await ingestRows(core('docs'), testRows('a', 3))
    await deleteRecords(core('docs'), { ids: ['a1'] })
    const { commit } = await core('docs').head()
    const digits = '0'.repeat(20)
    await machine.state.append(`wal/${commit.collection}/${digits}-${digits}`, Buffer.of(1), 0)
    await collectGarbage(environment, { keepMs: 0 })
    expect(await versionsOf(core('docs'))).toEqual([3, 2, 1])
  })

  it('leaves files alone whose names it never gives', async () => {
    const machine = createTestMachine()
    const { environment } = machine.start()
    const { digest } = await rubbish(environment, 'rubbish')
    for (const key of [
      `blobs/0/zz/${digest}`,
      'blobs/0/README',
      `blobs/1/${digest.slice(0, 2)}/x`,
    ]) {
      await machine.store.put(key, Buffer.from('?'))
    }
    expect(await collectGarbage(environment)).toMatchObject({ blobs: 1, kept: 0 })
    expect(await blobsIn(machine.store)).toHaveLength(3)
  })

  it('removes a dropped collection once its last day is history', async () => {
    const machine = createTestMachine()
    const { environment, core } = machine.start()
    await ingestRows(core('docs'), testRows('a', 3))
    await dropCollection(core('docs'))
    await collectGarbage(environment, { keepMs: DAY_MS })
    expect(await blobsIn(machine.store)).toHaveLength(1)
    machine.clock.advance(DAY_MS)
    await collectGarbage(environment, { keepMs: DAY_MS })
    expect(await blobsIn(machine.store)).toEqual([])
    expect(await versionsOf(core('docs'))).toEqual([3])
  })

  it('ends a killed act before it takes the manifest that the act committed', async () => {
    const machine = createTestMachine()
    const first = machine.start()
    await ingestRows(first.core('docs'), testRows('a', 2))
    const act = await killedAfterCommit(machine, 'docs')
    const { environment, core } = machine.start()
    await deleteRecords(core('docs'), { ids: ['a0'] })
    await collectGarbage(environment, { keepMs: 0 })
    const found = await (await environment.audit()).findActs([act])
    expect(found.get(act)?.outcome?.details).toMatchObject({ result: 'recovered', version: 3 })
    expect(await versionsOf(core('docs'))).toEqual([4])
  })

  it('keeps the manifest of an act that still runs', async () => {
    const machine = createTestMachine()
    const { environment, core } = machine.start()
    await ingestRows(core('docs'), testRows('a', 2))
    const running = await beginAct(environment, { act: 'delete', collection: 'docs' })
    const head = await core('docs').head()
    await relabel(machine, head, running.id)
    await machine.start().core('docs').head()
    const other = machine.start()
    await deleteRecords(other.core('docs'), { ids: ['a0'] })
    await collectGarbage(other.environment, { keepMs: 0 })
    expect(await versionsOf(other.core('docs'))).toEqual([3, 2])
    await running.finish({ result: 'done' })
    await collectGarbage(other.environment, { keepMs: 0 })
    expect(await versionsOf(other.core('docs'))).toEqual([3])
  })
})

/** Kills a delete between its manifest and its outcome. @returns its act id */
async function killedAfterCommit(machine: TestMachine, name: string): Promise<string> {
  const process = machine.start({
    hook: ({ phase, operation, key }) => {
      const committed = phase === 'after' && operation === 'put' && key.includes('/manifests/')
      if (committed) process.kill()
    },
  })
  await expect(deleteRecords(process.core(name), { ids: ['a1'] })).rejects.toThrow()
  const head = await machine.start().core(name).head()
  return head.commit.actId
}

/** Puts another act id into a stored manifest. */
async function relabel(machine: TestMachine, manifest: Manifest, actId: string): Promise<void> {
  const key = manifestKey(manifest.commit.name, manifest.commit.version)
  const text = Buffer.from(await machine.store.get(key)).toString('utf8')
  const file = Buffer.from(text.replace(manifest.commit.actId, actId))
  await machine.store.put(key, file, { mode: 'replace' })
}

describe('what stops it', () => {
  it.each([
    ['a damaged manifest', manifestKey('docs', 2)],
    ['a damaged snapshot', 'collections/docs/snapshots/friday.json'],
    ['a damaged pin', 'pins/0123.json'],
    ['a damaged replay', 'replays/0123456789ab/docs/manifests/99999999999999999998.json'],
  ])('takes nothing where it cannot read %s', async (_, key) => {
    const machine = createTestMachine()
    const { environment } = await withHistory(machine)
    await rubbish(environment, 'rubbish')
    await machine.store.put(key, Buffer.from('{"x":1}\n{}'), { mode: 'replace' })
    const before = [...(await contentsOf(machine.store)).keys()]
    await expect(collectGarbage(environment, { keepMs: 0 })).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
    const after = [...(await contentsOf(machine.store)).keys()]
    expect(after).toEqual(expect.arrayContaining(before))
    expect(after.filter((name) => name.startsWith('gc/'))).toEqual([])
  })

  it('refuses to run beside another one', async () => {
    const machine = createTestMachine()
    const other = machine.start({ name: 'other' })
    const lock = await other.environment.locks.acquire('gc', 0)
    const { environment } = machine.start()
    await expect(collectGarbage(environment)).rejects.toMatchObject({ code: 'LOCKED' })
    await lock.release()
    await collectGarbage(environment)
  })

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses to keep %d ms', async (keepMs) => {
    const { environment } = createTestMachine().start()
    await expect(collectGarbage(environment, { keepMs })).rejects.toMatchObject({ code: 'USAGE' })
  })
})

it('counts in a dry run what the real run removes, and changes nothing', async () => {
  const machine = createTestMachine()
  const { environment, core } = await withHistory(machine)
  await machine.store.put('pins/old.json', oldPin())
  const before = await contentsOf(machine.store)
  const reader = machine.start({ mode: 'read', hook: refuseChanges })
  const dry = await collectGarbage(reader.environment, { keepMs: 0, dryRun: true })
  expect(await contentsOf(machine.store)).toEqual(before)
  expect(await collectGarbage(environment, { keepMs: 0 })).toEqual(dry)
  expect(await idsOf(core('docs'))).toEqual(LIVE)
})

it('goes on past pins that a power failure tore, and removes them', async () => {
  const machine = createTestMachine()
  const { environment, core } = await withHistory(machine)
  await machine.store.put('pins/empty.json', Buffer.alloc(0))
  await machine.store.put('pins/zeroed.json', Buffer.alloc(500))
  await machine.store.put('pins/cut.json', oldPin().subarray(0, 30))
  await machine.store.put('pins/padded.json', Buffer.concat([oldPin(), Buffer.alloc(60)]))
  await collectGarbage(environment, { keepMs: 0 })
  expect([...(await contentsOf(machine.store)).keys()].join()).not.toContain('pins/')
  expect(await idsOf(core('docs'))).toEqual(LIVE)
})

const oldPin = (): Buffer =>
  Buffer.from(JSON.stringify({ id: 'old', renewedMs: 0, blobs: [], manifests: [] }))

const refuseChanges = ({ changing, operation }: { changing: boolean; operation: string }): void => {
  if (changing) throw new AkidbError('AUTH', `a reader may not ${operation}`)
}

it('takes many blobs in small lists', async () => {
  const machine = createTestMachine()
  const { environment } = machine.start()
  for (let i = 0; i < 7; i++) await rubbish(environment, `rubbish ${i}`)
  const result = await collectGarbage(environment, { batchBlobs: 2 })
  expect(result).toMatchObject({ blobs: 7, kept: 0 })
  expect(await blobsIn(machine.store)).toEqual([])
})
