import { expect, it, onTestFinished } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { GroupQueue, type QueuedEntries } from '../../src/db/wal/group-queue.ts'
import { parts } from '../../src/db/wal/log-groups.ts'
import { createTestClock } from '../support/memory-environment.ts'

function withGroupBytes(logGroupBytesMax: number): void {
  const before = limits.logGroupBytesMax
  Object.assign(limits, { logGroupBytesMax })
  onTestFinished(() => void Object.assign(limits, { logGroupBytesMax: before }))
}

const entriesOf = (bytes: number): QueuedEntries => ({ entries: [], encoded: [], bytes })

/** A queue whose groups, and what is done between them, are told in their order. */
function queue(more: Partial<ConstructorParameters<typeof GroupQueue>[0]> = {}) {
  const told: string[] = []
  const { promise: isBegun, resolve: begin } = Promise.withResolvers<void>()
  const write = async (group: readonly QueuedEntries[]): Promise<void> => {
    told.push(group.map(({ bytes }) => bytes).join('+'))
    begin()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const groups = new GroupQueue({ clock: createTestClock(), groupMs: 0, write, ...more })
  return { groups, told, isBegun }
}

it('puts into a group what waits, and no more than one may hold but for one alone', async () => {
  withGroupBytes(100)
  const { groups, told } = queue()
  await Promise.all([1, 50, 30, 20, 1, 500, 99, 1].map((bytes) => groups.add(entriesOf(bytes))))
  expect(told).toEqual(['1+50+30', '20+1', '500', '99+1'])
  expect(groups.length).toBe(0)
})

it('does what else is to be done before those that wait, one after the other', async () => {
  const { groups, told, isBegun } = queue()
  const chore = (name: string) =>
    groups.between(async () => {
      await new Promise((resolve) => setImmediate(resolve))
      told.push(name)
      if (name === 'b') throw new Error('not done')
    })
  const first = groups.add(entriesOf(1))
  await isBegun
  const second = groups.add(entriesOf(2))
  const done = await Promise.allSettled([first, second, chore('a'), chore('b'), chore('c')])
  expect(told).toEqual(['1', 'a', 'b', 'c', '2'])
  const failed = done.map(({ status }) => status === 'rejected')
  expect(failed).toEqual([false, false, false, true, false])
})

it('tells all of a group that it failed, and goes on', async () => {
  let isFull = true
  const write = async () => {
    if (isFull) throw new Error('the disk is full')
  }
  const { groups } = queue({ write })
  const added = [1, 2, 3].map((bytes) => groups.add(entriesOf(bytes)))
  const states = (await Promise.allSettled(added)).map(({ status }) => status)
  expect(states).toEqual(['rejected', 'rejected', 'rejected'])
  isFull = false
  await groups.add(entriesOf(4))
})

it('leaves nobody without an answer where its clock fails', async () => {
  const sleep = () => Promise.reject(new Error('no time'))
  const { groups, told } = queue({ clock: { nowMs: () => 1, sleep }, groupMs: 50 })
  await Promise.all([1, 2].map((bytes) => groups.add(entriesOf(bytes))))
  expect(told.join('+')).toBe('1+2')
})

it('parts entries into runs that a group may hold each', () => {
  withGroupBytes(100)
  const runs = (...lengths: number[]) =>
    parts(lengths.map((length) => new Uint8Array(length))).map(({ first, end, bytes }) => [
      first,
      end,
      bytes,
    ])
  expect(runs()).toEqual([])
  expect(runs(100)).toEqual([[0, 1, 100]])
  expect(runs(60, 40, 1, 500, 99, 1)).toEqual([
    [0, 2, 100],
    [2, 3, 1],
    [3, 4, 500],
    [4, 6, 100],
  ])
})
