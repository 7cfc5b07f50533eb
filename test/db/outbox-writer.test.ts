import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { encodeLogEntry } from '../../src/db/wal/log-entry.ts'
import type { WrittenGroup } from '../../src/db/wal/log-file.ts'
import { readMark } from '../../src/db/wal/outbox.ts'
import { OutboxWriter } from '../../src/db/wal/outbox-writer.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { createFaultStore, type StepHook } from '../support/fault-store.ts'
import { turns } from '../support/local-owner.ts'
import { createTestClock } from '../support/memory-environment.ts'

// What goes from the outbox of a state folder to the bucket, and what is said of it.

const log = { name: 'docs', collection: 'c'.repeat(32), epoch: 3 }
const away = () => new AkidbError('UNREACHABLE', 'the bucket is gone')

let bucket: ObjectStore
let folder: ObjectStore
let steps: string[]
let failures: unknown[]
let replaced: number
/** What goes wrong at the bucket, and in the state folder. */
let atBucket: StepHook
let atFolder: StepHook
let writer: OutboxWriter
beforeEach(() => {
  const clock = createTestClock()
  bucket = createMemoryStore({ clock })
  folder = createMemoryStore({ clock })
  ;[steps, failures, replaced] = [[], [], 0]
  atBucket = () => undefined
  atFolder = () => undefined
  const store = createFaultStore(bucket, async (step) => {
    if (step.phase === 'before' && step.changing) steps.push(`bucket ${step.operation}`)
    await atBucket(step)
  })
  const state = createFaultStore(folder, async (step) => {
    const what = step.key.endsWith('.json') ? 'mark' : 'group'
    if (step.phase === 'before' && step.changing) steps.push(`${what} ${step.operation}`)
    await atFolder(step)
  })
  writer = new OutboxWriter({
    environment: { store, state, clock, isShared: true },
    log,
    confirm: async () => void steps.push('confirm'),
    onReplaced: () => void replaced++,
    onFailure: (error) => void failures.push(error),
  })
  onTestFinished(() => writer.stop())
})

/** Writes a group of some rows, each of so many bytes of payload. */
const append = (rows = 1, bytes = 1): Promise<WrittenGroup> =>
  writer.append(
    Array.from({ length: rows }, (_, i) => {
      const payload = new Map([['text', 'x'.repeat(bytes)]])
      return encodeLogEntry({ kind: 'upsert', row: { id: `r${i}`, vector: undefined, payload } })
    }),
  )

/** Objects in the bucket, by the position that each begins at. */
async function objects(): Promise<Map<number, string>> {
  const found = new Map<number, string>()
  for await (const { key } of bucket.list('')) {
    found.set(Number(key.slice(-20)), Buffer.from(await bucket.get(key)).toString('hex'))
  }
  return found
}

const bodyOf = (...groups: readonly WrittenGroup[]): string =>
  Buffer.concat(groups.map(({ bytes }) => bytes)).toString('hex')

const endOf = ({ start, bytes }: WrittenGroup): number => start + bytes.byteLength

/** Until this is called again nothing reaches the bucket. */
const cut =
  (isCut: boolean): (() => void) =>
  () => {
    atBucket = () => {
      if (isCut) throw away()
    }
  }

function withLimits(changed: Partial<Record<keyof typeof limits, number>>): void {
  const before = { ...limits }
  Object.assign(limits, changed)
  onTestFinished(() => void Object.assign(limits, before))
}

describe('groups of an outbox', () => {
  it('go as one object where they follow each other, and not over a gap', async () => {
    cut(true)()
    const first = [await append(), await append(2)]
    let isDue = true
    atFolder = ({ operation, phase }) => {
      if (operation !== 'append' || phase !== 'before' || !isDue) return
      isDue = false
      throw new AkidbError('NO_SPACE', 'the disk is full')
    }
    await expect(append()).rejects.toMatchObject({ code: 'NO_SPACE' })
    const later = await append(3)
    expect(later.start).toBeGreaterThan(endOf(first[1] as WrittenGroup))
    cut(false)()
    await turns()
    expect([...(await objects()).values()].join('')).toBe(bodyOf(...first, later))
    expect((await objects()).get(later.start)).toBe(bodyOf(later))
    expect(writer.atRisk).toMatchObject({ rows: 0, bytes: 0, sinceMs: 0 })
  })

  it('go in objects of no more than one may hold', async () => {
    withLimits({ logGroupBytesMax: 1_000 })
    cut(true)()
    await append()
    await turns()
    const large = [await append(1, 600), await append(1, 300), await append(1, 2_000)]
    cut(false)()
    await turns(200)
    const found = await objects()
    expect([...found.values()].join('')).toContain(bodyOf(...large))
    for (const [start, body] of found) {
      const isOne = large.some((group) => group.start === start && bodyOf(group) === body)
      expect(body.length <= 2_000 || isOne).toBe(true)
    }
    expect(writer.atRisk.rows).toBe(0)
  })

  it('go again as they went where the answer was lost, whatever came meanwhile', async () => {
    const later: WrittenGroup[] = []
    atBucket = async ({ operation, phase }) => {
      if (operation !== 'put' || phase !== 'after') return
      atBucket = () => undefined
      later.push(await append())
      throw away()
    }
    const first = await append()
    await turns()
    expect([...(await objects())]).toEqual([
      [0, bodyOf(first)],
      [endOf(first), bodyOf(...later)],
    ])
    expect([replaced, writer.atRisk.rows]).toEqual([0, 0])
  })

  it('do so as well where some of them were committed meanwhile', async () => {
    const groups: WrittenGroup[] = []
    atBucket = async ({ operation, phase }) => {
      if (operation !== 'put' || phase !== 'before') return
      loseNext()
      groups.push(await append(), await append())
    }
    const loseNext = (): void => {
      let puts = 0
      // The first is the one that is under way.
      atBucket = async ({ operation, phase }) => {
        if (operation !== 'put' || phase !== 'after' || ++puts !== 2) return
        await writer.rotate(endOf(groups[0] as WrittenGroup))
        throw away()
      }
    }
    await append()
    await turns()
    const [first, second] = groups as [WrittenGroup, WrittenGroup]
    // What went at once is one object: the second alone would lie there twice.
    expect([...(await objects())]).toEqual([[first.start, bodyOf(first, second)]])
    expect([replaced, writer.atRisk.rows]).toEqual([0, 0])
  })

  it('are another machine’s where something else lies in their place', async () => {
    await append()
    await turns()
    const [key = ''] = (await Array.fromAsync(bucket.list(''))).map((info) => info.key)
    cut(true)()
    const second = await append()
    await turns(4)
    const other = `${key.slice(0, -20)}${String(second.start).padStart(20, '0')}`
    await bucket.put(other, Buffer.alloc(second.bytes.byteLength))
    cut(false)()
    await turns()
    expect([replaced, writer.atRisk.rows]).toEqual([1, 1])
    await append()
    await turns()
    expect(writer.atRisk.rows).toBe(2)
  })
})

describe('of an outbox it is said', () => {
  it('that it waits for the bucket, once in each outage', async () => {
    for (const outages of [1, 2]) {
      cut(true)()
      await append()
      await turns(200)
      expect(failures).toHaveLength(outages)
      cut(false)()
      await turns()
      expect(writer.atRisk.rows).toBe(0)
    }
  })

  it('what is sent, when nobody else owned the log after that', async () => {
    const group = await append()
    await turns()
    const sent = ['group append', 'mark put', 'bucket put', 'confirm', 'mark put']
    expect(steps).toEqual(sent)
    const mark = { sent: endOf(group), folded: 0, sinceMs: 0 }
    expect(await readMark(folder, log)).toMatchObject(mark)
  })

  it('what is committed, before it is removed here and there', async () => {
    const group = await append()
    await turns()
    steps.length = 0
    await writer.rotate(endOf(group))
    await turns()
    expect(steps).toEqual(['mark put', 'group delete', 'bucket delete'])
    expect(await readMark(folder, log)).toMatchObject({ folded: endOf(group) })
    expect(await objects()).toEqual(new Map())
  })

  it('nothing, when it is closed and all is committed: the mark goes last', async () => {
    await writer.rotate(endOf(await append()))
    await append()
    await turns()
    steps.length = 0
    await writer.rotate(writer.length)
    // As a folder that keeps what was to be removed.
    await folder.put(
      `outbox/docs/${log.collection}/${'3'.padStart(20, '0')}-${'9'.repeat(20)}`,
      new Uint8Array(0),
    )
    await turns()
    await writer.close()
    expect(steps.slice(-2)).toEqual(['group delete', 'mark delete'])
    expect(await Array.fromAsync(folder.list(''))).toEqual([])
  })

  it('that more was committed while what was before is removed: that goes, too', async () => {
    const [first, second] = [await append(), await append()]
    await turns()
    const third = await append()
    await turns()
    expect((await objects()).size).toBeGreaterThan(1)
    atBucket = async ({ operation, phase }) => {
      if (operation !== 'delete' || phase !== 'before') return
      atBucket = () => undefined
      await writer.rotate(endOf(third))
    }
    await writer.rotate(endOf(second))
    await turns()
    expect(first.start).toBe(0)
    expect(await objects()).toEqual(new Map())
  })
})

it.each([
  ['rows', { localRowsMax: 2 }],
  ['bytes', { localBytesMax: 150 }],
] as const)('makes room when enough is sent, and no sooner: %s', async (_, less) => {
  withLimits({ logGroupBytesMax: 1, ...less })
  cut(true)()
  for (let i = 0; i < 6; i++) await append()
  await expect(writer.room()).rejects.toMatchObject({ code: 'UNREACHABLE' })
  cut(false)()
  await writer.room()
  const { rows, bytes } = writer.atRisk
  expect(rows).toBeLessThan(limits.localRowsMax)
  expect(bytes).toBeLessThan(limits.localBytesMax)
  expect(rows).toBeGreaterThan(0)
  await writer.stop()
  await writer.room()
})
