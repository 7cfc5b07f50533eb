import { describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import * as envelope from '../../src/storage/envelope/envelope-head.ts'
import { requireBlob } from '../../src/storage/envelope/kes-envelope.ts'

const INTEGRITY = { code: 'INTEGRITY' }
const VERSION = { code: 'FORMAT_VERSION' }

const head: envelope.EnvelopeHead = {
  ...{ kind: 'blob', chunkBytes: 65_536 },
  id: new Uint8Array(32).fill(1),
  subject: new Uint8Array(32).fill(2),
  commitment: new Uint8Array(32).fill(3),
}
const BEHIND = envelope.PAYLOAD_KEY_BYTES + envelope.TAG_BYTES

/** A head of which one number is another. */
function headWith(offset: number, bytes: 1 | 2 | 4, value: number): Uint8Array {
  const made = Buffer.from(envelope.encodeHead(head))
  made.writeUIntLE(value, offset, bytes)
  return made
}

const decode = (bytes: Uint8Array) => () => envelope.decodeHead(bytes, 'x')

describe('the head of an envelope', () => {
  it('is read as it was written', () => {
    for (const kind of ['blob', 'bundle'] as const) {
      for (const chunkBytes of [1, limits.envelopeChunkBytesMax]) {
        const made = { ...head, kind, chunkBytes }
        expect(envelope.decodeHead(envelope.encodeHead(made), 'x')).toEqual(made)
      }
    }
  })

  it('is refused in each field that says what no envelope says', () => {
    for (const chunkBytes of [0, limits.envelopeChunkBytesMax + 1, 2 ** 32 - 1]) {
      expect(decode(headWith(8, 4, chunkBytes)), `${chunkBytes}`).toThrow(
        expect.objectContaining(INTEGRITY),
      )
    }
    for (const kind of [0, 3, 65_535]) {
      expect(decode(headWith(6, 2, kind))).toThrow(expect.objectContaining(INTEGRITY))
    }
    for (let at = 12; at < 16; at++) {
      expect(decode(headWith(at, 1, 1))).toThrow(expect.objectContaining(INTEGRITY))
    }
    for (let at = 0; at < 4; at++) {
      expect(decode(headWith(at, 1, 0))).toThrow(expect.objectContaining(INTEGRITY))
    }
    for (const version of [0, 2]) {
      expect(decode(headWith(4, 2, version))).toThrow(expect.objectContaining(VERSION))
    }
    const whole = envelope.encodeHead(head)
    for (let bytes = 0; bytes < whole.length; bytes++) {
      expect(decode(whole.subarray(0, bytes))).toThrow(expect.objectContaining(INTEGRITY))
    }
  })

  it('is that of a blob alone where a blob is read', () => {
    const wrapping = { keyId: 'k', sealed: new Uint8Array(1), wrapped: new Uint8Array(BEHIND) }
    const opening = { head, wrapping, where: 'x' }
    requireBlob(opening, head.subject)
    const bundle = { ...opening, head: { ...head, kind: 'bundle' as const } }
    expect(() => requireBlob(bundle, head.subject)).toThrow(expect.objectContaining(INTEGRITY))
    expect(() => requireBlob(opening, head.id)).toThrow(expect.objectContaining(INTEGRITY))
  })
})

describe('the wrapping of an envelope', () => {
  const wrapped = (keyId: string, sealedBytes: number, more = 0): Buffer =>
    Buffer.concat([
      envelope.encodeWrappingPrefix(keyId, new Uint8Array(sealedBytes)),
      new Uint8Array(BEHIND + more),
    ])
  const refused = (bytes: Uint8Array, error: object = INTEGRITY): void => {
    expect(() => envelope.decodeWrapping(bytes, 'x')).toThrow(expect.objectContaining(error))
  }

  it('has lengths within their limits', () => {
    for (const [keyId, sealedBytes] of [
      ['k', 1],
      [`_${'a'.repeat(127)}`, limits.kesSealedBytesMax],
    ] as const) {
      const found = envelope.decodeWrapping(wrapped(keyId, sealedBytes), 'x')
      expect([found.keyId, found.sealed.length]).toEqual([keyId, sealedBytes])
    }
    refused(wrapped('', 1))
    refused(wrapped('a'.repeat(129), 1))
    refused(wrapped('k', 0))
    refused(wrapped('k', limits.kesSealedBytesMax + 1))
    // Before anything of that length is read.
    for (const sealedBytes of [0, limits.kesSealedBytesMax + 1]) {
      const prefix = wrapped('k', sealedBytes).subarray(0, envelope.WRAPPING_PREFIX_BYTES)
      expect(() => envelope.wrappingBytes(prefix, 'x')).toThrow(expect.objectContaining(INTEGRITY))
    }
  })

  it('ends where its lengths say', () => {
    refused(wrapped('k', 8, 1))
    const whole = wrapped('k', 8)
    for (let bytes = 0; bytes < whole.length; bytes++) refused(whole.subarray(0, bytes))
  })

  it('names a key that fits into a path, of a provider that is known', () => {
    for (const keyId of ['..', '.k', '-k', 'a/b', 'a b', 'a\0', 'a?b', 'ä']) {
      refused(wrapped(keyId, 1))
    }
    const other = wrapped('k', 1)
    for (const provider of [0, 2]) {
      other.writeUInt16LE(provider, 0)
      refused(other, VERSION)
    }
  })
})
