import { beforeEach, describe, expect, it } from 'vitest'
import { auditKeys, certificateKey } from '../../src/audit/layout.ts'
import type { Ledger, ProvenSeal } from '../../src/db/sealed/ledger.ts'
import { type SealHead, sealKeyOf, sealProofKey } from '../../src/db/sealed/seal-record.ts'
import { STORE_FILE } from '../../src/db/states/store-file.ts'
import type { ObjectVersion, SealedInfo } from '../../src/storage/object-store.ts'
import { SealedProblems } from '../../src/transfer/sealed/sealed-problems.ts'
import type { CheckContext } from '../../src/transfer/worm/check-object.ts'
import { checkWitness, type Logs } from '../../src/transfer/worm/check-witness.ts'

// What is found of the small objects that speak for all others, whatever became of them.

const LOG = 'a'.repeat(64)
const ROOT = '0'.repeat(64)
const NOW = Date.UTC(2030, 0, 1)
const YEAR = 365 * 86_400_000
const keys = auditKeys(`audit/${LOG}`)
const digestOf = (number: number): string => String(number).padStart(64, '0')
const anchorOf = (size: number): string => `${keys.anchors}${size}-${ROOT}`
const isoOf = (ms: number): string => new Date(ms).toISOString()

/** A seal that sealed, held or released the state of a manifest. */
function seal(number: number, size: number, about: Partial<SealHead> & { of: string }): ProvenSeal {
  const { of, ...more } = about
  const collections = [{ name: 'docs', manifest: of }] as unknown as SealHead['collections']
  const head = { logId: LOG, collections, ...more } as SealHead
  return { digest: digestOf(number), head, seq: size - 1, anchor: anchorOf(size) }
}

/** The small objects of a bucket, each with its versions, the oldest first. */
let objects: Map<string, SealedInfo[]>
let looked: Set<string>
beforeEach(() => {
  objects = new Map()
  looked = new Set()
})

const info = (key: string, versionId: string, more: Partial<SealedInfo> = {}): SealedInfo => ({
  ...{ key, versionId, bytes: 1, modifiedMs: NOW - YEAR, keyId: undefined, checksum: undefined },
  ...{ retention: undefined, legalHold: true, ...more },
})

const put = (key: string, more: Partial<SealedInfo> = {}): void => {
  const versions = objects.get(key) ?? []
  objects.set(key, [...versions, info(key, `v${versions.length}`, more)])
}

const releaseAll = (): void => {
  for (const [key, versions] of objects) {
    objects.set(
      key,
      versions.map((version) => ({ ...version, legalHold: false })),
    )
  }
}

/** Everything that lies there where all of these seals are whole; three pieces of the log. */
function lay(seals: readonly ProvenSeal[], more: Partial<SealedInfo> = {}): void {
  const own = seals.flatMap(({ digest }) => [sealKeyOf(digest), sealProofKey(digest)])
  const anchors = new Set(seals.map(({ anchor }) => anchor))
  const pieces = [keys.piece(0, 4), keys.piece(4, 8), keys.piece(8, 12)]
  for (const key of [STORE_FILE, keys.publicKey, certificateKey(LOG), ...own, ...pieces]) {
    put(key, more)
  }
  for (const key of anchors) put(key, more)
}

/** `CODE key` of all that is found. */
async function found(
  seals: readonly ProvenSeal[],
  told: Readonly<Record<string, boolean>> = {},
  sizes = [...new Set(seals.map(({ seq }) => seq + 1))].sort((a, b) => a - b),
): Promise<string[]> {
  const small = new Map(
    [...objects].map(([key, versions]) => {
      const listed = versions.map((version) => ({ ...version, isDeleteMarker: false }))
      return [key, { key, versions: listed as unknown as ObjectVersion[] }]
    }),
  )
  const problems = new SealedProblems()
  const headVersion = async (key: string, versionId: string) => {
    looked.add(key)
    return objects.get(key)?.find((version) => version.versionId === versionId)
  }
  const anchors = sizes.map((size) => ({ key: anchorOf(size), size }))
  const logs = new Map([[LOG, { anchors, told: new Map(Object.entries(told)) }]])
  await checkWitness(
    { target: { headVersion }, problems, nowMs: NOW } as unknown as CheckContext,
    { seals, small } as unknown as Ledger,
    logs as unknown as Logs,
  )
  return problems.list.map(({ code, key }) => `${code} ${key}`).sort()
}

const onEach = (code: string, of: readonly string[]): string[] =>
  of.map((key) => `${code} ${key}`).sort()

/** What speaks for the first two of three seals. */
const UP_TO_TWO = [
  STORE_FILE,
  keys.publicKey,
  certificateKey(LOG),
  ...[1, 2].flatMap((number) => [sealKeyOf(digestOf(number)), sealProofKey(digestOf(number))]),
  ...[anchorOf(4), anchorOf(8), keys.piece(0, 4), keys.piece(4, 8)],
]

describe('legal holds', () => {
  const three = [
    seal(1, 4, { of: 'm1' }),
    seal(2, 8, { of: 'm1', act: 'hold', legalHold: true }),
    seal(3, 12, { of: 'm2' }),
  ]

  it('are on all that speaks for a held state, and need not be on what came later', async () => {
    lay(three)
    expect(await found(three)).toEqual([])
    releaseAll()
    expect(await found(three)).toEqual(onEach('RELEASED', UP_TO_TWO))
  })

  it('of several acts count up to the last of a state that is still held', async () => {
    lay(three)
    releaseAll()
    const again = [...three.slice(0, 2), seal(3, 12, { of: 'm2', legalHold: true })]
    expect(await found(again)).toHaveLength(objects.size)
    const released = [...three.slice(0, 2), seal(3, 12, { of: 'm1', legalHold: false })]
    expect(await found(released)).toEqual([])
  })

  it('are on the whole log below the largest anchor, whichever seal it belongs to', async () => {
    const seals = [
      seal(1, 8, { of: 'm1' }),
      seal(2, 4, { of: 'm1', legalHold: true }),
      seal(3, 12, { of: 'm2' }),
    ]
    lay(seals)
    releaseAll()
    expect(await found(seals)).toEqual(onEach('RELEASED', UP_TO_TWO))
  })

  it('are not asked of what is not there, which is missing', async () => {
    lay(three)
    const gone = [certificateKey(LOG), keys.publicKey, sealProofKey(digestOf(1))]
    for (const key of gone) objects.delete(key)
    expect(await found(three)).toEqual(onEach('MISSING', gone.slice(1)))
  })
})

describe('what other objects and the log name', () => {
  const until = (ms: number) => ({ mode: 'COMPLIANCE', until: isoOf(ms) }) as const

  it('may go when all retention has ended, but not while a state is held', async () => {
    const retention = until(NOW - 1)
    const two = [seal(1, 4, { of: 'm1', legalHold: true, retention }), seal(2, 8, { of: 'm2' })]
    const keysOf = (number: number) => sealProofKey(digestOf(number))
    lay(two)
    for (const number of [1, 2]) objects.delete(keysOf(number))
    expect(await found(two)).toEqual([`MISSING ${keysOf(1)}`])
    const last = [seal(1, 4, { of: 'm1', retention: until(NOW + 1) }), seal(2, 8, { of: 'm2' })]
    expect((await found(last)).filter((problem) => problem.startsWith('MISSING'))).toEqual(
      onEach('MISSING', [keysOf(1), keysOf(2)]),
    )
  })

  it('is there if its act came so far', async () => {
    const one = [seal(1, 4, { of: 'm1' })]
    lay(one)
    const other = digestOf(9)
    expect(await found(one, { [other]: false })).toEqual([`MISSING ${sealKeyOf(other)}`])
    expect(await found(one, { [other]: true })).toEqual(
      onEach('MISSING', [sealKeyOf(other), sealProofKey(other)]),
    )
    put(sealKeyOf(other))
    expect(await found(one, { [other]: false })).toEqual([])
  })

  it('is an anchor of its own, and the key of the log where there is one', async () => {
    const one = [seal(1, 4, { of: 'm1' })]
    lay(one)
    objects.delete(anchorOf(4))
    objects.delete(keys.publicKey)
    // The log has another one, of which no seal speaks.
    expect(await found(one, {}, [4, 8])).toEqual(
      onEach('MISSING', [anchorOf(4), anchorOf(8), keys.publicKey]),
    )
    expect(await found(one, {}, [])).toEqual([`MISSING ${anchorOf(4)}`])
  })

  it('is locked under COMPLIANCE for as long as the longest seal, and alone', async () => {
    const end = NOW + YEAR
    const one = [seal(1, 4, { of: 'm1', retention: until(end) })]
    const retention = { mode: 'COMPLIANCE', untilMs: end } as const
    lay(one, { retention })
    expect(await found(one)).toEqual([])
    const set = (key: string, more: Partial<SealedInfo>) => objects.set(key, [info(key, 'v', more)])
    set(STORE_FILE, {})
    set(keys.publicKey, { retention: { ...retention, untilMs: end - 2_000 } })
    set(keys.piece(0, 4), { retention: { ...retention, mode: 'GOVERNANCE' } })
    set(certificateKey(LOG), { retention: { ...retention, untilMs: end - 1_000 } })
    // What looks older than the one that is locked was planted.
    const proof = sealProofKey(digestOf(1))
    objects.set(proof, [info(proof, 'planted'), info(proof, 'v', { retention })])
    expect(await found(one)).toEqual(
      [
        `SHADOWED ${proof}`,
        ...onEach('SHORTENED', [keys.publicKey, keys.piece(0, 4)]),
        `UNLOCKED ${STORE_FILE}`,
      ].sort(),
    )
  })

  it('is all that is looked at: nobody vouches for the rest', async () => {
    const one = [seal(1, 4, { of: 'm1', retention: until(NOW + YEAR) })]
    lay(one, { retention: { mode: 'COMPLIANCE', untilMs: NOW + YEAR } })
    const rest = ['seals/junk', keys.piece(8, 12), sealKeyOf(digestOf(7)), anchorOf(99)]
    for (const key of rest) put(key)
    objects.set(keys.piece(8, 12), [info(keys.piece(8, 12), 'v')])
    expect(await found(one)).toEqual([])
    expect(rest.filter((key) => looked.has(key))).toEqual([])
  })
})
