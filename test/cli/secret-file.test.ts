import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSecretFile } from '../../src/cli/secret-file.ts'
import { suiteFolder } from '../support/temp-store.ts'

describe('a file with a secret', () => {
  const folder = suiteFolder()

  it('may be a pipe that gives it in pieces', async () => {
    const path = join(folder, 'pipe')
    expect(spawnSync('mkfifo', [path]).status).toBe(0)
    const writer = spawn('sh', ['-c', `(printf ab; sleep 0.2; printf cd) > "${path}"`])
    expect((await readSecretFile(path, 'file', 8)).toString()).toBe('abcd')
    writer.kill()
  })

  it('is no folder', async () => {
    const path = join(folder, 'folder')
    mkdirSync(path, { mode: 0o700 })
    await expect(readSecretFile(path, 'file', 8)).rejects.toMatchObject({ code: 'USAGE' })
  })
})
