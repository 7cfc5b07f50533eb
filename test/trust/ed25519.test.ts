import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  fastSigner,
  isSafePoint,
  openBox,
  publicKeyOfSeed,
  publicKeyOfSpki,
  sealBox,
  signPortable,
  spkiOf,
  verifyEd25519,
} from '../../src/trust/ed25519.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

/** RFC 8032 §7.1: tests 1, 2, 3. */
const VECTORS = [
  {
    seed: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    key: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    message: '',
    signature:
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155' +
      '5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  },
  {
    seed: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    key: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    message: '72',
    signature:
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
      '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  },
  {
    seed: 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    key: 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    message: 'af82',
    signature:
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac' +
      '18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  },
]
const ORDER = (1n << 252n) + 27742317777372353535851937790883648493n

/** The signature with S + L in place of S: the same equation, other bytes. */
function malleate(signature: Uint8Array): Uint8Array {
  let s = ORDER
  for (let i = 0; i < 32; i++) s += BigInt(signature[32 + i] ?? 0) << BigInt(8 * i)
  const out = signature.slice()
  for (let i = 0; i < 32; i++) out[32 + i] = Number((s >> BigInt(8 * i)) & 0xffn)
  return out
}

describe('Ed25519', () => {
  for (const [i, vector] of VECTORS.entries()) {
    it(`makes and takes the signature of RFC 8032 test ${i + 1}`, () => {
      const seed = hex(vector.seed)
      const message = hex(vector.message)
      expect(publicKeyOfSeed(seed)).toEqual(hex(vector.key))
      expect(signPortable(seed, message)).toEqual(hex(vector.signature))
      expect(fastSigner(seed)(message)).toEqual(hex(vector.signature))
      expect(verifyEd25519(hex(vector.key), message, hex(vector.signature))).toBe(true)
    })

    it(`refuses test ${i + 1} with any bit flipped`, () => {
      const key = hex(vector.key)
      const message = hex(vector.message)
      const signature = hex(vector.signature)
      for (const target of [key, message, signature]) {
        for (let bit = 0; bit < target.length * 8; bit++) {
          target[bit >> 3] = (target[bit >> 3] ?? 0) ^ (1 << (bit & 7))
          expect(verifyEd25519(key, message, signature)).toBe(false)
          target[bit >> 3] = (target[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        }
      }
      expect(verifyEd25519(key, message, signature)).toBe(true)
    })

    it(`refuses the second signature that S + L makes of test ${i + 1}`, () => {
      const signature = malleate(hex(vector.signature))
      expect(verifyEd25519(hex(vector.key), hex(vector.message), signature)).toBe(false)
    })
  }

  it('signs the same bytes with both implementations', () => {
    const seed = new Uint8Array(randomBytes(32))
    const message = new Uint8Array(randomBytes(1000))
    const signature = signPortable(seed, message)
    const shown = `seed ${Buffer.from(seed).toString('hex')}`
    expect(fastSigner(seed)(message), shown).toEqual(signature)
    expect(verifyEd25519(publicKeyOfSeed(seed), message, signature), shown).toBe(true)
  })

  it('refuses keys of small order, with either sign, and numbers beyond the prime', () => {
    const y = [
      '0100000000000000000000000000000000000000000000000000000000000000',
      'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
      '0000000000000000000000000000000000000000000000000000000000000000',
      '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
      'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
      'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
      'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
      'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    ]
    for (const text of y) {
      for (const sign of [0, 0x80]) {
        const key = hex(text)
        key[31] = (key[31] ?? 0) | sign
        expect(isSafePoint(key)).toBe(false)
        // S = 0 and R the neutral element hold for every message under a neutral key.
        const forged = new Uint8Array(64)
        forged[0] = 1
        expect(verifyEd25519(key, hex('00'), forged)).toBe(false)
      }
    }
    expect(isSafePoint(hex(VECTORS[0]?.key ?? ''))).toBe(true)
  })

  it('refuses keys and signatures of other lengths without throwing', () => {
    const { key, message, signature } = VECTORS[1] ?? { key: '', message: '', signature: '' }
    for (const length of [0, 31, 33]) {
      const other = new Uint8Array(length)
      expect(verifyEd25519(other, hex(message), hex(signature))).toBe(false)
      expect(isSafePoint(other)).toBe(false)
    }
    for (const length of [0, 63, 65]) {
      const other = Buffer.concat([hex(signature), Buffer.alloc(1)]).subarray(0, length)
      expect(verifyEd25519(hex(key), hex(message), other)).toBe(false)
    }
  })

  it('wraps a public key in a SubjectPublicKeyInfo and takes no other', () => {
    const key = hex(VECTORS[0]?.key ?? '')
    const spki = spkiOf(key)
    expect(spki).toHaveLength(44)
    expect(publicKeyOfSpki(spki)).toEqual(key)
    for (let i = 0; i < 12; i++) {
      const other = spki.slice()
      other[i] = (other[i] ?? 0) ^ 1
      expect(publicKeyOfSpki(other)).toBeUndefined()
    }
    for (let length = 0; length < 44; length++) {
      expect(publicKeyOfSpki(spki.subarray(0, length))).toBeUndefined()
    }
  })
})

describe('secretbox', () => {
  it('opens only what it sealed', () => {
    const key = new Uint8Array(32).fill(1)
    const nonce = new Uint8Array(24).fill(2)
    const box = sealBox(hex('0102'), nonce, key)
    expect(openBox(box, nonce, key)).toEqual(hex('0102'))
    for (let i = 0; i < box.length; i++) {
      const other = box.slice()
      other[i] = (other[i] ?? 0) ^ 1
      expect(openBox(other, nonce, key)).toBeUndefined()
    }
    expect(openBox(box, nonce, new Uint8Array(32))).toBeUndefined()
    expect(openBox(new Uint8Array(3), nonce, key)).toBeUndefined()
  })
})
