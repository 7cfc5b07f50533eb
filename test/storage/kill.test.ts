import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { sha256Hex } from '../../src/core/digest.ts'
import { openFsStore } from '../../src/storage/fs-store.ts'

const PROGRAM = fileURLToPath(new URL('./store-churn-program.ts', import.meta.url))
const KILLS = 6

/** Lets the program write until it has said `lines` lines, and kills it with −9 in the middle. */
async function churn(root: string, lines: number): Promise<string[]> {
  const child = spawn(process.execPath, [PROGRAM, root], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = once(child, 'exit')
  const said: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line)
    if (said.length === lines) child.kill('SIGKILL')
  }
  await exit
  return said
}

describe('folder store under kill −9', () => {
  it('has every object that was confirmed, and none that is torn', async () => {
    const root = await mkdtemp(join(tmpdir(), 'akidb-kill-'))
    try {
      const confirmed = new Set<string>()
      let counter = 0
      for (let i = 0; i < KILLS; i++) {
        for (const line of await churn(root, 5 + i * 7)) {
          if (line.startsWith('counter ')) counter = Number(line.slice('counter '.length))
          else confirmed.add(line)
        }
        const store = openFsStore(root, { mode: 'write' })
        await store.sweepTemporary()
        const present = new Set<string>()
        for await (const { key } of store.list('blobs/')) {
          present.add(key)
          expect(key.endsWith(sha256Hex(await store.get(key)))).toBe(true)
        }
        expect([...confirmed].filter((key) => !present.has(key))).toEqual([])
        const text = new TextDecoder().decode(await store.get('counter'))
        expect(text).toMatch(/^\d+ x{5000}$/)
        expect(Number.parseInt(text, 10)).toBeGreaterThanOrEqual(counter)
        expect(await store.sweepTemporary()).toBe(0)
        await store.close()
      }
      expect(confirmed.size).toBeGreaterThan(KILLS)
    } finally {
      await rm(root, { recursive: true, force: true })
    }
  })
})
