import { expect, it } from 'vitest'
import { SharedLook } from '../../src/db/states/shared-look.ts'

it('begins after everybody asked whom it serves', async () => {
  const looks: { done: (value: string) => void; fail: (error: Error) => void }[] = []
  const look = new SharedLook<string>(() => new Promise((done, fail) => looks.push({ done, fail })))
  const first = look.get()
  const second = look.get()
  const third = look.get()
  expect(looks).toHaveLength(1)
  looks[0]?.done('old')
  expect(await first).toBe('old')
  await new Promise((go) => setImmediate(go))
  expect(looks).toHaveLength(2)
  const fourth = look.get()
  looks[1]?.fail(new Error('gone'))
  await expect(second).rejects.toThrow('gone')
  await expect(third).rejects.toThrow('gone')
  await new Promise((go) => setImmediate(go))
  expect(looks).toHaveLength(3)
  looks[2]?.done('new')
  expect(await fourth).toBe('new')
  void look.get()
  expect(looks).toHaveLength(4)
})
