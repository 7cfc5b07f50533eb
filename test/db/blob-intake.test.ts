import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { sha256 } from '../../src/core/digest.ts'
import { BlobIntake } from '../../src/db/states/blob-intake.ts'
import { encodeBlob, section } from '../../src/format/blob.ts'
import { type ChunkDigests, chunkLayout, chunkRoot } from '../../src/format/chunks.ts'
import type { BlobRef, BlobRole } from '../../src/format/manifest.ts'
import { bytesOf } from '../../src/format/views.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import { systemClock } from '../../src/storage/system-clock.ts'

/** 3.2 MB: a whole piece, another, and a part of one. */
const FLOATS = 800_000

interface Made {
  readonly ref: BlobRef
  readonly file: Buffer
}

async function blobOf(rows: Float32Array, role: BlobRole = 'vectors'): Promise<Made> {
  const pieces: Uint8Array[] = []
  const sections = [section('vec', bytesOf(rows))]
  const ref = await encodeBlob({ role, records: 1, dimension: 1, sections }, async (bytes) => {
    pieces.push(bytes.slice())
  })
  return { ref, file: Buffer.concat(pieces) }
}

const rowsOf = (change: Readonly<Record<number, number>> = {}): Float32Array =>
  Object.assign(
    Float32Array.from({ length: FLOATS }, (_, i) => i % 1_000),
    change,
  )

/** Every chunk hashed later, as a worker would. */
const elsewhere: ChunkDigests = async (bytes, chunkBytes) => {
  expect(bytes.buffer).toBeInstanceOf(SharedArrayBuffer)
  await setImmediate()
  const found: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    found.push(sha256(bytes.subarray(at, at + chunkBytes)))
  }
  return Buffer.concat(found)
}

/** What is seen of a file, and that it was written as it came. */
async function taken(ref: BlobRef, file: Buffer, pieceBytes: number, digests?: ChunkDigests) {
  const store = createMemoryStore({ clock: systemClock })
  const staged = await store.stage()
  const spare: Uint8Array<SharedArrayBuffer>[] = []
  const intake = new BlobIntake(ref, staged, { spare, digests })
  for (let at = 0; at < file.length; at += pieceBytes) {
    const piece = Buffer.from(file.subarray(at, at + pieceBytes))
    await intake.write(piece)
    piece.fill(0xee)
  }
  const seen = await intake.finish()
  await intake.end()
  await intake.end()
  expect(spare.length).toBeGreaterThan(0)
  expect(spare.length).toBeLessThanOrEqual(2)
  await staged.commit('k')
  expect(file.equals(await store.get('k'))).toBe(true)
  return seen
}

describe('a blob that comes from outside', () => {
  it.each([
    ['here', undefined],
    ['by a worker', elsewhere],
    ['here, as no worker is there', async () => undefined],
  ])('is looked at whatever pieces it comes in, hashed %s', async (_, digests) => {
    const { ref, file } = await blobOf(rowsOf())
    for (const bytes of [1_000_003, 65_536, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20, file.length]) {
      expect(await taken(ref, file, bytes, digests)).toEqual({ isSound: true })
    }
  })

  it.each([0, 1, 262_127, 262_128, FLOATS - 1])(
    'is not sound where component %i is not finite',
    async (i) => {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const { ref, file } = await blobOf(rowsOf({ [i]: value }))
        expect(await taken(ref, file, 1_000_000)).toEqual({ isSound: false })
      }
    },
  )

  it('is not it where any byte differs, or one is missing or too much', async () => {
    const { ref, file } = await blobOf(rowsOf())
    for (const at of [0, 40, 100, 2 ** 20, file.length - 40, file.length - 1]) {
      const other = Buffer.from(file)
      other[at] = (other[at] as number) ^ 1
      expect(await taken(ref, other, 1_000_000), String(at)).toBeUndefined()
    }
    expect(await taken(ref, file.subarray(0, -1), 1_000_000)).toBeUndefined()
    expect(await taken(ref, Buffer.concat([file, Buffer.alloc(1)]), 1_000_000)).toBeUndefined()
    expect(await taken(ref, Buffer.concat([file, file]), 1_000_000)).toBeUndefined()
  })

  it('is not sound where its list is not that of its chunks, or has another root', async () => {
    const { ref, file } = await blobOf(rowsOf())
    const { listOffset = 0, listBytes = 0 } = chunkLayout(ref.bytes, ref.chunkBytes) ?? {}
    const lying = Buffer.from(file)
    lying[listOffset + 33] = (lying[listOffset + 33] as number) ^ 1
    const digest = sha256(lying).toString('hex')
    const list = lying.subarray(listOffset, listOffset + listBytes)
    const liar = { ...ref, digest, chunkRoot: chunkRoot(list) }
    expect(await taken(liar, lying, 1_000_000)).toEqual({ isSound: false })
    const rootless = { ...ref, chunkRoot: '0'.repeat(64) }
    expect(await taken(rootless, file, 1_000_000)).toEqual({ isSound: false })
    const wrong: ChunkDigests = async (bytes, chunkBytes) =>
      Buffer.alloc(32 * Math.ceil(bytes.length / chunkBytes))
    expect(await taken(ref, file, 1_000_000, wrong)).toEqual({ isSound: false })
  })

  it('is left to a check where it holds no float32 rows', async () => {
    const { ref, file } = await blobOf(rowsOf(), 'codes')
    expect(await taken(ref, file, 1_000_000)).toEqual({ isSound: false })
    const small = await blobOf(Float32Array.of(1, 2))
    expect(await taken(small.ref, small.file, 7)).toEqual({ isSound: true })
    const odd = { ...small.ref, chunkBytes: 1_000 }
    expect(await taken(odd, small.file, 7)).toEqual({ isSound: false })
  })
})
