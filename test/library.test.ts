import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import * as library from '../src/index.ts'
import { ROOT } from './support/sources.ts'

const page = readFileSync(join(ROOT, 'docs/library.md'), 'utf8')
const program = [...page.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code).join('\n')

describe('docs/library.md', () => {
  it('shows a program that runs as written', () => {
    const folder = mkdtempSync(join(tmpdir(), 'akidb-library-'))
    try {
      const source = pathToFileURL(join(ROOT, 'src/index.ts')).href
      writeFileSync(join(folder, 'page.ts'), program.replace("'akidb'", `'${source}'`))
      const run = spawnSync(process.execPath, ['page.ts'], { cwd: folder, encoding: 'utf8' })
      expect(run.stderr).toBe('')
      expect(run.status).toBe(0)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('names everything that the library exports', () => {
    const names = Object.keys(library)
    expect(names.length).toBeGreaterThan(20)
    expect(names.filter((name) => page.match(new RegExp(`\\b${name}\\b`)) === null)).toEqual([])
  })
})
