import { describe, expect, it } from 'vitest'
import {
  DSSE_SIGNATURES_MAX,
  encodeDsse,
  pae,
  parseDsse,
  signDetached,
  verifyDetached,
} from '../../src/trust/dsse.ts'
import { createSigner, keyPairOfSeed } from '../../src/trust/key-pair.ts'

const TYPE = 'application/vnd.akidb.head+json'
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const pairs = [1, 2, 3].map((fill) => keyPairOfSeed(new Uint8Array(32).fill(fill)))
const signers = pairs.map((pair) => createSigner(pair, { implementation: 'node' }))
const keys = pairs.map((pair) => pair.key)
const payload = bytesOf('{"sequence":7}\n')

describe('DSSE', () => {
  it('encodes what is signed as the specification shows', () => {
    const expected = 'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    expect(textOf(pae('http://example.com/HelloWorld', bytesOf('hello world')))).toBe(expected)
    expect(textOf(pae('', new Uint8Array(0)))).toBe('DSSEv1 0  0 ')
    expect(textOf(pae('ä', bytesOf('é')))).toBe('DSSEv1 2 ä 2 é')
  })

  it('verifies what each signer signed, in any order of signers', () => {
    const bytes = signDetached(TYPE, payload, signers)
    expect(signDetached(TYPE, payload, [...signers].reverse())).toEqual(bytes)
    const dsse = parseDsse(bytes)
    expect(dsse.signatures.map(({ keyId }) => keyId)).toEqual(keys.map((key) => key.keyId).sort())
    expect(encodeDsse(dsse)).toEqual(bytes)
    const verdict = verifyDetached(dsse, TYPE, payload, keys)
    expect(verdict.valid).toHaveLength(3)
    expect(verdict).toMatchObject({ unknown: [], bad: [] })
  })

  it('tells unknown keys from bad signatures', () => {
    const dsse = parseDsse(signDetached(TYPE, payload, signers))
    const [first, second] = keys
    if (first === undefined || second === undefined) throw new Error('no keys')
    expect(verifyDetached(dsse, TYPE, payload, [first])).toMatchObject({ valid: [first], bad: [] })
    expect(verifyDetached(dsse, TYPE, payload, [first]).unknown).toHaveLength(2)
    expect(verifyDetached(dsse, TYPE, bytesOf('other'), [first, second]).bad).toHaveLength(2)
    expect(verifyDetached(dsse, TYPE, payload, []).valid).toEqual([])
  })

  it('counts a key once, however often it is given', () => {
    const dsse = parseDsse(signDetached(TYPE, payload, signers.slice(0, 1)))
    const [key] = keys
    if (key === undefined) throw new Error('no key')
    expect(
      verifyDetached(dsse, TYPE, payload, [key, { ...key, name: 'twice' }]).valid,
    ).toHaveLength(1)
    expect(() => signDetached(TYPE, payload, [...signers, ...signers])).toThrow(/distinct keys/)
    expect(() => signDetached(TYPE, payload, [])).toThrow(/distinct keys/)
  })

  it('does not take a signature over one type for another', () => {
    const dsse = parseDsse(signDetached(TYPE, payload, signers))
    expect(verifyDetached(dsse, 'application/other', payload, keys)).toMatchObject({ valid: [] })
    const renamed = { ...dsse, payloadType: 'application/other' }
    expect(verifyDetached(renamed, 'application/other', payload, keys).valid).toEqual([])
  })

  it('has no free bit: every flip, cut and addition is refused or does not hold', () => {
    const bytes = signDetached(TYPE, payload, signers.slice(0, 1))
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const other = bytes.slice()
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(holds(other), `bit ${bit}`).toBe(false)
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(holds(bytes.subarray(0, length))).toBe(false)
    }
    expect(holds(Buffer.concat([bytes, bytesOf('\n')]))).toBe(false)
    expect(holds(bytes)).toBe(true)
  })

  it('refuses what is not canonical', () => {
    const text = textOf(signDetached(TYPE, payload, signers))
    const value = JSON.parse(text) as { payloadType: string; signatures: { keyid: string }[] }
    const variants = [
      text.trim(),
      ` ${text}`,
      `${JSON.stringify(value, null, 1)}\n`,
      `${JSON.stringify({ ...value, extra: 1 })}\n`,
      `${JSON.stringify({ signatures: value.signatures, payloadType: value.payloadType })}\n`,
      `${JSON.stringify({ ...value, signatures: [...value.signatures].reverse() })}\n`,
      `${JSON.stringify({ ...value, signatures: [value.signatures[0], value.signatures[0]] })}\n`,
      `${JSON.stringify({ ...value, signatures: [] })}\n`,
      `${JSON.stringify({ ...value, payloadType: 'a "b"' })}\n`,
      text.replace('"payloadType"', '"payloadType":"x","payloadType"'),
      text.replace('"sig":"', '"sig":" '),
      text.replace('==', ''),
      text.toUpperCase(),
      '[]\n',
      'null\n',
      '{"payloadType":"a","signatures":[null]}\n',
      '{"payloadType":"a","signatures":[{"keyid":1,"sig":2}]}\n',
      '{',
      '',
    ]
    for (const variant of variants) {
      const refused = expect.objectContaining({ code: 'SIGNATURE' })
      expect(() => parseDsse(bytesOf(variant)), variant).toThrow(refused)
    }
    expect(() => parseDsse(Uint8Array.of(0xff))).toThrow(/UTF-8/)
    expect(() => parseDsse(new Uint8Array(64 * 1024 + 1))).toThrow(/longer/)
  })

  it('bounds the number of signatures', () => {
    const signature = new Uint8Array(64)
    const of = (count: number): Uint8Array =>
      encodeDsse({
        payloadType: TYPE,
        signatures: Array.from({ length: count }, (_, i) => ({
          keyId: i.toString(16).padStart(64, '0'),
          signature,
        })),
      })
    expect(parseDsse(of(DSSE_SIGNATURES_MAX)).signatures).toHaveLength(DSSE_SIGNATURES_MAX)
    expect(() => parseDsse(of(DSSE_SIGNATURES_MAX + 1))).toThrow(/too many/)
  })
})

function holds(bytes: Uint8Array): boolean {
  try {
    return verifyDetached(parseDsse(bytes), TYPE, payload, keys).valid.length > 0
  } catch (error) {
    expect(error).toMatchObject({ code: 'SIGNATURE' })
    return false
  }
}
