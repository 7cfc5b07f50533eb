import { describe, expect, it } from 'vitest'
import { decodeHead, encodeHead } from '../../src/bundle/head.ts'
import { inspectBundle } from '../../src/bundle/inspect.ts'
import { problemsError } from '../../src/bundle/problems.ts'
import { tarHeader } from '../../src/bundle/tar-header.ts'
import { verifyBundle } from '../../src/bundle/verify.ts'
import { limits } from '../../src/core/limits.ts'
import { certifyLogKey } from '../../src/trust/log-key.ts'
import type { PublicKey, Signer } from '../../src/trust/signer.ts'
import {
  collectionOf,
  DEFAULT_SIGNER,
  LOG_SIGNER,
  makeBlob,
  packBlob,
  packToBytes,
  partsOf,
  pieces,
  proofBy,
  requestOf,
  STRANGER,
  segmentOf,
  signerOf,
  smallBundle,
  stateOf,
  TRUSTED,
} from './support/fixture.ts'
import { type LooseHead, resigned as resignedBundle } from './support/forge.ts'

const verify = (bytes: Uint8Array, keys: readonly PublicKey[] = TRUSTED, pieceBytes = 1000) =>
  verifyBundle({ read: pieces(bytes, pieceBytes), keys })

const codesOf = async (bytes: Uint8Array, keys?: readonly PublicKey[]) =>
  (await verify(bytes, keys)).problems.map(({ code, member }) => `${code} ${member}`)

/** A small bundle whose head was changed and signed again by somebody. */
const resigned = async (change: (head: LooseHead) => void, signer?: Signer): Promise<Uint8Array> =>
  resignedBundle((await smallBundle([100])).bytes, change, signer)

describe('a sound bundle', () => {
  it.each([1, 511, 512, 513, 4096, 1_000_000])('is ok in pieces of %i bytes', async (size) => {
    const { bytes, stateRoot } = await smallBundle([70_000, 100])
    const report = await verify(bytes, TRUSTED, size)
    expect(report.problems).toEqual([])
    expect(report).toMatchObject({ ok: true, bytes: bytes.length, stateRoots: { docs: stateRoot } })
    expect(report.signers).toEqual([{ keyId: DEFAULT_SIGNER.key.keyId, trusted: true }])
  })

  it('may hold no blobs at all', async () => {
    const { bytes } = await smallBundle([])
    expect((await verify(bytes)).ok).toBe(true)
    expect(partsOf(bytes).some(({ name }) => name.startsWith('pages'))).toBe(false)
  })

  it('has blobs in parts where they are large', async () => {
    const { bytes, blobs } = await smallBundle([5000, 100], { partBytes: 1024 })
    const names = partsOf(bytes).map(({ name }) => name)
    const digest = blobs[0]?.ref.digest ?? ''
    expect(names.filter((name) => name.startsWith(`blobs/${digest}`))).toEqual(
      [0, 1, 2, 3, 4, 5]
        .slice(0, Math.ceil((blobs[0]?.ref.bytes ?? 0) / 1024))
        .map((i) => `blobs/${digest}.00${i}`),
    )
    expect((await verify(bytes)).problems).toEqual([])
    for (const name of names.filter((part) => /\.00\d$/.test(part))) {
      const without = partsOf(bytes).filter((part) => part.name !== name)
      const report = await verify(Buffer.concat(without.map((part) => part.bytes)))
      expect(report.problems.map((problem) => problem.member)).toContain(name)
    }
  })

  it('has as many pages as its records need', async () => {
    const count = limits.bundlePageRecordsMax + 1
    const blobs = await Promise.all(
      Array.from({ length: count }, (_, i) =>
        makeBlob(40, `tiny ${i}`, i % 2 === 0 ? 'ids' : 'origin'),
      ),
    )
    const segments = Array.from({ length: Math.ceil(count / 2) }, (_, i) =>
      segmentOf(i, ...blobs.slice(i * 2, i * 2 + 2)),
    )
    const state = stateOf(...segments)
    const collections = [
      { ...collectionOf('docs', state.stateRoot), baseStateRoot: 'a'.repeat(64) },
    ]
    const input = { blobs: blobs.map(({ ref }) => ({ ref })), states: [state], collections }
    const bytes = await packToBytes(requestOf(input))
    expect(partsOf(bytes).filter(({ name }) => name.startsWith('pages/'))).toHaveLength(2)
    const report = await verify(bytes)
    expect(report.problems).toEqual([])
    expect(await report.missing(async (digest) => digest !== blobs[7]?.ref.digest)).toEqual([
      blobs[7]?.ref,
    ])
  })

  it('of many collections shares blobs and states', async () => {
    const blob = await makeBlob(100, 'shared', 'pack')
    const state = stateOf(segmentOf(0, blob))
    const collections = ['a', 'b'].map((name) => collectionOf(name, state.stateRoot))
    const input = { blobs: [packBlob(blob)], states: [state], collections }
    const report = await verify(await packToBytes(requestOf(input)))
    expect(report.ok).toBe(true)
    expect(report.stateRoots).toEqual({ a: state.stateRoot, b: state.stateRoot })
  })

  it('reports progress up to its size', async () => {
    const { bytes } = await smallBundle()
    const seen: number[] = []
    await verifyBundle({
      read: pieces(bytes),
      keys: TRUSTED,
      onProgress: ({ done, total }) => seen.push(done, total ?? 0),
    })
    expect(seen.slice(-2)).toEqual([bytes.length, bytes.length])
  })

  it('can be stopped', async () => {
    const { bytes } = await smallBundle()
    const signal = AbortSignal.abort()
    const stopped = verifyBundle({ read: pieces(bytes), keys: TRUSTED, signal })
    await expect(stopped).rejects.toThrow()
  })
})

describe('trust', () => {
  it('refuses a signer that it does not know', async () => {
    const { bytes } = await smallBundle()
    expect(await codesOf(bytes, [])).toEqual(['UNTRUSTED HEAD.dsse'])
    expect(await codesOf(bytes, [STRANGER.key])).toEqual(['UNTRUSTED HEAD.dsse'])
    const error = problemsError((await verify(bytes, [])).problems, 'x.akipkg')
    expect(error).toMatchObject({ code: 'UNTRUSTED', exitCode: 24 })
  })

  it('takes one trusted signature among others and shows them all', async () => {
    const { bytes } = await smallBundle([100], { signers: [STRANGER, DEFAULT_SIGNER] })
    const report = await verify(bytes)
    expect(report.ok).toBe(true)
    expect(report.signers.filter(({ trusted }) => trusted).map(({ keyId }) => keyId)).toEqual([
      DEFAULT_SIGNER.key.keyId,
    ])
    expect(report.signers).toHaveLength(2)
  })

  it('refuses the head of another bundle', async () => {
    const [a, b] = [await smallBundle([100]), await smallBundle([101])]
    const [parts, others] = [partsOf(a.bytes), partsOf(b.bytes)]
    for (const count of [1, 2, 3]) {
      const mixed = [...others.slice(0, count), ...parts.slice(count)]
      const report = await verify(Buffer.concat(mixed.map((part) => part.bytes)))
      expect(report.ok).toBe(false)
    }
  })

  it('refuses a log key that nobody trusted vouches for', async () => {
    const { bytes } = await smallBundle([100], {
      logKeyCertificate: certifyLogKey(LOG_SIGNER.key, [STRANGER]),
    })
    expect(await codesOf(bytes)).toEqual(['UNTRUSTED HEAD.tlog-proof'])
    expect((await verify(bytes, [...TRUSTED, LOG_SIGNER.key])).ok).toBe(true)
  })

  it.each([
    ['of another log', proofBy(signerOf(9)), 'UNTRUSTED'],
    ['of another act', proofBy(LOG_SIGNER, { act: 'import' }), 'AUDIT_BROKEN'],
    ['of another head', proofBy(LOG_SIGNER, { headDigest: '0'.repeat(64) }), 'AUDIT_BROKEN'],
    ['that is none', async () => Buffer.from('no proof'), 'INTEGRITY'],
  ] as const)('refuses a proof %s', async (_, proof, code) => {
    const { bytes } = await smallBundle([100], { proof })
    expect(await codesOf(bytes)).toEqual([`${code} HEAD.tlog-proof`])
  })

  it('names the feature that a newer head requires, once the signature holds', async () => {
    const newer = (head: Record<string, unknown>) => {
      head.requires = ['age-encryption']
    }
    expect(await codesOf(await resigned(newer))).toEqual(['FORMAT_VERSION HEAD.json'])
    expect(await codesOf(await resigned(newer, STRANGER))).toEqual(['UNTRUSTED HEAD.dsse'])
    const other = (head: Record<string, unknown>) => {
      head.format = 'akidb-bundle/2'
    }
    expect(await codesOf(await resigned(other))).toEqual(['FORMAT_VERSION HEAD.json'])
  })

  it('shows an untrusted bundle without believing it', async () => {
    const { bytes } = await smallBundle([100])
    const shown = await inspectBundle({ read: pieces(bytes), keys: [] })
    expect(shown).toMatchObject({ trusted: false, head: { kind: 'full', sequence: 1 } })
    expect(shown.inventory).toMatchObject({ predicateType: 'urn:akidb:inventory:1' })
    const known = await inspectBundle({ read: pieces(bytes), keys: TRUSTED })
    expect(known).toMatchObject({ trusted: true, problems: [] })
    const odd = await resigned((head) => {
      head.requires = ['x']
    }, STRANGER)
    const inspected = inspectBundle({ read: pieces(odd), keys: [] })
    await expect(inspected).rejects.toMatchObject({ code: 'INTEGRITY' })
  })
})

describe('hostile heads', () => {
  type Change = (head: Record<string, unknown>) => void
  const file = (head: Record<string, unknown>, i: number) =>
    (head.files as Record<string, unknown>[])[i] as Record<string, unknown>
  it.each<[string, Change]>([
    [
      'a path that leaves',
      (head) => {
        file(head, 0).path = '../../etc/passwd'
      },
    ],
    [
      'an absolute path',
      (head) => {
        file(head, 0).path = '/etc/passwd'
      },
    ],
    [
      'a huge file',
      (head) => {
        file(head, 4).bytes = 2 ** 52
      },
    ],
    [
      'a huge page',
      (head) => {
        file(head, 5).bytes = limits.bundlePageBytesMax + 1
      },
    ],
    ['a file twice', (head) => void (head.files as unknown[]).splice(1, 0, file(head, 0))],
    ['a file too few', (head) => void (head.files as unknown[]).pop()],
    [
      'more blobs than a bundle has',
      (head) => {
        totals(head).blobs = 2 ** 40
      },
    ],
    [
      'other totals',
      (head) => {
        totals(head).bytes = 1
      },
    ],
    [
      'parts of one byte',
      (head) => {
        head.partBytes = 1
      },
    ],
    [
      'another state',
      (head) => {
        collection(head).stateRoot = 'b'.repeat(64)
      },
    ],
    [
      'a delta without base',
      (head) => {
        head.kind = 'delta'
      },
    ],
    [
      'a name with a slash',
      (head) => {
        collection(head).name = 'a/b'
      },
    ],
    [
      'no collections list',
      (head) => {
        head.collections = {}
      },
    ],
  ])('refuses %s although it is signed', async (_, change) => {
    const codes = await codesOf(await resigned(change))
    expect(codes.length).toBeGreaterThan(0)
    for (const code of codes) expect(code).toMatch(/^INTEGRITY /)
  })
  const totals = (head: Record<string, unknown>) => head.totals as Record<string, unknown>
  const collection = (head: Record<string, unknown>) =>
    (head.collections as Record<string, unknown>[])[0] as Record<string, unknown>

  it('takes one encoding of a head and no other', async () => {
    const { bytes } = await smallBundle([100])
    const text = Buffer.from(partsOf(bytes)[0]?.bytes ?? []).toString('utf8', 512)
    const line = text.slice(0, text.indexOf('\n'))
    expect(Buffer.from(encodeHead(decodeHead(Buffer.from(`${line}\n`)))).toString()).toBe(
      `${line}\n`,
    )
    const twice = line.replace('{"format"', '{"kind":"full","format"')
    for (const other of [line, `${line} \n`, `\ufeff${line}\n`, `${twice}\n`]) {
      expect(() => decodeHead(Buffer.from(other))).toThrow(/one encoding|not JSON/)
    }
  })

  it('does not allocate what an unsigned header claims', async () => {
    for (const size of [limits.headBytesMax + 1, 8 ** 11 - 1]) {
      const report = await verify(Buffer.from(tarHeader('HEAD.json', size)))
      expect(report.problems.map(({ code }) => code)).toEqual(['INTEGRITY'])
    }
  })
})

describe('forged tar headers', () => {
  const forge = async (change: (header: Buffer) => void, name = 'blobs/') => {
    const { bytes } = await smallBundle([100])
    const parts = partsOf(bytes)
    const part = parts.find((item) => item.name.startsWith(name))
    const header = Buffer.from(part?.bytes.buffer as ArrayBuffer, 0, 512)
    change(header)
    header.write('        ', 148)
    const sum = header.reduce((all, byte) => all + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    return Buffer.concat(parts.map((item) => item.bytes))
  }
  it.each<[string, (header: Buffer) => void]>([
    ['a PAX header', (header) => void header.write('x', 156)],
    ['a global PAX header', (header) => void header.write('g', 156)],
    ['a GNU long name', (header) => void header.write('L', 156)],
    ['a symbolic link', (header) => void header.write('2/etc/passwd', 156)],
    ['a hard link', (header) => void header.write('1HEAD.json', 156)],
    ['a folder', (header) => void header.write('5', 156)],
    ['another size', (header) => void header.write('00000000001\0', 124)],
    ['a base-256 size', (header) => void header.writeUInt8(0x80, 124)],
    ['a prefix', (header) => void header.write('/etc', 345)],
    ['another name', (header) => void header.write('../../x\0', 0)],
    ['an owner', (header) => void header.write('root', 265)],
    ['a time', (header) => void header.write('00000000001\0', 136)],
    ['another mode', (header) => void header.write('0004755\0', 100)],
  ])('refuses %s with a right checksum', async (_, change) => {
    for (const name of [
      'HEAD.json',
      'HEAD.dsse',
      'HEAD.tlog-proof',
      'VERIFY',
      'chunks/',
      'blobs/',
    ]) {
      const report = await verify(await forge(change, name))
      expect(report.ok).toBe(false)
      expect(report.problems[0]?.code).toBe('INTEGRITY')
    }
  })
})

describe('a delta', () => {
  const delta = async () => {
    const [old, fresh] = [await makeBlob(100, 'old', 'vectors'), await makeBlob(90, 'new', 'ids')]
    const state = stateOf(segmentOf(0, old, fresh))
    const collections = [
      { ...collectionOf('docs', state.stateRoot), baseStateRoot: 'c'.repeat(64) },
    ]
    const blobs = [{ ref: old.ref }, packBlob(fresh)]
    return { old, bytes: await packToBytes(requestOf({ blobs, states: [state], collections })) }
  }

  it('carries the new blobs, names all, and tells which the receiver lacks', async () => {
    const { old, bytes } = await delta()
    const report = await verify(bytes)
    expect(report).toMatchObject({ ok: true, head: { kind: 'delta' } })
    expect(report.head?.totals).toMatchObject({ blobs: 2, carriedBlobs: 1 })
    expect(await report.missing(async () => false)).toEqual([old.ref])
    expect(await report.missing(async () => true)).toEqual([])
    const shown = await inspectBundle({ read: pieces(bytes), keys: TRUSTED })
    expect(shown.baseStateRoots).toEqual({ docs: 'c'.repeat(64) })
  })
})
