import { expect, it } from 'vitest'
import { type Changes, Fresh, noteCommit, noteLogWrite } from '../../src/db/states/freshness.ts'

/** Looks that end when the test says so. */
function fresh(changes: Changes = 'all') {
  let nowMs = 1_000
  const looks: { done: (value: string) => void; fail: (error: Error) => void }[] = []
  const value = new Fresh<string>({ nowMs: () => nowMs }, 40, changes)
  return {
    looks,
    at: (ms: number) => {
      nowMs = ms
    },
    set: (text: string) => value.set(text),
    get: () => value.get(() => new Promise((done, fail) => looks.push({ done, fail }))),
  }
}

const settle = () => new Promise((go) => setImmediate(go))

it('looks again when the value is too old, and before that in the background', async () => {
  const { looks, at, get } = fresh()
  const first = get()
  looks[0]?.done('a')
  expect(await first).toBe('a')
  at(1_009)
  expect(await get()).toBe('a')
  expect(looks).toHaveLength(1)
  at(1_010)
  expect(await get()).toBe('a')
  expect(await get()).toBe('a')
  expect(looks).toHaveLength(2)
  looks[1]?.done('b')
  await settle()
  at(1_019)
  expect(await get()).toBe('b')
  at(1_050)
  const third = get()
  expect(looks).toHaveLength(3)
  looks[2]?.done('c')
  expect(await third).toBe('c')
})

it('waits for a look of its own after a change by this process', async () => {
  const { looks, at, get } = fresh()
  const first = get()
  looks[0]?.done('a')
  await first
  at(1_012)
  await get()
  noteCommit()
  const second = get()
  expect(looks).toHaveLength(3)
  looks[2]?.done('new')
  expect(await second).toBe('new')
  // The look in the background began before the change.
  looks[1]?.done('old')
  await settle()
  expect(await get()).toBe('new')
})

it('says what a look failed with only to who has to wait for it', async () => {
  const { looks, at, get } = fresh()
  const first = get()
  looks[0]?.done('a')
  await first
  at(1_015)
  expect(await get()).toBe('a')
  looks[1]?.fail(new Error('gone'))
  await settle()
  at(1_045)
  const second = get()
  looks[2]?.fail(new Error('still gone'))
  await expect(second).rejects.toThrow('still gone')
})

it('is not looked up again for a log write, where a commit alone can change it', async () => {
  for (const changes of ['all', 'commits'] as const) {
    const { looks, get } = fresh(changes)
    const first = get()
    looks[0]?.done('a')
    await first
    noteLogWrite()
    void get()
    expect(looks).toHaveLength(changes === 'all' ? 2 : 1)
    noteCommit()
    void get()
    expect(looks).toHaveLength(changes === 'all' ? 3 : 2)
  }
})

it('takes what is known to hold, over a look that began before', async () => {
  const { looks, at, get, set } = fresh('commits')
  const first = get()
  noteCommit()
  set('committed')
  looks[0]?.done('older')
  expect(await first).toBe('older')
  expect(await get()).toBe('committed')
  expect(looks).toHaveLength(1)
  at(1_045)
  void get()
  expect(looks).toHaveLength(2)
})
