import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sha256 } from '../../src/core/digest.ts'
import { CheckedBlob } from '../../src/db/segment/checked-blob.ts'
import { blobKey, encodeBlob, section } from '../../src/format/blob.ts'
import type { ChunkDigests } from '../../src/format/chunks.ts'
import type { BlobRef } from '../../src/format/manifest.ts'
import { createCachedStore } from '../../src/storage/cache/cached-store.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { systemClock } from '../../src/storage/system-clock.ts'

function pattern(bytes: number): Uint8Array {
  const made = new Uint8Array(bytes)
  for (let i = 0; i < bytes; i++) made[i] = i * 31 + (i >>> 8)
  return made
}

/** A blob of role vectors (chunks of 64 KiB) with a section before and one behind the large one. */
async function blobOf(
  vectors: Uint8Array,
): Promise<{ store: ObjectStore; ref: BlobRef; file: Buffer }> {
  const pieces: Uint8Array[] = []
  const sections = [section('a', pattern(100)), section('vec', vectors), section('z', pattern(77))]
  const ref = await encodeBlob(
    { role: 'vectors', records: 1, dimension: 1, sections },
    async (bytes) => void pieces.push(bytes.slice()),
  )
  const store = createMemoryStore({ clock: systemClock })
  const file = Buffer.concat(pieces)
  await store.put(blobKey(ref.digest), file)
  return { store, ref, file }
}

/** What workers give, and a note of how much they were asked. */
function digester(): { digests: ChunkDigests; asked: number[] } {
  const asked: number[] = []
  const digests: ChunkDigests = async (bytes, chunkBytes) => {
    asked.push(bytes.length)
    const found: Uint8Array[] = []
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      found.push(sha256(bytes.subarray(at, at + chunkBytes)))
    }
    return Buffer.concat(found)
  }
  return { digests, asked }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Each piece is copied at once, and others may run before the next: it is valid no longer. */
async function streamed(
  blob: CheckedBlob,
  section: string,
  digests: ChunkDigests | undefined,
): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of blob.stream(section, digests && { digests })) {
    pieces.push(piece.slice())
    await new Promise((turn) => setImmediate(turn))
  }
  return hex(Buffer.concat(pieces))
}

const CHUNK = 65_536

describe.each([
  ['this thread', undefined],
  ['others', digester],
  ['nobody who is there', () => ({ digests: async () => undefined, asked: [] })],
] as const)('a section filled into one memory, hashed by %s', (_, who) => {
  it.each([0, 1, CHUNK - 300, CHUNK, 3 * CHUNK + 17, 70 * CHUNK + 5, 200 * CHUNK])(
    'of %d bytes is what was stored',
    async (bytes) => {
      const vectors = pattern(bytes)
      const { store, ref } = await blobOf(vectors)
      const blob = await CheckedBlob.open(store, ref)
      const target = new Uint8Array(new SharedArrayBuffer(bytes))
      const by = who?.()
      await blob.fill('vec', target, by?.digests)
      expect(Buffer.compare(target, vectors)).toBe(0)
      const part = new Uint8Array(Math.min(10, bytes))
      await blob.read('vec', [{ offset: 0, target: part }])
      expect(part).toEqual(vectors.slice(0, 10))
      for (const [section, stored] of [
        ['a', pattern(100)],
        ['vec', vectors],
        ['z', pattern(77)],
      ] as const) {
        expect(await streamed(blob, section, by?.digests)).toBe(hex(stored))
      }
    },
  )

  it('is refused wherever a chunk is damaged', async () => {
    const vectors = pattern(140 * CHUNK + 9)
    const { store, ref, file } = await blobOf(vectors)
    for (const at of [CHUNK, 64 * CHUNK, 70 * CHUNK + 1, 140 * CHUNK, 140 * CHUNK + 100]) {
      const broken = Buffer.from(file)
      broken[at] = (broken[at] as number) ^ 1
      await store.put(blobKey(ref.digest), broken, { mode: 'replace' })
      const blob = await CheckedBlob.open(store, ref)
      const target = new Uint8Array(new SharedArrayBuffer(vectors.length))
      await expect(blob.fill('vec', target, who?.().digests), `byte ${at}`).rejects.toMatchObject({
        code: 'INTEGRITY',
      })
      await expect(streamed(blob, 'vec', who?.().digests), `byte ${at}`).rejects.toMatchObject({
        code: 'INTEGRITY',
      })
    }
  })
})

it('is asked of other threads in parts of a few MiB', async () => {
  const { store, ref } = await blobOf(pattern(200 * CHUNK))
  const { digests, asked } = digester()
  const blob = await CheckedBlob.open(store, ref)
  await blob.fill('vec', new Uint8Array(new SharedArrayBuffer(200 * CHUNK)), digests)
  expect(asked.reduce((sum, bytes) => sum + bytes, 0)).toBe(199 * CHUNK)
  expect(Math.max(...asked)).toBe(4 * 2 ** 20)
})

it('takes a memory of the right length alone', async () => {
  const { store, ref } = await blobOf(pattern(1_000))
  const blob = await CheckedBlob.open(store, ref)
  await expect(blob.fill('vec', new Uint8Array(999))).rejects.toThrow(RangeError)
})

it('is read twice where there are copies, and refused where its source is damaged', async () => {
  const { store, ref, file } = await blobOf(pattern(9 * CHUNK))
  const folder = await mkdtemp(join(tmpdir(), 'akidb-copies-'))
  const cached = createCachedStore({ inner: store, folder })
  const target = new Uint8Array(9 * CHUNK)
  await (await CheckedBlob.open(cached, ref)).fill('vec', target)
  const broken = Buffer.from(file)
  broken[5 * CHUNK] = (broken[5 * CHUNK] as number) ^ 1
  await store.put(blobKey(ref.digest), broken, { mode: 'replace' })
  // The copy is right, so nobody looks at what lies there now.
  await (await CheckedBlob.open(cached, ref)).fill('vec', target)
  await cached.cache?.forget(blobKey(ref.digest))
  for (let i = 0; i < 2; i++) {
    const blob = await CheckedBlob.open(cached, ref)
    await expect(blob.fill('vec', target)).rejects.toMatchObject({ code: 'INTEGRITY' })
    await expect(streamed(blob, 'vec', undefined)).rejects.toMatchObject({ code: 'INTEGRITY' })
  }
  await store.put(blobKey(ref.digest), file, { mode: 'replace' })
  await (await CheckedBlob.open(cached, ref)).fill('vec', target)
  await cached.close()
  await rm(folder, { recursive: true })
})
