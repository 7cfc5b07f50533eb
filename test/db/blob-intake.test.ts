import { afterAll, describe, expect, it } from 'vitest'
import { sha256 } from '../../src/core/digest.ts'
import { BlobIntake } from '../../src/db/states/blob-intake.ts'
import { type BeginLook, LookThread, lookHere } from '../../src/db/states/look-thread.ts'
import { encodeBlob, section } from '../../src/format/blob.ts'
import { chunkLayout, chunkRoot } from '../../src/format/chunks.ts'
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

async function blobOf(
  rows: Float32Array | Uint8Array,
  role: BlobRole = 'vectors',
  name = 'vec',
): Promise<Made> {
  const pieces: Uint8Array[] = []
  const sections = [section(name, bytesOf(rows))]
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

const thread = new LookThread()
afterAll(() => thread.close())

/** What is seen of a file, and that it was written as it came. */
async function taken(
  ref: BlobRef,
  file: Buffer,
  pieceBytes: number,
  beginLook: BeginLook = lookHere,
) {
  const store = createMemoryStore({ clock: systemClock })
  const staged = await store.stage()
  const spare: Uint8Array[] = []
  const intake = new BlobIntake(ref, staged, { spare, beginLook })
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
    ['here', lookHere],
    ['by a thread', thread.begin],
  ])('is looked at %s, whatever pieces it comes in', async (_, beginLook) => {
    const { ref, file } = await blobOf(rowsOf())
    for (const bytes of [1_000_003, 65_536, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20, file.length]) {
      expect(await taken(ref, file, bytes, beginLook)).toEqual({ isSound: true })
    }
  })

  // The rows begin at byte 128: a piece ends between 262,111 and 262,112, a chunk at 16,352.
  it.each([0, 16_351, 16_352, 262_111, 262_112, FLOATS - 1])(
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
    expect(await taken({ ...ref, bytes: ref.bytes + 1 }, file, 1_000_000)).toBeUndefined()
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
  })

  it('is left to a check where it holds no float32 rows', async () => {
    const { ref, file } = await blobOf(rowsOf(), 'codes')
    expect(await taken(ref, file, 1_000_000)).toEqual({ isSound: false })
    const small = await blobOf(Float32Array.of(1, 2))
    expect(await taken(small.ref, small.file, 7)).toEqual({ isSound: true })
    const odd = { ...small.ref, chunkBytes: 1_000 }
    expect(await taken(odd, small.file, 7)).toEqual({ isSound: false })
    const halves = await blobOf(new Uint8Array(6))
    expect(await taken(halves.ref, halves.file, 7)).toEqual({ isSound: false })
    const others = await blobOf(rowsOf(), 'vectors', 'other')
    expect(await taken(others.ref, others.file, 1_000_000)).toEqual({ isSound: false })
  })

  it('is looked at beside others by one thread, which hashes chunks too', async () => {
    const all = await Promise.all(
      [1, 2, 3, 4].map((n) => blobOf(rowsOf({ 0: n, [n]: Number.NaN }))),
    )
    const chunks = new Uint8Array(new SharedArrayBuffer(100_000)).fill(7)
    const [seen, digests] = await Promise.all([
      Promise.all(all.map(({ ref, file }) => taken(ref, file, 65_536, thread.begin))),
      thread.digests(chunks, 65_536),
    ])
    expect(seen).toEqual(all.map(() => ({ isSound: false })))
    expect(digests).toEqual(
      new Uint8Array([...sha256(chunks.subarray(0, 65_536)), ...sha256(chunks.subarray(65_536))]),
    )
  })

  it('is refused where its thread ends, and other hashing goes on without one', async () => {
    const dying = new LookThread()
    const { ref, file } = await blobOf(rowsOf())
    const coming = taken(ref, file, 65_536, (...of) => {
      void dying.close()
      return dying.begin(...of)
    })
    await expect(coming).rejects.toMatchObject({
      code: 'INTERNAL',
      hint: 'Run it again: it goes on.',
    })
    expect(await dying.digests(new Uint8Array(8), 8)).toBeUndefined()
  })

  it('is refused where its thread fails, and others are not', async () => {
    const { ref, file } = await blobOf(rowsOf())
    const failing = taken(ref, file, 65_536, (_, bytes) => thread.begin(null as never, bytes))
    await expect(failing).rejects.toMatchObject({ code: 'INTERNAL' })
    expect(await taken(ref, file, 65_536, thread.begin)).toEqual({ isSound: true })
  })
})
