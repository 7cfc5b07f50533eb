import { expect, it } from 'vitest'
import { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { mergeSegments } from '../../src/db/rebuild/merge.ts'
import { createSnapshot, listSnapshots } from '../../src/db/states/snapshots.ts'
import { isLogOpen } from '../../src/db/wal/log-file.ts'
import { LogOwner } from '../../src/db/wal/log-owner.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { blobKey } from '../../src/format/blob.ts'
import { closureOf } from '../../src/format/closure.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import {
  createTestClock,
  createTestMachine,
  type TestMachine,
  type TestProcess,
} from '../support/memory-environment.ts'
import { idsOf, ingestRows, testRows } from '../support/records.ts'

// Requests whose answer never came, and that were carried out all the same, at once or much later.

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

function twoMachines(): readonly [TestMachine, TestMachine] {
  const clock = createTestClock()
  const a = createTestMachine({ isShared: true, clock })
  return [a, createTestMachine({ seed: 2, isShared: true, clock, store: a.store })]
}

const unheard = (key: string): AkidbError =>
  new AkidbError('UNREACHABLE', `no answer came for ${key}`)

/** A store in which some calls are made otherwise. */
const changed = (store: ObjectStore, changes: Partial<ObjectStore>): ObjectStore =>
  new Proxy(store, {
    get: (target, name) => {
      const own = changes[name as keyof ObjectStore]
      const value: unknown = own ?? Reflect.get(target, name, target)
      return typeof value === 'function' && own === undefined ? value.bind(target) : value
    },
  })

const coreOf = ({ environment }: TestProcess, changes: Partial<ObjectStore>): CollectionCore =>
  new CollectionCore({
    environment: { ...environment, store: changed(environment.store, changes) },
    name: 'docs',
  })

it('a manifest that comes minutes after its writer gave up finds all its blobs', async () => {
  const [a, b] = twoMachines()
  const writer = a.start()
  await ingestRows(writer.core('docs'), testRows('x', 2))
  const { store } = writer.environment
  let late: () => Promise<unknown> = async () => undefined
  const core = coreOf(writer, {
    put: async (key, body, options) => {
      if (!key.includes('/manifests/')) return await store.put(key, body, options)
      // So long did the writer work on what it names.
      a.clock.advance(58 * MINUTE_MS)
      late = () => store.put(key, body)
      throw unheard(key)
    },
  })
  await expect(ingestRows(core, testRows('y', 2))).rejects.toMatchObject({ code: 'UNREACHABLE' })
  a.clock.advance(4 * MINUTE_MS)
  const other = b.start()
  await collectGarbage(other.environment)
  await late()
  const head = await other.core('docs').head()
  for (const digest of closureOf(head).keys()) {
    expect(await a.store.head(blobKey(digest)), digest).toBeDefined()
  }
  expect(await idsOf(other.core('docs'))).toEqual(['x0', 'x1', 'y0', 'y1'])
})

it('a snapshot is not made by a process that slept while its state went', async () => {
  const [a, b] = twoMachines()
  const sleeper = a.start()
  await ingestRows(sleeper.core('docs'), testRows('x', 2))
  const other = b.start()
  const { store } = sleeper.environment
  const core = coreOf(sleeper, {
    put: async (key, body, options) => {
      if (key.includes('/snapshots/')) {
        a.clock.advance(25 * HOUR_MS)
        await ingestRows(other.core('docs'), testRows('y', 1))
        await mergeSegments(other.core('docs'), { kind: 'compact' })
        a.clock.advance(2 * HOUR_MS)
        await collectGarbage(other.environment, { keepMs: 0 })
      }
      return await store.put(key, body, options)
    },
  })
  await expect(createSnapshot(core, 'month')).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(await listSnapshots(other.core('docs'))).toEqual([])
})

it('a group that nobody was told of leaves no log open', async () => {
  const [a] = twoMachines()
  const process = a.start()
  await ingestRows(process.core('docs'), testRows('x', 1))
  const { store } = process.environment
  let isDeaf = false
  const core = coreOf(process, {
    put: async (key, body, options) => {
      const put = await store.put(key, body, options)
      if (isDeaf && key.includes('/log/')) throw unheard(key)
      return put
    },
  })
  const owner = await LogOwner.start(core.environment, { timer: false })
  const log = await owner.log(core, await core.head())
  const row = (id: string) => {
    const vector = Float32Array.of(1, 2, 3, 4)
    return { kind: 'upsert' as const, row: { id, vector, payload: new Map() } }
  }
  await log.write([row('told')])
  await log.fold()
  isDeaf = true
  await expect(log.write([row('untold')])).rejects.toMatchObject({ code: 'UNREACHABLE' })
  isDeaf = false
  expect(await isLogOpen(core.environment, await core.head())).toBe(true)
  await owner.maintain()
  expect(await isLogOpen(core.environment, await core.head())).toBe(false)
  await log.write([row('later')])
  await owner.close()
  expect(await idsOf(a.start().core('docs'))).toEqual(['later', 'told', 'x0'])
})
