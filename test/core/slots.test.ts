import { expect, it } from 'vitest'
import { eachAtOnce, Slots } from '../../src/core/slots.ts'

/** A promise, and what settles it. */
const gate = () => Promise.withResolvers<void>()
/** Until all that is ready has run. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

it('lets in so many at once, the others in the order in which they came', async () => {
  const slots = new Slots(2)
  const gates = Array.from({ length: 5 }, gate)
  const begun: number[] = []
  const all = gates.map(({ promise }, i) =>
    slots.run(async () => {
      begun.push(i)
      await promise
    }),
  )
  await settled()
  expect(begun).toEqual([0, 1])
  gates[1]?.resolve()
  await settled()
  expect(begun).toEqual([0, 1, 2])
  for (const { resolve } of gates) resolve()
  await Promise.all(all)
  expect(begun).toEqual([0, 1, 2, 3, 4])
})

it('gives a slot back after a failure', async () => {
  const slots = new Slots(1)
  await expect(slots.run(() => Promise.reject(new Error('a')))).rejects.toThrow('a')
  expect(await slots.run(async () => 'b')).toBe('b')
})

it('reads no further ahead than it works', async () => {
  let read = 0
  const items = function* () {
    for (;;) {
      if (read === 100) return
      yield read++
    }
  }
  let most = 0
  await eachAtOnce(items(), 3, async (item) => {
    await settled()
    most = Math.max(most, read - item)
  })
  expect(read).toBe(100)
  expect(most).toBeLessThanOrEqual(5)
})

function* brokenItems(): Generator<number> {
  yield 1
  throw new Error('broken')
}

const fails = (): never => {
  throw new Error('broken')
}

const CASES: readonly (readonly [string, Iterable<number>, () => Promise<void>])[] = [
  ['a work', [1, 2, 3, 4], async () => fails()],
  ['the items', brokenItems(), async () => undefined],
  ['a work before it begins', [1, 2], fails],
]

it.each(CASES)(
  'throws a failure of %s when what is under way has ended',
  async (_, items, next) => {
    const slow = gate()
    let ended = false
    let isFirst = true
    const wait = async (): Promise<void> => {
      await slow.promise
      ended = true
    }
    const all = eachAtOnce<number>(items, 4, (): Promise<void> => {
      if (!isFirst) return next()
      isFirst = false
      return wait()
    })
    await settled()
    slow.resolve()
    await expect(all).rejects.toThrow('broken')
    expect(ended).toBe(true)
  },
)
