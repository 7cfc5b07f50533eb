import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BundleHead } from '../../src/bundle/head.ts'
import { VERIFY_TEXT } from '../../src/bundle/verify-text.ts'
import { encodePublicKey } from '../../src/trust/public-key-file.ts'
import type { PublicKey } from '../../src/trust/signer.ts'
import { DEFAULT_SIGNER, type Part, partsOf, STRANGER, smallBundle } from './support/fixture.ts'

/** The commands of a VERIFY.txt, as somebody would type them. */
const commandsOf = (text: string): string =>
  text
    .split('\n')
    .filter((line) => line.startsWith('    '))
    .map((line) => `${line.slice(4)}\n`)
    .join('')

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'akidb-verify-text-'))
})
afterAll(() => rmSync(root, { recursive: true }))

let runs = 0
function check(bundle: Uint8Array, key: PublicKey = DEFAULT_SIGNER.key) {
  const folder = join(root, String(runs++))
  mkdirSync(join(folder, 'empty'), { recursive: true })
  writeFileSync(join(folder, 'bundle.akipkg'), bundle)
  writeFileSync(join(folder, 'signer.pem'), encodePublicKey(key))
  const text = Buffer.from(partsOf(bundle).find(({ name }) => name === 'VERIFY.txt')?.bytes ?? [])
  const commands = commandsOf(text.toString('utf8', 512))
  const cwd = join(folder, 'empty')
  return spawnSync('sh', ['-s'], { cwd, input: commands, encoding: 'utf8' })
}

const bundleOf = (parts: readonly Part[]): Uint8Array =>
  Buffer.concat(parts.map(({ bytes }) => bytes))

describe('VERIFY.txt', () => {
  it('is a page of plain text with commands in it', () => {
    expect(VERIFY_TEXT).toMatch(/^[\x20-\x7e\n]+$/)
    expect(commandsOf(VERIFY_TEXT).split('\n').length).toBeGreaterThan(20)
  })

  it('stands in the documentation as it is in a bundle', () => {
    const page = readFileSync(new URL('../../docs/bundle.md', import.meta.url), 'utf8')
    expect(page).toContain(VERIFY_TEXT)
  })

  it.each([
    ['of some blobs', [3000, 100], {}],
    ['of no blobs', [], {}],
    ['with parts', [3000, 100], { partBytes: 1024 }],
    ['of two signers', [100], { signers: [DEFAULT_SIGNER, STRANGER] }],
  ])('passes a bundle %s', async (_, sizes, change) => {
    const { bytes } = await smallBundle(sizes, change)
    const result = check(bytes)
    expect(result.stderr).not.toMatch(/FAILED|differ/)
    expect(result.stdout).toContain(`whole and signed by ${DEFAULT_SIGNER.key.keyId}\n`)
    expect(result.status).toBe(0)
  })

  it('fails for another key', async () => {
    const { bytes } = await smallBundle([100])
    expect(check(bytes, STRANGER.key).status).not.toBe(0)
  })

  it('fails where a byte of any member is altered', async () => {
    const { bytes } = await smallBundle([100])
    const count = partsOf(bytes).length
    for (let i = 0; i < count - 1; i++) {
      const parts = partsOf(bytes)
      const { name, bytes: member } = parts[i] as Part
      // The shell looks at the signatures of HEAD.dsse alone, and leaves the proof to akidb.
      if (name === 'HEAD.tlog-proof') continue
      const at = name === 'HEAD.dsse' ? Buffer.from(member).indexOf('"sig":"') + 20 : 512 + 20
      member[at] = (member[at] as number) ^ 1
      expect([name, check(bundleOf(parts)).status]).not.toEqual([name, 0])
    }
  })

  it('fails where a member is missing, added or stands twice', async () => {
    const { bytes } = await smallBundle([100])
    const parts = partsOf(bytes)
    const last = parts.at(-2) as Part
    expect(check(bundleOf(parts.toSpliced(-2, 1))).status).not.toBe(0)
    expect(check(bundleOf(parts.toSpliced(-1, 0, last))).status).not.toBe(0)
    const other = await smallBundle([101])
    const foreign = partsOf(other.bytes).at(-2) as Part
    expect(check(bundleOf(parts.toSpliced(-1, 0, foreign))).status).not.toBe(0)
  })

  it('needs no more of the head than its spelling', async () => {
    const { bytes } = await smallBundle([100], { to: '"path":"x","bytes":1,"sha256":"0"' })
    const head = Buffer.from(partsOf(bytes)[0]?.bytes ?? []).toString('utf8', 512)
    const parsed = JSON.parse(head.slice(0, head.indexOf('\n'))) as BundleHead
    expect(parsed.to).toContain('path')
    expect(check(bytes).status).toBe(0)
  })
})
