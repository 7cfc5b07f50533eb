import { execFile } from 'node:child_process'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const MODULE = join(import.meta.dirname, '../../src/storage/priority.ts')

it('is lowered for the whole of a process, and never raised', async () => {
  const said = async (start: number): Promise<number> => {
    const code = `
      import { getPriority, setPriority } from 'node:os'
      import { lowerPriority } from ${JSON.stringify(MODULE)}
      if (${start} > getPriority()) setPriority(${start})
      lowerPriority()
      console.log(getPriority())`
    const argv = ['--no-warnings', '--input-type=module', '-e', code]
    return Number((await promisify(execFile)(process.execPath, argv)).stdout)
  }
  // Where these tests run at a lower one already, it stays.
  expect(await said(0)).toBe(Math.max(10, getPriority()))
  expect(await said(15)).toBe(Math.max(15, getPriority()))
})
