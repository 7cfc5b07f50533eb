import { expect, it } from 'vitest'
import { sha256 } from '../../src/core/digest.ts'
import { ChunkHasher } from '../../src/format/chunk-hasher.ts'

const body = Uint8Array.from({ length: 1_000 }, (_, i) => (i * 31 + (i >>> 5)) & 0xff)

/** Digests of the chunks of a body that comes in pieces of a size, each with its number. */
function hashed(chunkBytes: number, pieceBytes: number): string[] {
  const found: string[] = []
  const hasher = new ChunkHasher(chunkBytes, body.length, (digest, index) => {
    found.push(`${index} ${digest.toString('hex')}`)
  })
  for (let at = 0; at < body.length; at += pieceBytes) {
    expect(hasher.at).toBe(at)
    hasher.update(body.subarray(at, at + pieceBytes))
  }
  return found
}

it('gives the digest of each chunk, whatever pieces they come in', () => {
  for (const chunkBytes of [1, 7, 64, 999, 1_000, 1_001]) {
    const chunks = Array.from({ length: Math.ceil(body.length / chunkBytes) }, (_, i) => {
      const chunk = body.subarray(i * chunkBytes, (i + 1) * chunkBytes)
      return `${i} ${Buffer.from(sha256(chunk)).toString('hex')}`
    })
    for (const pieceBytes of [1, 3, 63, 64, 65, 500, 1_000]) {
      expect(hashed(chunkBytes, pieceBytes), `${chunkBytes} in ${pieceBytes}`).toEqual(chunks)
    }
  }
})

it('takes no more than the body', () => {
  for (const chunkBytes of [64, 100, 1_001]) {
    const hasher = new ChunkHasher(chunkBytes, body.length, () => undefined)
    hasher.update(body)
    hasher.update(new Uint8Array(0))
    expect(() => hasher.update(Uint8Array.of(1))).toThrow(RangeError)
    const other = new ChunkHasher(chunkBytes, body.length - 1, () => undefined)
    expect(() => other.update(body)).toThrow(RangeError)
  }
})
