import { describe, expect, it } from 'vitest'
import { createStoreSink } from '../../src/bundle/unpack.ts'
import { verifyBundle } from '../../src/bundle/verify.ts'
import type { BundleSink } from '../../src/bundle/verify-blobs.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import { partsOf, pieces, STRANGER, smallBundle, TRUSTED } from './support/fixture.ts'

describe('a sink', () => {
  const recorder = () => {
    const calls: string[] = []
    const sink: BundleSink = {
      state: async (root) => void calls.push(`state ${root.slice(0, 4)}`),
      begin: async ({ digest }) => calls.push(`begin ${digest.slice(0, 4)}`) > 0,
      write: async () => {},
      end: async () => void calls.push('end'),
      abort: async () => void calls.push('abort'),
    }
    return { calls, sink }
  }

  it('gets every blob whole, or is told that it is not', async () => {
    const { bytes } = await smallBundle([100, 200])
    const parts = partsOf(bytes)
    const { calls, sink } = recorder()
    await verifyBundle({ read: pieces(bytes), keys: TRUSTED, sink })
    expect(calls.map((call) => call.split(' ')[0])).toEqual([
      'state',
      'begin',
      'end',
      'begin',
      'end',
    ])
    const last = parts.at(-2)
    if (last !== undefined) last.bytes[last.bytes.length - 513] = 1
    if (last !== undefined) last.bytes[700] = (last.bytes[700] as number) ^ 1
    const bad = recorder()
    const read = pieces(Buffer.concat(parts.map((part) => part.bytes)))
    await verifyBundle({ read, keys: TRUSTED, sink: bad.sink })
    expect(bad.calls.at(-1)).toBe('abort')
  })

  it('gets nothing from a bundle that nobody trusted signed', async () => {
    const { bytes } = await smallBundle([100])
    const { calls, sink } = recorder()
    await verifyBundle({ read: pieces(bytes), keys: [STRANGER.key], sink })
    expect(calls).toEqual([])
  })

  it('fills a store and finds there what it brought before', async () => {
    const { bytes, blobs } = await smallBundle([70_000, 200])
    const store = createMemoryStore({ clock: { nowMs: () => 0 } })
    const keyOf = (digest: string) => `blobs/0/${digest}`
    const run = async () => {
      const sink = createStoreSink({ store, keyOf, onState: async () => {} })
      const report = await verifyBundle({ read: pieces(bytes), keys: TRUSTED, sink })
      return { ok: report.ok, present: sink.present, copied: sink.copied }
    }
    expect(await run()).toEqual({ ok: true, present: 0, copied: 2 })
    expect(await run()).toEqual({ ok: true, present: 2, copied: 0 })
    for (const { ref, bytes: content } of blobs) {
      expect(Buffer.from(await store.get(keyOf(ref.digest))).equals(content)).toBe(true)
    }
  })

  it('is told to stop when it fails itself', async () => {
    const { bytes } = await smallBundle([100])
    const { calls, sink } = recorder()
    const full = { ...sink, write: () => Promise.reject(new Error('full')) }
    const run = verifyBundle({ read: pieces(bytes), keys: TRUSTED, sink: full })
    await expect(run).rejects.toThrow('full')
    expect(calls.at(-1)).toBe('abort')
  })
})
