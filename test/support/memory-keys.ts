import { createCipheriv, createDecipheriv } from 'node:crypto'
import { AkidbError } from '../../src/errors/errors.ts'
import type { EnvelopeKeyServer } from '../../src/storage/envelope/kes-envelope.ts'

export interface MemoryKeys extends EnvelopeKeyServer {
  /** Keys by name, 32 bytes each. */
  readonly keys: Map<string, Uint8Array>
  /** Every data key that was handed out. */
  readonly handedOut: Uint8Array[]
}

/** A key server in memory, for tests that ask it thousands of times. */
export function memoryKeys(
  random: (bytes: number) => Uint8Array,
  names: readonly string[] = ['site-a', 'site-b'],
): MemoryKeys {
  const keys = new Map(names.map((name) => [name, random(32)]))
  const handedOut: Uint8Array[] = []
  const keyOf = (name: string): Uint8Array => {
    const key = keys.get(name)
    if (key !== undefined) return key
    throw new AkidbError('NOT_FOUND', `no key ${name}`)
  }
  const given = (key: Uint8Array): Uint8Array => {
    handedOut.push(key)
    return key
  }
  return {
    url: 'https://memory:7373',
    keys,
    handedOut,
    generateDataKey: async (name, context) => {
      const [plaintext, nonce] = [random(32), random(12)]
      const cipher = createCipheriv('aes-256-gcm', keyOf(name), nonce).setAAD(context)
      const text = Buffer.concat([cipher.update(plaintext), cipher.final()])
      const ciphertext = Buffer.concat([nonce, cipher.getAuthTag(), text])
      return { plaintext: given(plaintext), ciphertext }
    },
    decryptDataKey: async (name, { ciphertext, context }) => {
      const key = keyOf(name)
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, ciphertext.subarray(0, 12))
        decipher.setAAD(context).setAuthTag(ciphertext.subarray(12, 28))
        const text = decipher.update(ciphertext.subarray(28))
        return given(new Uint8Array(Buffer.concat([text, decipher.final()])))
      } catch (cause) {
        throw new AkidbError('INTEGRITY', 'the ciphertext is not what this key sealed', { cause })
      }
    },
  }
}

/** Bytes that look random and are the same on every run (mulberry32). */
export function seededBytes(seed: number): (bytes: number) => Uint8Array {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (t ^ (t >>> 14)) >>> 24
  }
  return (bytes) => Uint8Array.from({ length: bytes }, next)
}
