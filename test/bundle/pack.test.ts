import { describe, expect, it } from 'vitest'
import { packBundle } from '../../src/bundle/pack.ts'
import {
  collectionOf,
  makeBlob,
  packBlob,
  packToBytes,
  requestOf,
  smallBundle,
  stateOf,
} from './support/fixture.ts'

describe('packing', () => {
  const write = async () => {}

  it('gives the same bytes for the same request', async () => {
    const { bytes, request } = await smallBundle()
    const again = { ...request, blobs: request.blobs.toReversed() }
    expect(Buffer.compare(await packToBytes(again), bytes)).toBe(0)
  })

  it('refuses a source blob that is damaged anywhere, cut or longer', async () => {
    const { request, blobs } = await smallBundle([100])
    const [blob] = blobs
    if (blob === undefined) throw new Error('no blob')
    for (let at = 0; at < blob.bytes.length; at += 7) {
      const bytes = Uint8Array.from(blob.bytes)
      bytes[at] = (bytes[at] as number) ^ 1
      const damaged = { ...request, blobs: [packBlob({ ref: blob.ref, bytes })], write }
      await expect(packBundle(damaged)).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
    const lengths = [blob.bytes.subarray(0, -1), Buffer.concat([blob.bytes, Buffer.alloc(1)])]
    for (const bytes of [...lengths, new Uint8Array(0)]) {
      const damaged = { ...request, blobs: [packBlob({ ref: blob.ref, bytes })], write }
      await expect(packBundle(damaged)).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
  })

  it('refuses blobs that no state names, and states without their blobs', async () => {
    const { request } = await smallBundle([100, 200])
    const extra = packBlob(await makeBlob(1, 'extra', 'ids'))
    const more = packBundle({ ...request, blobs: [...request.blobs, extra], write })
    await expect(more).rejects.toMatchObject({ code: 'INTEGRITY' })
    const fewer = packBundle({ ...request, blobs: request.blobs.slice(1), write })
    await expect(fewer).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('refuses more collections than a head holds', async () => {
    const state = stateOf()
    const collections = Array.from({ length: 900 }, (_, i) =>
      collectionOf(`collection-${i}`, state.stateRoot),
    )
    const request = requestOf({ blobs: [], states: [state], collections })
    await expect(packBundle({ ...request, write })).rejects.toMatchObject({ code: 'LIMIT' })
  })

  it('can be stopped', async () => {
    const { request } = await smallBundle([100])
    const stopped = packBundle({ ...request, write, signal: AbortSignal.abort() })
    await expect(stopped).rejects.toThrow()
  })
})
