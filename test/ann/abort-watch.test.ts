import { expect, it } from 'vitest'
import { AbortWatch } from '../../src/ann/abort-watch.ts'

it('tells of every task once that its signal was aborted, and of none that was removed', () => {
  const told: [string, unknown][] = []
  const watch = new AbortWatch<string>((task, reason) => {
    told.push([task, reason])
    // What was told of may be removed all the same.
    watch.remove(first.signal, task)
  })
  const first = new AbortController()
  const second = new AbortController()
  for (const task of ['a', 'b', 'c']) watch.add(first.signal, task)
  watch.add(second.signal, 'd')
  watch.remove(first.signal, 'b')
  watch.remove(second.signal, 'unknown')
  first.abort('enough')
  expect(told).toEqual([
    ['a', 'enough'],
    ['c', 'enough'],
  ])
  second.abort('too')
  expect(told.at(-1)).toEqual(['d', 'too'])
  expect(told).toHaveLength(3)
})

it('listens once to a signal, and no longer than there are tasks', () => {
  const watch = new AbortWatch<number>(() => undefined)
  const counts = { add: 0, remove: 0 }
  const { signal } = new AbortController()
  const counted = new Proxy(signal, {
    get(target, name) {
      if (name === 'addEventListener') counts.add++
      if (name === 'removeEventListener') counts.remove++
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  for (let round = 1; round <= 2; round++) {
    for (let task = 0; task < 5; task++) watch.add(counted, task)
    expect(counts.add).toBe(round)
    for (let task = 0; task < 5; task++) watch.remove(counted, task)
    expect(counts.remove).toBe(round)
  }
})
