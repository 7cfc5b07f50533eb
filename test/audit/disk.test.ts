import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeEntry, NO_ENTRY } from '../../src/audit/entry.ts'
import { verifyAuditLog } from '../../src/audit/verify.ts'
import { sha256Hex } from '../../src/core/digest.ts'
import { openFsStore } from '../../src/storage/fs-store.ts'
import { createFaultStore } from '../support/fault-store.ts'
import {
  entryInput,
  entryInputs,
  memoryStore,
  openTestLog,
  prefixOf,
  testSigner,
} from './support.ts'

const signer = testSigner()
const prefix = prefixOf(signer)
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'akidb-audit-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** The Python script of docs/audit.md. */
function chainScript(): string {
  const page = readFileSync(new URL('../../docs/audit.md', import.meta.url), 'utf8')
  return /```python\n([\s\S]*?)```/.exec(page)?.[1] ?? ''
}

function hasPython(): boolean {
  try {
    execFileSync('python3', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    if (process.env.CI === 'true') throw new Error('python3 is missing')
    return false
  }
}

describe('an audit log on disk', () => {
  it.skipIf(!hasPython())('is walked by the script of docs/audit.md without akidb', async () => {
    const store = openFsStore(folder, { mode: 'write' })
    const log = await openTestLog(store)
    await log.append(entryInputs(530))
    await log.checkpoint()
    const entries: string[] = []
    for await (const entry of log.read()) entries.push(sha256Hex(encodeEntry(entry)))
    const script = join(folder, 'walk.py')
    writeFileSync(script, chainScript())
    const walk = () => execFileSync('python3', [script, join(folder, prefix)], { stdio: 'pipe' })
    expect(walk().toString().trim()).toBe(`530 ${entries.at(-1) ?? NO_ENTRY}`)
    const tail = join(folder, prefix, 'tail/002')
    const bytes = readFileSync(tail)
    writeFileSync(tail, Buffer.from(bytes.toString('latin1').replace('station-3', 'x'), 'latin1'))
    expect(walk).toThrow()
    await store.close()
  })

  it('verifies, is a fork nowhere, and finds its anchors', async () => {
    const store = openFsStore(folder, { mode: 'write' })
    const log = await openTestLog(store)
    await log.append(entryInputs(300))
    await log.checkpoint()
    const result = await verifyAuditLog({ store, prefix, keys: [signer.key] })
    expect(result).toMatchObject({ ok: true, entries: 300, checkpoints: 1, root: log.root })
    await store.close()
  })

  it('opens 70,000 entries by their tiles, without reading the entries', async () => {
    const inner = memoryStore()
    const log = await openTestLog(inner)
    for (let from = 0; from < 70_000; from += 3_500) await log.append(entryInputs(3_500, from))
    await log.checkpoint()
    const read = new Map<string, number>()
    const store = createFaultStore(inner, ({ phase, operation, key }) => {
      if (phase !== 'before' || operation !== 'get') return
      const kind = key.includes('/tile/entries/') ? 'entries' : 'other'
      read.set(kind, (read.get(kind) ?? 0) + 1)
    })
    const again = await openTestLog(store)
    expect(again.position()).toEqual(log.position())
    // One batch for the chain's end; 17 tiles of level 0, one of level 1, the tail, the checkpoint.
    expect(read.get('entries')).toBe(1)
    expect(read.get('other')).toBeLessThan(60)
    expect((await again.append([entryInput(0)])).seq).toBe(70_000)
    const result = await verifyAuditLog({ store: inner, prefix, keys: [signer.key] })
    expect(result).toMatchObject({ ok: true, entries: 70_001 })
  })
})
