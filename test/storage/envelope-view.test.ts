import { describe, expect, it } from 'vitest'
import { sha256Hex } from '../../src/core/digest.ts'
import { limits } from '../../src/core/limits.ts'
import { blobKey } from '../../src/format/blob.ts'
import { sealChunk } from '../../src/storage/envelope/envelope-cipher.ts'
import { blobSubject } from '../../src/storage/envelope/envelope-head.ts'
import { createEnvelopeView, type EnvelopedBlob } from '../../src/storage/envelope/envelope-view.ts'
import { newEnvelope } from '../../src/storage/envelope/kes-envelope.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { systemClock } from '../../src/storage/system-clock.ts'
import { memoryKeys, seededBytes } from '../support/memory-keys.ts'
import { randomNumbers } from '../support/temp-store.ts'

const CHUNK = 32
const STORE_ID = 'ab'.repeat(16)

interface Place {
  readonly view: ObjectStore
  readonly inner: ObjectStore
  readonly text: Uint8Array
  readonly key: string
  readonly blob: EnvelopedBlob
  /** Requests for ciphertext, as offset and length. */
  readonly asked: (readonly [number, number])[]
  readonly keys: ReturnType<typeof memoryKeys>
  readonly closed: () => number
}

/** A store with one blob in an envelope, and a plain object beside it. */
async function place(bytes: number, change: Partial<EnvelopedBlob> = {}): Promise<Place> {
  const random = seededBytes(bytes)
  const [keys, text] = [memoryKeys(random), random(bytes)]
  const digest = sha256Hex(text)
  const subject = blobSubject(STORE_ID, digest)
  const about = { keyId: 'site-a', kind: 'blob', subject, random, chunkBytes: CHUNK } as const
  const envelope = await newEnvelope(keys, about)
  const chunks = Math.max(1, Math.ceil(bytes / CHUNK))
  const sealed = Array.from({ length: chunks }, (_, i) => {
    const plaintext = text.subarray(i * CHUNK, (i + 1) * CHUNK)
    return sealChunk(envelope.keys, i, { plaintext, isLast: i === chunks - 1 })
  })
  const whole = Buffer.concat([envelope.opening, ...sealed])
  const inner = createMemoryStore({ clock: systemClock })
  const below = blobKey(sha256Hex(whole))
  await inner.put(below, whole)
  await inner.put('collections/docs/x', Buffer.from('plain'))
  const asked: (readonly [number, number])[] = []
  const counted: ObjectStore = new Proxy(inner, {
    get: (of, name) => {
      const value: unknown = Reflect.get(of, name)
      if (typeof value !== 'function') return value
      if (name !== 'get') return value.bind(of)
      return (key: string, range?: { offset: number; bytes: number }) => {
        if (key === below && range !== undefined) asked.push([range.offset, range.bytes])
        return of.get(key, range)
      }
    },
  })
  const key = blobKey(digest)
  const blob = { below, sealedBytes: whole.length, bytes, subject, ...change }
  let closed = 0
  const server = { ...keys, close: () => void closed++ }
  const view = createEnvelopeView(methodsOf(counted), new Map([[key, blob]]), server)
  return { view, inner, text, key, blob, asked, keys, closed: () => closed }
}

/** As plain properties, which a store above spreads. */
const methodsOf = (store: ObjectStore): ObjectStore => ({
  url: store.url,
  capabilities: store.capabilities,
  get: (...given) => store.get(...given),
  read: (...given) => store.read(...given),
  put: (...given) => store.put(...given),
  stage: () => store.stage(),
  head: (key) => store.head(key),
  list: (...given) => store.list(...given),
  delete: (...given) => store.delete(...given),
  append: (...given) => store.append(...given),
  truncate: (...given) => store.truncate(...given),
  nowMs: () => store.nowMs(),
  localPath: (key) => store.localPath(key),
  sweepTemporary: () => store.sweepTemporary(),
  close: () => store.close(),
})

describe('a view of blobs in envelopes', () => {
  it.each([1, CHUNK - 1, CHUNK, CHUNK + 1, 100 * CHUNK, 150 * CHUNK + 7])(
    'gives every range of %i bytes as they are',
    async (bytes) => {
      const { view, text, key } = await place(bytes)
      const random = randomNumbers(bytes)
      const ranges = [
        [0, bytes],
        [0, 1],
        [bytes - 1, 1],
        [bytes, 0],
      ] as [number, number][]
      for (let i = 0; i < 200; i++) {
        const offset = Math.floor(random() * bytes)
        ranges.push([offset, Math.floor(random() * (bytes - offset + 1))])
      }
      for (const [offset, length] of ranges) {
        const found = await view.get(key, { offset, bytes: length })
        expect(Buffer.compare(found, text.subarray(offset, offset + length))).toBe(0)
      }
      expect(Buffer.compare(await view.get(key), text)).toBe(0)
      for (const offset of [0, 1, Math.floor(bytes / 2), bytes]) {
        const read = view.read(key, { offset, pieceBytes: 33 })
        const rest = Buffer.concat(await Array.fromAsync(read))
        expect(Buffer.compare(rest, text.subarray(offset))).toBe(0)
      }
      const beyond = { code: 'INTEGRITY' }
      await expect(view.get(key, { offset: 1, bytes })).rejects.toMatchObject(beyond)
      await expect(Array.fromAsync(view.read(key, { offset: bytes + 1 }))).rejects.toMatchObject(
        beyond,
      )
    },
  )

  it('shows the blob in place of its envelope, and all else as it is', async () => {
    const { view, key, blob } = await place(100)
    const shown = (await Array.fromAsync(view.list(''))).map((info) => [info.key, info.bytes])
    expect(shown).toEqual([
      [key, 100],
      ['collections/docs/x', 5],
    ])
    expect(await Array.fromAsync(view.list('', { limit: 1 }))).toHaveLength(1)
    expect(await Array.fromAsync(view.list('', { after: key }))).toHaveLength(1)
    expect(await Array.fromAsync(view.list('collections/'))).toHaveLength(1)
    expect((await view.head(key))?.bytes).toBe(100)
    expect((await view.head('collections/docs/x'))?.bytes).toBe(5)
    expect(Buffer.from(await view.get('collections/docs/x')).toString()).toBe('plain')
    expect(blob.below).not.toBe(key)
  })

  it('asks for the chunks of a range, the key once, and a chunk of small reads once', async () => {
    const { view, key, asked, keys } = await place(100 * CHUNK)
    await Promise.all([
      view.get(key, { offset: 70, bytes: 4 }),
      view.get(key, { offset: 0, bytes: 1 }),
    ])
    expect(keys.handedOut).toHaveLength(2)
    asked.length = 0
    for (let i = 0; i < 20; i++) await view.get(key, { offset: 64 + i, bytes: 5 })
    expect(asked).toEqual([])
    await view.get(key, { offset: 3 * CHUNK, bytes: 2 * CHUNK })
    expect(asked.map(([, bytes]) => bytes)).toEqual([2 * (CHUNK + 16)])
  })

  it('keeps so many chunks and no more', async () => {
    const kept = limits.envelopeChunksKept
    const { view, key, asked } = await place((kept + 2) * CHUNK)
    const at = (chunk: number) => view.get(key, { offset: chunk * CHUNK, bytes: 1 })
    for (let i = 0; i < kept; i++) await at(i)
    await at(0)
    await at(kept)
    asked.length = 0
    await at(0)
    expect(asked).toEqual([])
    // The one used longest ago went.
    await at(1)
    expect(asked).toHaveLength(1)
  })

  it('refuses an envelope of other lengths, of another blob, or altered anywhere', async () => {
    const integrity = { code: 'INTEGRITY' }
    const changes: readonly Partial<EnvelopedBlob>[] = [
      { bytes: 199 },
      { bytes: 201 },
      { bytes: 2 ** 40 },
      { sealedBytes: 10 },
      { subject: blobSubject(STORE_ID, 'cd'.repeat(32)) },
    ]
    for (const change of changes) {
      const { view, key, keys } = await place(200, change)
      const failing = view.get(key, { offset: 0, bytes: 1 })
      await expect(failing, JSON.stringify(change)).rejects.toMatchObject(integrity)
      // Nobody asked the key server for its key.
      expect(keys.handedOut).toHaveLength(1)
    }
    const { text, key, inner, blob } = await place(200)
    const whole = await inner.get(blob.below)
    // The same seed gives the same keys.
    const { keys } = await place(200)
    const lookAt = async (bytes: Uint8Array): Promise<Uint8Array> => {
      await inner.put(blob.below, bytes, { mode: 'replace' })
      const server = { ...keys, close: () => undefined }
      return await createEnvelopeView(methodsOf(inner), new Map([[key, blob]]), server).get(key)
    }
    for (let i = 0; i < whole.length; i++) {
      const altered = Buffer.from(whole)
      altered[i] = (altered[i] ?? 0) ^ 1
      await expect(lookAt(altered), `byte ${i}`).rejects.toMatchObject({ name: 'AkidbError' })
    }
    expect(Buffer.compare(await lookAt(whole), text)).toBe(0)
  })

  it('tries again what failed, and ends its connections when it is closed', async () => {
    const { view, key, keys, closed } = await place(50)
    const own = keys.keys.get('site-a') ?? new Uint8Array()
    keys.keys.delete('site-a')
    await expect(view.get(key)).rejects.toMatchObject({ code: 'AUTH' })
    keys.keys.set('site-a', own)
    expect(await view.get(key)).toHaveLength(50)
    await view.close()
    expect(closed()).toBe(1)
  })
})
