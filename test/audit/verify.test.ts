import { describe, expect, it } from 'vitest'
import { signCheckpoint } from '../../src/audit/checkpoint.ts'
import { encodeFrames, splitFrames } from '../../src/audit/frames.ts'
import {
  type AuditVerification,
  type VerifyOptions,
  verifyAuditLog,
} from '../../src/audit/verify.ts'
import { leafTile } from '../../src/core/merkle-tiles.ts'
import { hasCode } from '../../src/errors/errors.ts'
import {
  digestOf,
  dump,
  entryInputs,
  memoryStore,
  ORIGIN,
  openTestLog,
  prefixOf,
  restore,
  testSigner,
} from './support.ts'

type Files = Map<string, Uint8Array>

const signer = testSigner()
const prefix = prefixOf(signer)
const TAIL = (batch: string): string => `${prefix}/tail/${batch}`
const ENTRIES = (batch: string): string => `${prefix}/tile/entries/${batch}`
const TILE = (batch: string): string => `${prefix}/tile/0/${batch}`
const NONE = new Uint8Array(0)

/** A signed log of `count` entries, and `beyond` more that no checkpoint covers. */
async function build(count: number, beyond = 0): Promise<Files> {
  const store = memoryStore()
  const log = await openTestLog(store)
  await log.append(entryInputs(count))
  await log.checkpoint()
  if (beyond > 0) await log.append(entryInputs(beyond, count))
  return await dump(store)
}

async function verify(files: Files, more: Partial<VerifyOptions> = {}): Promise<AuditVerification> {
  const store = await restore(files)
  const result = await verifyAuditLog({ store, prefix, keys: [signer.key], ...more })
  expect(digestOf(await dump(store)), 'changes nothing').toBe(
    digestOf(await dump(await restore(files))),
  )
  return result
}

const codes = (result: AuditVerification) => [...new Set(result.problems.map((p) => p.code))].sort()
const framesOf = (files: Files, key: string) => [...splitFrames(files.get(key) ?? NONE).entries]

function edit(files: Files, key: string, change: (entries: Uint8Array[]) => Uint8Array[]): Files {
  return new Map(files).set(key, encodeFrames(change(framesOf(files, key))))
}

const swap = <T>(values: readonly T[], i: number, j: number): T[] =>
  values.map((value, at) => (at === i ? values[j] : at === j ? values[i] : value) ?? value)

const altered = (entry: Uint8Array): Uint8Array =>
  Buffer.from(Buffer.from(entry).toString('utf8').replace('station-3', 'station-4'))

describe('audit verify', () => {
  it.each([0, 1, 255, 256, 257, 513])('accepts a sound log of %i entries', async (count) => {
    const files = await build(count)
    const result = await verify(files)
    expect(result).toMatchObject({ ok: true, entries: count, checkpoints: 1, problems: [] })
    const log = await openTestLog(await restore(files))
    expect(result.root).toBe(log.root)
  })

  it('knows the log by its key where the folder has another name', async () => {
    const files = await build(3)
    const moved: Files = new Map()
    for (const [key, bytes] of files) moved.set(key.slice(prefix.length + 1), bytes)
    expect((await verify(moved, { prefix: '' })).ok).toBe(true)
  })

  it('says NOT_FOUND where there is no log', async () => {
    await expect(verify(new Map())).rejects.toSatisfy((e) => hasCode(e, 'NOT_FOUND'))
  })

  it('finds a log cut at any entry', async () => {
    const files = await build(259)
    for (const count of [0, 1, 2]) {
      const cut = edit(files, TAIL('001'), (entries) => entries.slice(0, count))
      expect(await verify(cut)).toMatchObject({ ok: false, entries: 256 + count })
      expect(codes(await verify(cut))).toEqual(['TRUNCATED'])
    }
    const small = await build(9)
    for (let count = 0; count < 9; count++) {
      const cut = edit(small, TAIL('000'), (entries) => entries.slice(0, count))
      expect(codes(await verify(cut))).toEqual(['TRUNCATED'])
    }
  })

  it('finds a tail cut at any byte, and calls it torn only beyond the checkpoint', async () => {
    const files = await build(2, 1)
    const tail = files.get(TAIL('000')) ?? NONE
    const ends: number[] = []
    for (const entry of framesOf(files, TAIL('000'))) {
      ends.push((ends.at(-1) ?? 0) + 2 + entry.length)
    }
    for (let bytes = 0; bytes < tail.length; bytes++) {
      const result = await verify(new Map(files).set(TAIL('000'), tail.subarray(0, bytes)))
      const signed = ends[1] ?? 0
      const expected = bytes < signed ? ['TRUNCATED'] : bytes === signed ? [] : ['TORN']
      expect(codes(result), `cut at ${bytes}`).toEqual(expected)
      expect(result.ok).toBe(bytes >= signed)
    }
  })

  it('finds every flipped byte of a small signed log', async () => {
    const files = await build(3)
    for (const [key, bytes] of files) {
      for (let at = 0; at < bytes.length; at++) {
        const flipped = bytes.slice()
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
        const result = await verify(new Map(files).set(key, flipped))
        expect(result.ok, `${key} byte ${at}`).toBe(false)
        expect(codes(result)).not.toContain('TORN')
      }
    }
  })

  it('finds flipped bytes in closed batches and tiles, and names the entry', async () => {
    const files = await build(300)
    for (const key of [ENTRIES('000'), TILE('000')]) {
      const bytes = files.get(key) ?? NONE
      for (let at = 0; at < bytes.length; at += 1 + Math.floor(bytes.length / 60)) {
        const flipped = bytes.slice()
        flipped[at] = (flipped[at] ?? 0) ^ 1
        const result = await verify(new Map(files).set(key, flipped))
        expect(result.ok, `${key} byte ${at}`).toBe(false)
        if (key === TILE('000')) {
          expect(result.problems).toMatchObject([{ code: 'ALTERED', seq: Math.floor(at / 32) }])
        }
      }
    }
  })

  it.each([
    ['closed batch', ENTRIES('000'), 17, 17],
    ['open batch', TAIL('001'), 17, 273],
  ])('names the altered entry of a %s', async (_name, key, index, seq) => {
    const files = await build(300)
    const result = await verify(
      edit(files, key, (entries) => entries.map((e, i) => (i === index ? altered(e) : e))),
    )
    expect(codes(result)).toEqual(['ALTERED'])
    expect(result.problems[0]?.seq).toBe(seq)
  })

  it.each([
    ['closed batch', ENTRIES('000'), 0],
    ['open batch', TAIL('001'), 256],
  ])('tells entries that changed places from altered ones in a %s', async (_name, key, first) => {
    const files = await build(300)
    const result = await verify(edit(files, key, (entries) => swap(entries, 5, 9)))
    expect(result.problems.filter(({ code }) => code === 'REORDERED').map((p) => p.seq)).toEqual([
      first + 5,
      first + 9,
    ])
    expect(result.problems.filter(({ seq, code }) => seq !== null && code === 'ALTERED')).toEqual(
      [],
    )
    const rolled = edit(files, key, (entries) => [
      ...entries.slice(1, 4),
      ...entries.slice(0, 1),
      ...entries.slice(4),
    ])
    expect(codes(await verify(rolled))).toContain('REORDERED')
  })

  it('finds batches that changed places, even with their tiles', async () => {
    const files = await build(600)
    const get = (key: string) => files.get(key) ?? NONE
    const swapped = new Map(files)
    swapped.set(ENTRIES('000'), get(ENTRIES('001'))).set(ENTRIES('001'), get(ENTRIES('000')))
    swapped.set(TILE('000'), get(TILE('001'))).set(TILE('001'), get(TILE('000')))
    expect(codes(await verify(swapped))).toEqual(['ALTERED', 'REORDERED'])
  })

  it('finds an entry taken out of the middle and one put in twice', async () => {
    const files = await build(20)
    const out = await verify(edit(files, TAIL('000'), (entries) => entries.toSpliced(7, 1)))
    expect(codes(out)).toEqual(['ALTERED', 'TRUNCATED'])
    expect(out.problems[0]?.seq).toBe(7)
    const twice = edit(files, TAIL('000'), (entries) => [
      ...entries.slice(0, 8),
      ...entries.slice(7),
    ])
    expect((await verify(twice)).ok).toBe(false)
  })

  it('finds missing batches and tiles, and what is left of a log cut by whole files', async () => {
    const files = await build(600)
    const without = (...keys: string[]): Files => {
      const rest = new Map(files)
      for (const key of keys) rest.delete(key)
      return rest
    }
    const hole = await verify(without(ENTRIES('000')))
    expect(hole.problems).toMatchObject([{ code: 'TRUNCATED', seq: 0 }])
    expect(codes(await verify(without(TILE('001'))))).toEqual(['ALTERED'])
    expect(codes(await verify(without(TAIL('002'))))).toEqual(['TRUNCATED'])
    const unsigned = without(ENTRIES('001'), TAIL('002'), `${prefix}/checkpoint`)
    expect(codes(await verify(unsigned))).toEqual(['TRUNCATED'])
    const silent = without(ENTRIES('001'), TILE('001'), TAIL('002'), `${prefix}/checkpoint`)
    expect(codes(await verify(silent))).toEqual(['UNTRUSTED'])
  })

  it('holds the log against what manifests name', async () => {
    const files = await build(300)
    const log = await openTestLog(await restore(files))
    const at = async (size: number) => ({ size, root: await log.rootAt(size), where: `m${size}` })
    const sound = [await at(0), await at(1), await at(256), await at(299)]
    expect(await verify(files, { namedPositions: sound })).toMatchObject({ ok: true })
    const longer = { ...(await at(300)), size: 301 }
    expect(codes(await verify(files, { namedPositions: [longer] }))).toEqual(['TRUNCATED'])
    const other = { ...(await at(7)), size: 8 }
    const forked = await verify(files, { namedPositions: [other, ...sound] })
    expect(codes(forked)).toEqual(['FORKED'])
    expect(forked.problems[0]?.message).toContain('m7')
  })

  it('finds a chain rewritten and signed with another key', async () => {
    const rewritten = await build(5)
    const store = memoryStore()
    const forger = testSigner(66)
    const log = await openTestLog(store, { signer: forger })
    await log.append(entryInputs(5, 1000))
    await log.checkpoint()
    for (const [key, bytes] of await dump(store)) {
      rewritten.set(key.replace(prefixOf(forger), prefix), bytes)
    }
    expect(codes(await verify(rewritten))).toEqual(['ALTERED', 'UNTRUSTED'])
    // Trusting the forger for a log of its own does not help it here.
    const both = await verify(rewritten, { keys: [signer.key, forger.key] })
    expect(codes(both)).toEqual(['ALTERED', 'UNTRUSTED'])
  })

  it('finds a fork that the log key itself signed', async () => {
    const files = await build(5)
    const store = memoryStore()
    const log = await openTestLog(store)
    await log.append(entryInputs(5, 1000))
    const { note } = await log.checkpoint()
    const checkpoints = [{ note, where: 'the printout' }]
    const result = await verify(files, { checkpoints })
    expect(result).toMatchObject({ ok: false, checkpoints: 2 })
    expect(codes(result)).toEqual(['FORKED'])
    const fork = await dump(store)
    const original = files.get(`${prefix}/checkpoint`) ?? NONE
    fork.set(`${prefix}/checkpoint/5-${'0'.repeat(64)}`, original)
    expect(codes(await verify(fork))).toEqual(['FORKED'])
  })

  it('says UNTRUSTED for a log whose key nobody trusts, and still checks it', async () => {
    const files = await build(5)
    const result = await verify(files, { keys: [] })
    expect(codes(result)).toEqual(['UNTRUSTED'])
    const cut = edit(files, TAIL('000'), (entries) => entries.slice(0, 4))
    expect(codes(await verify(cut, { keys: [] }))).toEqual(['TRUNCATED', 'UNTRUSTED'])
  })

  it('checks a proof against the log', async () => {
    const files = await build(5)
    const log = await openTestLog(await restore(files))
    const proof = await log.prove(2)
    expect((await verify(files, { proof })).ok).toBe(true)
    const other = await build(6)
    const changed = edit(other, TAIL('000'), (entries) =>
      entries.map((e, i) => (i === 2 ? altered(e) : e)),
    )
    expect(codes(await verify(changed, { proof }))).toContain('ALTERED')
    proof[proof.length - 20] = (proof[proof.length - 20] ?? 0) ^ 1
    expect((await verify(files, { proof })).ok).toBe(false)
  })

  it('lets a killed close stand: a tail beside the same closed batch', async () => {
    const files = await build(257)
    const bytes = files.get(ENTRIES('000')) ?? NONE
    expect((await verify(new Map(files).set(TAIL('000'), bytes))).ok).toBe(true)
    const other = edit(new Map(files).set(TAIL('000'), bytes), TAIL('000'), (e) => e.slice(1))
    expect(codes(await verify(other))).toEqual(['ALTERED'])
  })

  it('reports every problem, not the first', async () => {
    const files = await build(600)
    let broken = edit(files, ENTRIES('000'), (e) =>
      e.map((x, i) => (i % 50 === 3 ? altered(x) : x)),
    )
    broken = edit(broken, ENTRIES('001'), (e) => swap(e, 1, 2))
    broken = edit(broken, TAIL('002'), (e) => e.slice(0, -1))
    const result = await verify(broken)
    expect(codes(result)).toEqual(['ALTERED', 'REORDERED', 'TRUNCATED'])
    const seqs = result.problems.flatMap(({ code, seq }) => (code === 'ALTERED' ? [seq] : []))
    expect(seqs).toEqual(expect.arrayContaining([3, 53, 103, 153, 203, 253]))
  })

  it('finds a tile and entries that were rewritten together', async () => {
    const files = await build(300)
    const forged = edit(files, ENTRIES('000'), (e) => e.with(255, altered(e[255] ?? NONE)))
    forged.set(TILE('000'), leafTile(framesOf(forged, ENTRIES('000'))))
    const result = await verify(forged)
    expect(codes(result)).toEqual(['ALTERED'])
    expect(result.problems[0]?.seq).toBe(255)
  })

  it('names another last entry a fork: the chain itself cannot tell', async () => {
    const files = await build(4)
    const other = edit(files, TAIL('000'), (e) => e.with(3, altered(e[3] ?? NONE)))
    expect(codes(await verify(other))).toEqual(['FORKED'])
  })

  it('refuses a checkpoint of another size under the right signature', async () => {
    const files = await build(4)
    const log = await openTestLog(await restore(files))
    const root = Buffer.from(log.root, 'hex')
    const note = signCheckpoint({ origin: ORIGIN, size: 3, root }, signer)
    const result = await verify(new Map(files).set(`${prefix}/checkpoint`, note))
    expect(codes(result)).toEqual(['FORKED'])
  })
})
