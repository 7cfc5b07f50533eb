import { describe, expect, it } from 'vitest'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { storeConformance } from '../storage/conformance.ts'
import { crashAtStep, createFaultStore, fullDiskAtStep, SimulatedCrash } from './fault-store.ts'

const memory = (): ObjectStore => createMemoryStore({ clock: { nowMs: () => 1 } })
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

storeConformance('fault store without faults', async () => ({
  store: createFaultStore(memory(), () => undefined),
  dispose: async () => undefined,
}))

async function work(store: ObjectStore): Promise<void> {
  await store.put('a', bytesOf('a'))
  const staged = await store.stage()
  try {
    await staged.write(bytesOf('b'))
    await staged.commit('b')
  } finally {
    await staged.abort()
  }
  await store.append('log', bytesOf('0123456789'), 0)
  await store.delete('a')
}

async function stateOf(store: ObjectStore): Promise<string> {
  const parts: string[] = []
  for await (const { key, bytes } of store.list('')) parts.push(`${key}:${bytes}`)
  return parts.join(' ')
}

describe('fault store', () => {
  it('crashes at every step in turn and leaves what had happened', async () => {
    const states: string[] = []
    for (let n = 1; ; n++) {
      const inner = memory()
      const plan = crashAtStep(n)
      const store = createFaultStore(inner, plan.hook)
      const outcome = await work(store).then(
        () => undefined,
        (error: unknown) => error,
      )
      states.push(await stateOf(inner))
      if (plan.struck() === undefined) break
      expect(outcome).toBeInstanceOf(SimulatedCrash)
      await expect(store.get('b')).rejects.toBeInstanceOf(SimulatedCrash)
      await expect(store.put('late', bytesOf('x'))).rejects.toBeInstanceOf(SimulatedCrash)
    }
    expect(states).toEqual([
      '',
      'a:1',
      'a:1',
      'a:1',
      'a:1',
      'a:1',
      'a:1',
      'a:1 b:1',
      'a:1 b:1',
      'a:1 b:1 log:10',
      'a:1 b:1 log:10',
      'b:1 log:10',
      'b:1 log:10',
    ])
  })

  it('can tear an append', async () => {
    const inner = memory()
    const store = createFaultStore(inner, crashAtStep(9, 0.5).hook)
    await expect(work(store)).rejects.toBeInstanceOf(SimulatedCrash)
    expect(await stateOf(inner)).toBe('a:1 b:1 log:5')
  })

  it('refuses what needs room on a full disk, and deletes all the same', async () => {
    let full = true
    const store = createFaultStore(memory(), fullDiskAtStep(3, () => full).hook)
    await store.put('a', bytesOf('a'))
    await expect(store.put('b', bytesOf('b'))).rejects.toMatchObject({ code: 'NO_SPACE' })
    await expect(store.append('c', bytesOf('c'), 0)).rejects.toMatchObject({ code: 'NO_SPACE' })
    expect(await store.delete('a')).toBe(true)
    full = false
    expect(await store.put('b', bytesOf('b'))).toBe('created')
  })
})
