import { describe, expect, it } from 'vitest'
import { encodeProof, parseProof, verifyProof } from '../../src/audit/proof.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { AkidbError, hasCode } from '../../src/errors/errors.ts'
import { entryInputs, memoryStore, openTestLog, testSigner } from './support.ts'

const signer = testSigner()

async function proofOf(seq: number, count: number): Promise<Uint8Array> {
  const log = await openTestLog(memoryStore())
  await log.append(entryInputs(count))
  await log.checkpoint()
  return new Uint8Array(await log.prove(seq))
}

const refused = (error: unknown): boolean => error instanceof AkidbError && error.exitCode === 24

describe('an audit proof', () => {
  it('has the form of a C2SP tlog-proof', async () => {
    const lines = Buffer.from(await proofOf(1, 3))
      .toString('utf8')
      .split('\n')
    expect(lines[0]).toBe('c2sp.org/tlog-proof@v1')
    expect(lines[1]).toMatch(/^extra [A-Za-z0-9+/]+=*$/)
    expect(lines[2]).toBe('index 1')
    expect(lines.slice(5, 8)).toEqual(['', 'akidb.test/log', '3'])
  })

  it('holds for a log of one entry', async () => {
    const proved = verifyProof(await proofOf(0, 1), [signer.key])
    expect(proved).toMatchObject({ seq: 0, size: 1, origin: 'akidb.test/log' })
  })

  it('is refused after any flipped bit and cut at any byte', async () => {
    const proof = await proofOf(3, 7)
    for (let at = 0; at < proof.length; at++) {
      const flipped = proof.slice()
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
      expect(() => verifyProof(flipped, [signer.key]), `byte ${at}`).toThrow(AkidbError)
      const cut = proof.slice(0, at)
      expect(() => verifyProof(cut, [signer.key]), `cut at ${at}`).toThrow(AkidbError)
    }
  })

  it('is refused with another index, path, entry, or key, with exit 24', async () => {
    const parts = parseProof(await proofOf(3, 7))
    const [first = parts.entry, ...rest] = parts.path
    const forged = [
      { ...parts, seq: 2 },
      { ...parts, seq: 7 },
      { ...parts, path: rest },
      { ...parts, path: [...parts.path, first] },
      { ...parts, path: [leafHash(first), ...rest] },
      { ...parts, path: Array.from({ length: 41 }, () => first) },
      { ...parts, entry: Buffer.from('{}') },
      { ...parts, entry: new Uint8Array(0) },
    ]
    expect(verifyProof(encodeProof(parts), [signer.key]).seq).toBe(3)
    for (const [i, parts] of forged.entries()) {
      const check = async () => verifyProof(encodeProof(parts), [signer.key])
      await expect(check(), `forgery ${i}`).rejects.toSatisfy(refused)
    }
    const unknown = async () => verifyProof(encodeProof(parts), [testSigner(9).key])
    await expect(unknown()).rejects.toSatisfy((e) => hasCode(e, 'UNTRUSTED'))
  })
})
