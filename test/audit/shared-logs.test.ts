import { describe, expect, it } from 'vitest'
import { type AuditLog, openAuditLog } from '../../src/audit/log.ts'
import { createSharedLogs } from '../../src/audit/shared-logs.ts'
import { verifyAuditLog } from '../../src/audit/verify.ts'
import { limits } from '../../src/core/limits.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import {
  createFaultStore,
  SimulatedCrash,
  type StepHook,
  type StoreStep,
} from '../support/fault-store.ts'
import * as support from './support.ts'

const signer = support.testSigner()
const logId = signer.key.keyId
const prefix = support.prefixOf(signer)
const TAIL = `${prefix}/tail/000`
const BROKEN = { code: 'AUDIT_BROKEN' }
const { entryInputs, memoryStore } = support

/** A bucket, and the state folder of one machine. */
interface Place {
  readonly bucket: ObjectStore
  readonly state: ObjectStore
}

const newPlace = (): Place => ({ bucket: memoryStore(), state: memoryStore() })

interface ProcessOptions {
  readonly hook?: StepHook
  readonly publishes?: boolean
}

/** What a process of that machine sees of the logs. */
function sharedBy(place: Place, options: ProcessOptions = {}): ObjectStore {
  const { hook = () => undefined, publishes = true } = options
  const inner = createFaultStore(place.bucket, hook, true)
  return createSharedLogs({
    ...{ inner, state: createFaultStore(place.state, hook), logId, publishes },
  })
}

const openLog = (store: ObjectStore): Promise<AuditLog> =>
  openAuditLog({
    ...{ store, prefix, origin: support.ORIGIN, signer },
    ...{ lock: support.testLock(), clock: support.testClock() },
  })

/** The log as other machines find it in the bucket. */
const seenIn = (bucket: ObjectStore): ObjectStore =>
  createSharedLogs({ inner: bucket, state: memoryStore(), publishes: false })

/** Checks the log in the bucket, and that it is the one of the state folder. */
async function expectPublished({ bucket, state }: Place, entries: number): Promise<void> {
  const [there, here] = [await support.dump(seenIn(bucket)), await support.dump(state)]
  expect(support.digestOf(there)).toBe(support.digestOf(here))
  const result = await verifyAuditLog({ store: seenIn(bucket), prefix, keys: [signer.key] })
  expect(result).toMatchObject({ ok: true, entries, problems: [] })
}

const copyOf = async ({ bucket, state }: Place): Promise<Place> => ({
  bucket,
  state: await support.restore(await support.dump(state)),
})

/** A connection that is lost, and a list of what went over it. */
function connection() {
  const steps: StoreStep[] = []
  const line = { lost: undefined as StoreStep['phase'] | undefined, steps }
  const hook: StepHook = (step) => {
    steps.push(step)
    if (!step.remote || step.phase !== line.lost || step.operation !== 'put') return
    throw new AkidbError('UNREACHABLE', `no answer came for ${step.key}`)
  }
  return { line, hook }
}

describe('the log of a machine', () => {
  it('is in the state folder first, and in the bucket before an append resolves', async () => {
    const place = newPlace()
    const { line, hook } = connection()
    const log = await openLog(sharedBy(place, { hook }))
    for (let entries = 1; entries <= 3; entries++) {
      line.steps.length = 0
      await log.append(entryInputs(1, entries))
      const changes = line.steps.filter(({ changing }) => changing)
      expect(changes.map(({ remote, phase }) => `${phase} ${remote}`)).toEqual([
        ...['before false', 'after false', 'before true', 'after true'],
      ])
      const there = await seenIn(place.bucket).get(TAIL)
      expect(Buffer.compare(there, await place.state.get(TAIL))).toBe(0)
    }
    await log.checkpoint()
    await expectPublished(place, 3)
  })

  it('brings with the next entry what a lost connection kept, in any process', async () => {
    for (const again of ['this', 'another']) {
      for (const lost of ['before', 'after'] as const) {
        const place = newPlace()
        const { line, hook } = connection()
        const shared = sharedBy(place, { hook })
        const first = await openLog(shared)
        await first.append(entryInputs(1))
        line.lost = lost
        await expect(first.append(entryInputs(1, 1))).rejects.toMatchObject({ code: 'UNREACHABLE' })
        line.lost = undefined
        const log = again === 'this' ? first : await openLog(sharedBy(place))
        await log.append(entryInputs(1, 2))
        await log.checkpoint()
        await expectPublished(place, 3)
      }
    }
  })

  it('is kept from the bucket by a reader, until somebody of this machine writes', async () => {
    const place = newPlace()
    const reader = await openLog(sharedBy(place, { publishes: false }))
    await reader.append(entryInputs(limits.auditTileWidth + 3))
    await reader.checkpoint()
    expect((await support.dump(place.bucket)).size).toBe(0)
    const log = await openLog(sharedBy(place))
    await log.append(entryInputs(1))
    await log.checkpoint()
    await expectPublished(place, limits.auditTileWidth + 4)
  })

  it('goes on in two processes by turns', async () => {
    const place = newPlace()
    const logs = [await openLog(sharedBy(place)), await openLog(sharedBy(place))]
    for (let n = 0; n < 6; n++) await logs[n % 2]?.append(entryInputs(1, n))
    await logs[0]?.checkpoint()
    await expectPublished(place, 6)
  })

  it('is whole wherever its process is killed while a batch is closed', async () => {
    const width = limits.auditTileWidth
    const started = newPlace()
    const opened = await openLog(sharedBy(started))
    await opened.append(entryInputs(width - 1))
    await opened.checkpoint()
    const [bucket, state] = [await support.dump(started.bucket), await support.dump(started.state)]
    for (let n = 1; ; n++) {
      const place = {
        bucket: await support.restore(bucket),
        state: await support.restore(state),
      }
      let count = 0
      const killed: StepHook = ({ changing }) => {
        if (changing && ++count === n) throw new SimulatedCrash('here')
      }
      const log = openLog(sharedBy(place, { hook: killed }))
      const done = await log
        .then((killing) => killing.append(entryInputs(3)))
        .catch(() => undefined)
      // All that the bucket has is in order, whenever somebody looks.
      const keys = { prefix, keys: [signer.key] }
      const seen = await verifyAuditLog({ store: seenIn(place.bucket), ...keys })
      const problems = seen.problems.map(({ code }) => code)
      expect(problems, `after step ${n}`).toEqual([])
      expect(seen.entries).toBeGreaterThanOrEqual(width - 1)
      const next = await openLog(sharedBy(place))
      const { size } = await next.append(entryInputs(1))
      await next.checkpoint()
      await expectPublished(place, size)
      if (done !== undefined) break
      expect(n).toBeLessThan(100)
    }
  }, 30_000)
})

describe('a state folder', () => {
  /** Entries in both, then a copy of the folder, then more that the copy lacks. */
  async function copied(before: number, after: number) {
    const place = newPlace()
    const log = await openLog(sharedBy(place))
    await log.append(entryInputs(before))
    const copy = await copyOf(place)
    const meanwhile = await openLog(sharedBy(copy))
    if (after > 0) await log.append(entryInputs(after, 1_000))
    return { log, place, copy, meanwhile }
  }

  const contents = async ({ bucket, state }: Place): Promise<string> =>
    [await support.dump(bucket), await support.dump(state)].map(support.digestOf).join('\n')

  for (const after of [1, limits.auditTileWidth, 2 * limits.auditTileWidth]) {
    it(`that is ${after} entries older than what it published is broken`, async () => {
      const { copy } = await copied(2, after)
      const before = await contents(copy)
      await expect(openLog(sharedBy(copy))).rejects.toMatchObject(BROKEN)
      expect(await contents(copy)).toBe(before)
    })
  }

  it('that lost its log is broken', async () => {
    for (const after of [1, limits.auditTileWidth]) {
      const { place } = await copied(2, after)
      const there = support.digestOf(await support.dump(place.bucket))
      const lost = { bucket: place.bucket, state: memoryStore() }
      await expect(openLog(sharedBy(lost))).rejects.toMatchObject(BROKEN)
      expect(support.digestOf(await support.dump(place.bucket))).toBe(there)
    }
  })

  it('that two machines share is broken, however long each of them runs', async () => {
    const width = limits.auditTileWidth
    for (const [before, first, second, ends] of [
      [2, 1, 1],
      [2, 2, 1],
      [2, 1, 5],
      // Each closes another batch, and one has come no further.
      [2, width, width],
      [2, width - 1, width, 'ends there'],
      // The other one begins a batch that is closed.
      [width, width + 1, 1],
    ] as const) {
      const { place, copy, meanwhile } = await copied(before, first)
      if (ends !== undefined) await place.bucket.delete(`${prefix}/tail/001@${'0'.repeat(20)}`)
      const other = meanwhile.append(entryInputs(second, 5_000))
      await expect(other, `${before} ${first} ${second}`).rejects.toMatchObject(BROKEN)
      await expect(openLog(sharedBy(copy))).rejects.toMatchObject(BROKEN)
      await (await openLog(sharedBy(place))).checkpoint()
      await expectPublished(place, before + first)
    }
  })

  it('whose torn end was never sent is mended, and one that was sent is broken', async () => {
    for (const isSent of [false, true]) {
      const { place } = await copied(2, 1)
      const tail = await place.state.get(TAIL)
      const torn = isSent ? tail.subarray(0, -5) : Buffer.concat([tail, tail.subarray(0, 40)])
      await place.state.put(TAIL, torn, { mode: 'replace' })
      if (isSent) {
        const before = await contents(place)
        await expect(openLog(sharedBy(place))).rejects.toMatchObject(BROKEN)
        expect(await contents(place)).toBe(before)
        continue
      }
      const log = await openLog(sharedBy(place))
      await log.append(entryInputs(1))
      await log.checkpoint()
      await expectPublished(place, 4)
    }
  })

  it('cuts nothing that may still arrive', async () => {
    const place = newPlace()
    const { line, hook } = connection()
    const shared = sharedBy(place, { hook })
    const log = await openLog(shared)
    await log.append(entryInputs(1))
    const [{ length }] = [await place.state.get(TAIL)]
    line.lost = 'before'
    await expect(log.append(entryInputs(1, 1))).rejects.toMatchObject({ code: 'UNREACHABLE' })
    await expect(shared.truncate(TAIL, length)).rejects.toMatchObject(BROKEN)
    expect((await place.state.head(TAIL))?.bytes).toBeGreaterThan(length)
  })

  it('sends whole entries alone', async () => {
    const place = newPlace()
    await (await openLog(sharedBy(place, { publishes: false }))).append(entryInputs(2))
    const tail = await place.state.get(TAIL)
    const frame = Buffer.concat([Uint8Array.of(0, 5), Buffer.from('zeros')])
    for (const end of [tail.subarray(0, 3), frame]) {
      const torn = Buffer.concat([tail, end])
      await place.state.put(TAIL, torn, { mode: 'replace' })
      await sharedBy(place).put(`${prefix}/key.pem`, Buffer.from('key'))
      expect(Buffer.compare(await seenIn(place.bucket).get(TAIL), tail)).toBe(0)
    }
  })

  it('is brought over by the process that could not do so at first', async () => {
    const place = newPlace()
    await (await openLog(sharedBy(place, { publishes: false }))).append(entryInputs(2))
    const { line, hook } = connection()
    const shared = sharedBy(place, { hook })
    line.lost = 'before'
    await expect(openLog(shared)).rejects.toMatchObject({ code: 'UNREACHABLE' })
    line.lost = undefined
    await (await openLog(shared)).checkpoint()
    await expectPublished(place, 2)
  })
})

it('lists the logs of others with the own one of the state folder, in order', async () => {
  const place = newPlace()
  const log = await openLog(sharedBy(place))
  await log.append(entryInputs(2))
  const others = [`audit/${'0'.repeat(64)}/tail/000`, `audit/${'f'.repeat(64)}/tail/000`] as const
  for (const key of ['akidb.json', 'pins/x.json']) await place.bucket.put(key, new Uint8Array(1))
  for (const key of others) await sharedBy(place).append(key, Buffer.from('entry'), 0)
  // Here alone, as after a search.
  await place.state.put(`${prefix}/checkpoint`, Buffer.from('note'))
  const own = ['checkpoint', 'key.pem', 'tail/000'].map((name) => `${prefix}/${name}`)
  const all = ['akidb.json', others[0], ...own, others[1], 'pins/x.json']
  const store = sharedBy(place)
  const keysOf = async (under: string, options = {}): Promise<string[]> =>
    (await Array.fromAsync(store.list(under, options))).map(({ key }) => key)
  expect(await keysOf('')).toEqual(all)
  expect(await keysOf('audit/')).toEqual(all.slice(1, -1))
  expect(await keysOf(`${prefix}/`)).toEqual(own)
  for (let i = 0; i < all.length; i++) {
    expect(await keysOf('', { after: all[i] })).toEqual(all.slice(i + 1))
    expect(await keysOf('', { limit: i })).toEqual(all.slice(0, i))
  }
  expect(await keysOf(others[0])).toEqual([others[0]])
})
