import { describe, expect, it } from 'vitest'
import { verifyBundle } from '../../src/bundle/verify.ts'
import { exitCodeOf } from '../../src/errors/exit-codes.ts'
import { LOG_SIGNER, type Part, partsOf, pieces, smallBundle, TRUSTED } from './support/fixture.ts'

const verify = (bytes: Uint8Array) => verifyBundle({ read: pieces(bytes, 4096), keys: KEYS })

/** With the log key among them each verification is shorter by one signature. */
const KEYS = [...TRUSTED, LOG_SIGNER.key]

/** Verifies and expects only problems of exit 24. Returns them as `member: message`. */
async function problemsOf(bytes: Uint8Array): Promise<string[]> {
  const report = await verify(bytes)
  expect(report.ok).toBe(false)
  expect(report.problems.length).toBeGreaterThan(0)
  for (const problem of report.problems) expect(exitCodeOf(problem.code)).toBe(24)
  return report.problems.map(({ member, message }) => `${member}: ${message}`)
}

const join = (parts: readonly Part[]): Uint8Array => Buffer.concat(parts.map(({ bytes }) => bytes))

describe('damage', () => {
  it('finds every flipped byte', { timeout: 60_000 }, async () => {
    const { bytes } = await smallBundle([100])
    const unseen: number[] = []
    for (let at = 0; at < bytes.byteLength; at++) {
      const flipped = Buffer.from(bytes)
      flipped[at] = (flipped[at] as number) ^ (1 << (at % 8))
      const report = await verify(flipped)
      const all24 = report.problems.every(({ code }) => exitCodeOf(code) === 24)
      if (report.ok || report.problems.length === 0 || !all24) unseen.push(at)
    }
    expect(unseen).toEqual([])
  })

  it('finds a bundle that is cut anywhere', { timeout: 60_000 }, async () => {
    const { bytes } = await smallBundle([100])
    const unseen: number[] = []
    const ends = partsOf(bytes).map((_, i, all) => join(all.slice(0, i)).byteLength)
    const near = new Set(ends.flatMap((end) => [end - 1, end, end + 1, end + 512]))
    // Every third byte, which meets every place within a block, and all around each member's edge.
    const lengths = [...bytes.keys()].filter((length) => length % 3 === 0 || near.has(length))
    for (const length of lengths) {
      const report = await verify(bytes.subarray(0, length))
      if (report.ok || report.problems.length === 0) unseen.push(length)
    }
    expect(unseen).toEqual([])
  })

  it('names each member that a cut took away', async () => {
    const { bytes } = await smallBundle([100, 200])
    const parts = partsOf(bytes)
    for (let keep = 4; keep < parts.length - 1; keep++) {
      const problems = await problemsOf(join(parts.slice(0, keep)))
      for (const { name } of parts.slice(keep + 1, -1)) {
        if (problems.some((line) => line.includes('no blob has a place'))) continue
        if (keep < 9 && /^(blobs|chunks)/.test(name)) continue
        expect(problems).toContain(`${name}: it is missing here`)
      }
    }
  })

  it('names a member that was left out, and checks the rest', async () => {
    const { bytes } = await smallBundle([100, 200])
    const parts = partsOf(bytes)
    const damaged = parts.at(-2) as Part
    damaged.bytes[600] = 255
    for (const [i, { name }] of parts.slice(3, -2).entries()) {
      const problems = await problemsOf(join(parts.toSpliced(i + 3, 1)))
      expect(problems).toContain(`${name}: it is missing here`)
      if (name.startsWith('pages')) continue
      expect(problems.some((line) => line.startsWith(`${damaged.name}: `))).toBe(true)
    }
  })

  it('names a member that stands twice', async () => {
    const { bytes } = await smallBundle([100, 200])
    const parts = partsOf(bytes)
    for (const [i, part] of parts.slice(3, -1).entries()) {
      const problems = await problemsOf(join(parts.toSpliced(i + 3, 0, part)))
      expect(problems).toEqual([`${part.name}: it stands twice`])
    }
  })

  it('names two members that changed places', async () => {
    const { bytes } = await smallBundle([100, 200])
    const parts = partsOf(bytes)
    for (let i = 3; i + 2 < parts.length; i++) {
      const [first, second] = parts.slice(i, i + 2) as [Part, Part]
      const problems = await problemsOf(join(parts.toSpliced(i, 2, second, first)))
      expect(problems).toContain(`${first.name}: it is missing here`)
      // Without its page no blob has a place, and nothing after the files is looked at.
      if (first.name.startsWith('pages')) continue
      expect(problems).toContain(`${first.name}: it stands too late: swapped`)
    }
  })

  it('refuses a bundle whose first members are missing, doubled or swapped', async () => {
    const { bytes } = await smallBundle([100])
    const parts = partsOf(bytes)
    for (let i = 0; i < 3; i++) {
      const part = parts[i] as Part
      await problemsOf(join(parts.toSpliced(i, 1)))
      await problemsOf(join(parts.toSpliced(i, 0, part)))
      await problemsOf(join(parts.toSpliced(i, 2, parts[i + 1] as Part, part)))
    }
  })

  it('finds what was appended: members, bytes, another archive', async () => {
    const { bytes } = await smallBundle([100])
    const parts = partsOf(bytes)
    const last = parts.at(-2) as Part
    expect(await problemsOf(join(parts.toSpliced(-1, 0, last)))).toEqual([
      `${last.name}: it stands twice`,
    ])
    expect(await problemsOf(Buffer.concat([bytes, Buffer.alloc(1)]))).toEqual([
      'end: bytes follow the end marker',
    ])
    expect(await problemsOf(Buffer.concat([bytes, bytes]))).toEqual([
      'end: bytes follow the end marker',
    ])
  })

  it('names a bad chunk by its place and goes on to the next', async () => {
    const { bytes } = await smallBundle([3 * 65_536, 100])
    const parts = partsOf(bytes)
    const at = parts.findIndex(
      ({ name, bytes }) => name.startsWith('blobs/') && bytes.length > 9999,
    )
    const blob = parts[at] as Part
    blob.bytes[512 + 10] = 255
    blob.bytes[512 + 2 * 65_536 + 10] = 255
    const report = await verify(join(parts))
    const start = parts.slice(0, at).reduce((sum, part) => sum + part.bytes.length, 512)
    expect(report.problems.map(({ member, offset }) => ({ member, offset }))).toEqual([
      { member: blob.name, offset: start },
      { member: blob.name, offset: start + 2 * 65_536 },
    ])
  })

  it('names every one of several bad members', async () => {
    const { bytes } = await smallBundle([100, 200, 300])
    const parts = partsOf(bytes)
    const blobs = parts.filter(({ name }) => name.startsWith('blobs/'))
    for (const blob of blobs) blob.bytes[600] = (blob.bytes[600] as number) ^ 1
    const problems = await problemsOf(join(parts))
    expect(problems.map((line) => line.split(':')[0])).toEqual(blobs.map(({ name }) => name))
  })
})
