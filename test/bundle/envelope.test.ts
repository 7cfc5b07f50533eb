import { hkdfSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createEnvelopeWriter, openBundleBytes } from '../../src/bundle/bundle-envelope.ts'
import { limits } from '../../src/core/limits.ts'
import { hasCode } from '../../src/errors/errors.ts'
import {
  type EnvelopeKeys,
  newEnvelopeKeys,
  openChunk,
  sealChunk,
  wrapPayloadKey,
} from '../../src/storage/envelope/envelope-cipher.ts'
import {
  encodeWrappingPrefix,
  FIXED_BYTES,
  HEAD_BYTES,
  TAG_BYTES,
} from '../../src/storage/envelope/envelope-head.ts'
import {
  decodeOpening,
  newEnvelope,
  openEnvelope,
  rewrapEnvelope,
} from '../../src/storage/envelope/kes-envelope.ts'
import { type MemoryKeys, memoryKeys, seededBytes } from '../support/memory-keys.ts'
import { noise, pieces } from './support/fixture.ts'

const CHUNK = 16
const SUBJECT = new Uint8Array(32)

interface Sealed {
  readonly server: MemoryKeys
  readonly bytes: Buffer
  readonly openingBytes: number
  readonly keys: EnvelopeKeys
}

async function seal(text: Uint8Array, change: Partial<{ chunkBytes: number; seed: number }> = {}) {
  const random = seededBytes(change.seed ?? 1)
  const server = memoryKeys(random)
  return await sealWith(server, random, text, change.chunkBytes ?? CHUNK)
}

async function sealWith(
  server: MemoryKeys,
  random: (bytes: number) => Uint8Array,
  text: Uint8Array,
  chunkBytes = CHUNK,
): Promise<Sealed> {
  const about = { keyId: 'site-a', kind: 'bundle', subject: SUBJECT } as const
  const envelope = await newEnvelope(server, { ...about, chunkBytes, random })
  const parts: Uint8Array[] = []
  const writer = createEnvelopeWriter(envelope, async (part) => void parts.push(part))
  for await (const piece of pieces(text, 7)) await writer.write(piece)
  expect(await writer.finish()).toBe(Buffer.concat(parts).length)
  const { opening, keys } = envelope
  return { server, bytes: Buffer.concat(parts), openingBytes: opening.length, keys }
}

/** What comes out, byte for byte as far as it comes, and how it ends. */
async function open(
  server: MemoryKeys,
  bytes: Uint8Array,
  pieceBytes = 11,
): Promise<{ readonly text: Buffer; readonly failure?: unknown }> {
  const text: Uint8Array[] = []
  try {
    const unseal = (opening: Parameters<typeof openEnvelope>[1]) => openEnvelope(server, opening)
    for await (const piece of openBundleBytes(pieces(bytes, pieceBytes), { name: 'x', unseal })) {
      text.push(Uint8Array.from(piece))
    }
    return { text: Buffer.concat(text) }
  } catch (failure) {
    return { text: Buffer.concat(text), failure }
  }
}

/** Refused, with nothing but a beginning of the true text before. */
async function expectRefused(
  server: MemoryKeys,
  bytes: Uint8Array,
  whole: Uint8Array,
  what: string,
): Promise<void> {
  const { text, failure } = await open(server, bytes)
  expect(hasCode(failure, 'INTEGRITY', 'FORMAT_VERSION', 'NOT_FOUND'), what).toBe(true)
  expect(Buffer.from(whole.subarray(0, text.length)).equals(text), what).toBe(true)
  expect(text.length, what).toBeLessThanOrEqual(whole.length)
}

const TEXT = Buffer.from(noise(5 * CHUNK + 3, 'text'))

describe('an envelope', () => {
  it.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5])(
    'gives back %i bytes, in whatever pieces it comes',
    async (bytes) => {
      const text = noise(bytes, 'sizes')
      const sealed = await seal(text)
      const chunks = Math.max(1, Math.ceil(bytes / CHUNK))
      expect(sealed.bytes.length).toBe(sealed.openingBytes + bytes + chunks * TAG_BYTES)
      for (const pieceBytes of [1, 3, 5, 1000]) {
        const { text: found, failure } = await open(sealed.server, sealed.bytes, pieceBytes)
        expect(failure).toBeUndefined()
        expect(found.equals(text)).toBe(true)
      }
    },
  )

  it('is told by its first bytes: everything else goes through as it is', async () => {
    const { server } = await seal(TEXT)
    for (const text of ['', 'AK', 'AKE', 'AKEX and more', 'HEAD.json']) {
      const bytes = Buffer.from(text)
      for (const pieceBytes of [1, 2, 100]) {
        expect(await open(server, bytes, pieceBytes)).toEqual({ text: bytes })
      }
    }
  })

  it('has a payload key, a data key and bytes of its own, whatever is in it', async () => {
    const random = seededBytes(5)
    const server = memoryKeys(random)
    const [a, b] = [await sealWith(server, random, TEXT), await sealWith(server, random, TEXT)]
    const tails = [a, b].map(({ bytes, openingBytes }) => bytes.toString('hex', openingBytes))
    expect(tails[0]).not.toBe(tails[1])
    expect(Buffer.compare(a.keys.payloadKey, b.keys.payloadKey)).not.toBe(0)
  })

  it('leaves no data key in memory', async () => {
    const { server, bytes } = await seal(TEXT)
    expect((await open(server, bytes)).failure).toBeUndefined()
    expect(server.handedOut).toHaveLength(2)
    expect(server.handedOut.every((key) => key.every((byte) => byte === 0))).toBe(true)
  })

  it('can be read from any chunk, which opens at its own place alone', async () => {
    const { bytes, openingBytes, keys } = await seal(TEXT)
    const chunks = Math.ceil(TEXT.length / CHUNK)
    for (let i = 0; i < chunks; i++) {
      const at = openingBytes + i * (CHUNK + TAG_BYTES)
      const sealed = bytes.subarray(at, at + CHUNK + TAG_BYTES)
      const isLast = i === chunks - 1
      const text = TEXT.subarray(i * CHUNK, (i + 1) * CHUNK)
      expect(openChunk(keys, i, { sealed, isLast })).toEqual(text)
      expect(openChunk(keys, i, { sealed, isLast: !isLast })).toBeUndefined()
      expect(openChunk(keys, i + 1, { sealed, isLast })).toBeUndefined()
    }
    expect(openChunk(keys, 0, { sealed: new Uint8Array(15), isLast: true })).toBeUndefined()
  })

  it('ends before its counter begins anew', () => {
    const keys = newEnvelopeKeys(
      { kind: 'blob', chunkBytes: CHUNK, subject: SUBJECT },
      seededBytes(3),
    )
    const last = { plaintext: TEXT, isLast: true }
    const index = limits.envelopeChunksMax
    const sealed = sealChunk(keys, index - 1, last)
    expect(openChunk(keys, index - 1, { sealed, isLast: true })).toEqual(TEXT)
    expect(() => sealChunk(keys, index, last)).toThrow(
      expect.objectContaining({ code: 'LIMIT', details: expect.anything() }),
    )
    expect(openChunk(keys, index, { sealed, isLast: true })).toBeUndefined()
  })
})

describe('an envelope that was altered', () => {
  it('is refused for every byte of what stands before the chunks', async () => {
    const { server, bytes, openingBytes } = await seal(TEXT)
    for (let i = 0; i < openingBytes; i++) {
      for (const bit of [1, 128]) {
        const altered = Buffer.from(bytes)
        altered[i] = (altered[i] ?? 0) ^ bit
        // Without its magic it is no envelope any more: the reader of bundles refuses it.
        if (i < 4) expect((await open(server, altered)).text.equals(altered)).toBe(true)
        else await expectRefused(server, altered, new Uint8Array(0), `byte ${i}`)
      }
    }
  })

  it('is refused for every byte of its chunks, and tells where', async () => {
    const { server, bytes, openingBytes } = await seal(TEXT)
    for (let i = openingBytes; i < bytes.length; i++) {
      const altered = Buffer.from(bytes)
      altered[i] = (altered[i] ?? 0) ^ 1
      await expectRefused(server, altered, TEXT, `byte ${i}`)
      const chunk = Math.floor((i - openingBytes) / (CHUNK + TAG_BYTES))
      const offset = openingBytes + chunk * (CHUNK + TAG_BYTES)
      expect((await open(server, altered)).failure).toMatchObject({ details: { offset } })
    }
  })

  it('is refused where it is cut, at every byte', async () => {
    const { server, bytes, openingBytes } = await seal(TEXT)
    for (let end = 4; end < bytes.length; end++) {
      await expectRefused(server, bytes.subarray(0, end), TEXT, `cut at ${end}`)
    }
    const border = openingBytes + 2 * (CHUNK + TAG_BYTES)
    const { failure } = await open(server, bytes.subarray(0, border))
    expect((failure as Error).message).toContain('truncated')
  })

  it('is refused where anything follows its end', async () => {
    const { server, bytes, openingBytes } = await seal(noise(3 * CHUNK, 'full'))
    const whole = noise(3 * CHUNK, 'full')
    const chunk = bytes.subarray(openingBytes, openingBytes + CHUNK + TAG_BYTES)
    for (const more of [Buffer.alloc(1), Buffer.alloc(CHUNK + TAG_BYTES), chunk, bytes]) {
      await expectRefused(server, Buffer.concat([bytes, more]), whole, `${more.length} more`)
    }
    const { failure } = await open(server, Buffer.concat([bytes, chunk]))
    expect((failure as Error).message).toContain('it must end there')
  })

  it('is refused where chunks are swapped, repeated or left out', async () => {
    const { server, bytes, openingBytes } = await seal(TEXT)
    const opening = bytes.subarray(0, openingBytes)
    const chunks: Buffer[] = []
    for (let at = openingBytes; at < bytes.length; at += CHUNK + TAG_BYTES) {
      chunks.push(bytes.subarray(at, at + CHUNK + TAG_BYTES))
    }
    const whole = chunks.length
    const tried: (readonly number[])[] = []
    const order = Array.from({ length: whole }, (_, i) => i)
    for (let a = 0; a < whole; a++) {
      tried.push(order.toSpliced(a, 1), order.toSpliced(a, 0, a))
      for (let b = a + 1; b < whole; b++) tried.push(order.with(a, b).with(b, a))
    }
    for (const each of tried) {
      const parts = each.map((i) => chunks[i] ?? Buffer.alloc(0))
      await expectRefused(server, Buffer.concat([opening, ...parts]), TEXT, each.join())
    }
  })

  it('is refused where parts are another envelope’s, of the same key and text', async () => {
    const random = seededBytes(9)
    const server = memoryKeys(random)
    const [a, b] = [await sealWith(server, random, TEXT), await sealWith(server, random, TEXT)]
    expect(a.openingBytes).toBe(b.openingBytes)
    const step = CHUNK + TAG_BYTES
    for (let at = a.openingBytes; at < a.bytes.length; at += step) {
      const spliced = Buffer.concat([a.bytes.subarray(0, at), b.bytes.subarray(at)])
      await expectRefused(server, spliced, TEXT, `spliced at ${at}`)
    }
    for (const from of [16, HEAD_BYTES, FIXED_BYTES]) {
      const spliced = Buffer.from(a.bytes)
      b.bytes.copy(spliced, from, from, a.openingBytes)
      await expectRefused(server, spliced, new Uint8Array(0), `opening from ${from}`)
    }
  })

  it('has one content, also for whoever may use the key', async () => {
    const { server, bytes, openingBytes, keys } = await seal(TEXT)
    let context = new Uint8Array(0)
    const listening: MemoryKeys = {
      ...server,
      decryptDataKey: (id, asked, signal) => {
        context = Uint8Array.from(asked.context)
        return server.decryptDataKey(id, asked, signal)
      },
    }
    expect((await open(listening, bytes)).failure).toBeUndefined()
    // Another payload key, wrapped as this envelope's is, and another text under it.
    const payloadKey = seededBytes(99)(32)
    const made = await server.generateDataKey('site-a', context)
    const prefix = encodeWrappingPrefix('site-a', made.ciphertext)
    const wrapped = wrapPayloadKey(made.plaintext, payloadKey, [keys.head, prefix])
    const info = Buffer.concat([Buffer.from('akidb-envelope/1'), keys.head.subarray(0, 80)])
    const okm = new Uint8Array(hkdfSync('sha256', payloadKey, keys.head.subarray(16, 48), info, 71))
    const forged = { ...keys, payloadKey, chunkKey: okm.slice(32, 64), noncePrefix: okm.slice(64) }
    const plaintext = Buffer.from('another text')
    const chunk = sealChunk(forged, 0, { plaintext, isLast: true })
    const other = Buffer.concat([keys.head, prefix, wrapped, chunk])
    const { text, failure } = await open(server, other)
    expect(text).toHaveLength(0)
    expect(failure).toMatchObject({ code: 'INTEGRITY' })
    expect(other.subarray(0, HEAD_BYTES).equals(bytes.subarray(0, HEAD_BYTES))).toBe(true)
    expect(openingBytes).toBe(other.length - chunk.length)
  })

  it('is refused by another key of the same name, which is said', async () => {
    const { server, bytes } = await seal(TEXT)
    const { failure } = await open(memoryKeys(seededBytes(77)), bytes)
    expect(failure).toMatchObject({ code: 'INTEGRITY', details: { keyId: 'site-a' } })
    expect((failure as Error).message).toContain('https://memory:7373 does not open it')
    server.keys.delete('site-a')
    expect((await open(server, bytes)).failure).toMatchObject({ code: 'NOT_FOUND' })
  })

  it('takes no memory for what its lengths claim', async () => {
    const { server, bytes } = await seal(TEXT)
    const claims: readonly (readonly [number, number, number])[] = [
      [8, 4, limits.envelopeChunkBytesMax + 1],
      [8, 4, 0],
      [8, 4, 0xffffffff],
      [HEAD_BYTES + 2, 2, 0],
      [HEAD_BYTES + 2, 2, 129],
      [HEAD_BYTES + 4, 4, 0],
      [HEAD_BYTES + 4, 4, limits.kesSealedBytesMax + 1],
      [HEAD_BYTES + 4, 4, 0xffffffff],
    ]
    for (const [at, width, value] of claims) {
      const altered = Buffer.from(bytes)
      altered.writeUIntLE(value, at, width)
      expect((await open(server, altered)).failure, `${at}`).toMatchObject({ code: 'INTEGRITY' })
    }
    expect(server.handedOut).toHaveLength(1)
  })
})

describe('an envelope wrapped anew', () => {
  it('opens by the new key alone, and its head and chunks are the same', async () => {
    const { server, bytes, openingBytes } = await seal(TEXT)
    const opening = decodeOpening(bytes.subarray(0, openingBytes), 'x')
    const anew = await rewrapEnvelope(server, opening, { keyId: 'site-b' })
    const rewrapped = Buffer.concat([anew, bytes.subarray(openingBytes)])
    expect(bytes.subarray(0, HEAD_BYTES).equals(anew.subarray(0, HEAD_BYTES))).toBe(true)
    server.keys.delete('site-a')
    expect(await open(server, rewrapped)).toEqual({ text: TEXT })
    expect((await open(server, bytes)).failure).toMatchObject({ code: 'NOT_FOUND' })
    expect(server.handedOut.every((key) => key.every((byte) => byte === 0))).toBe(true)
  })

  it('takes no wrapping of another envelope', async () => {
    const random = seededBytes(4)
    const server = memoryKeys(random)
    const [a, b] = [await sealWith(server, random, TEXT), await sealWith(server, random, TEXT)]
    const ofB = decodeOpening(b.bytes.subarray(0, b.openingBytes), 'b')
    const anew = await rewrapEnvelope(server, ofB, { keyId: 'site-b' })
    const mixed = Buffer.concat([
      a.bytes.subarray(0, HEAD_BYTES),
      anew.subarray(HEAD_BYTES),
      a.bytes.subarray(a.openingBytes),
    ])
    await expectRefused(server, mixed, new Uint8Array(0), 'mixed')
  })

  it('is not made of one whose head does not hold', async () => {
    const { server, bytes, openingBytes } = await seal(TEXT)
    for (const at of [20, 90, HEAD_BYTES + 12, openingBytes - 1]) {
      const altered = Buffer.from(bytes.subarray(0, openingBytes))
      altered[at] = (altered[at] ?? 0) ^ 1
      const anew = async () =>
        rewrapEnvelope(server, decodeOpening(altered, 'x'), { keyId: 'site-b' })
      const failure = await anew().catch((error: unknown) => error)
      expect(hasCode(failure, 'INTEGRITY', 'NOT_FOUND'), `byte ${at}`).toBe(true)
    }
  })
})
