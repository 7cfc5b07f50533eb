import { expect, it } from 'vitest'
import { keep, Once } from '../../src/db/segment/once.ts'

it('a failure takes nothing but its own value away', async () => {
  const once = new Once<number>()
  let fail: (reason: Error) => void = () => undefined
  const first = once.get(
    () =>
      new Promise((_, reject) => {
        fail = reject
      }),
  )
  once.forget()
  expect(await once.get(async () => 2)).toBe(2)
  fail(new Error('late'))
  await expect(first).rejects.toThrow('late')
  expect(await once.get(async () => 3)).toBe(2)
})

it('a failure is not kept', async () => {
  const once = new Once<number>()
  await expect(once.get(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await once.get(async () => 1)).toBe(1)
  const map = new Map<string, Promise<number>>()
  await expect(keep(map, 'a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await keep(map, 'a', async () => 1)).toBe(1)
})
