import { expect, it } from 'vitest'
import { later } from './later.ts'

class Counter {
  step = 1
  #count = 0
  get count(): number {
    return this.#count
  }
  add(): number {
    this.#count += this.step
    return this.#count
  }
}

it('says what is missing where it is used before its time', () => {
  const counter = later<Counter>('the counter', () => undefined)
  const early = 'the counter is there from beforeAll or beforeEach on'
  expect(() => counter.count).toThrow(early)
  expect(() => Object.assign(counter, { step: 2 })).toThrow(early)
  expect(() => ({ ...counter })).toThrow(early)
  expect(() => 'step' in counter).toThrow(early)
})

it('is the thing itself from then on, and another where a hook makes another', () => {
  let made: Counter | undefined
  const counter = later('the counter', () => made)
  const first = new Counter()
  made = first
  const { add } = counter
  expect([add(), counter.add(), counter.count, first.count]).toEqual([1, 2, 2, 2])
  counter.step = 5
  expect([counter.add(), first.step, 'step' in counter, { ...counter }]).toEqual([
    ...[7, 5, true],
    { step: 5 },
  ])
  made = new Counter()
  expect([counter.count, first.count]).toEqual([0, 7])
})
