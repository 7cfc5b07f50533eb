import { describe, expect, it } from 'vitest'
import type { SealedInfo, SealedStore, SealOptions } from '../../src/storage/object-store.ts'
import { checkBorn } from '../../src/transfer/push/check-born.ts'

const UNTIL_MS = Date.UTC(2030, 0)
const object = { key: 'collections/docs/manifests/1.json', versionId: 'v1' }
const born: SealedInfo = {
  ...object,
  bytes: 1,
  modifiedMs: 1,
  retention: { mode: 'COMPLIANCE', untilMs: UNTIL_MS },
  legalHold: true,
  keyId: 'site-a',
  checksum: undefined,
}
const asked: SealOptions = {
  retention: { mode: 'COMPLIANCE', untilMs: UNTIL_MS },
  legalHold: true,
  encryption: { keyId: 'site-a', context: {} },
}

/** A server that says this of the object. */
const saying = (info: SealedInfo | undefined): SealedStore =>
  ({ headVersion: async () => info }) as unknown as SealedStore

describe('an object that was just sealed', () => {
  it('is what was asked, to the second', async () => {
    await checkBorn(saying(born), object, asked)
    const rounded = { ...born, retention: { mode: 'COMPLIANCE', untilMs: UNTIL_MS - 999 } } as const
    await checkBorn(saying(rounded), object, asked)
    await checkBorn(saying({ ...born, retention: undefined, legalHold: false }), object, {})
  })

  const lacks: readonly [string, SealedInfo | undefined, string][] = [
    ['a lock', { ...born, retention: undefined }, 'RETENTION'],
    ['the mode', { ...born, retention: { mode: 'GOVERNANCE', untilMs: UNTIL_MS } }, 'RETENTION'],
    ['a day', { ...born, retention: { mode: 'COMPLIANCE', untilMs: UNTIL_MS - 9e7 } }, 'RETENTION'],
    ['its hold', { ...born, legalHold: false }, 'RETENTION'],
    ['a key', { ...born, keyId: undefined }, 'AUTH'],
    ['the right key', { ...born, keyId: 'other' }, 'AUTH'],
    ['itself', undefined, 'RETENTION'],
  ]
  for (const [what, info, code] of lacks) {
    it(`is refused where it lacks ${what}`, async () => {
      await expect(checkBorn(saying(info), object, asked)).rejects.toMatchObject({ code })
    })
  }
})
