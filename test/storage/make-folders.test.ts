import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { rmdir, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeFolders } from '../../src/storage/make-folders.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'akidb-folders-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

describe('making folders', () => {
  it('makes all that are missing, with their mode, and tells the first', async () => {
    expect(await makeFolders(join(root, 'a/b/c'), 0o700)).toBe(join(root, 'a'))
    expect(statSync(join(root, 'a/b/c')).mode & 0o777).toBe(0o700)
    expect(await makeFolders(join(root, 'a/b/d'))).toBe(join(root, 'a/b/d'))
    expect(await makeFolders(join(root, 'a/b/c'))).toBe(undefined)
    expect(await makeFolders('/')).toBe(undefined)
    expect(await makeFolders(relative(process.cwd(), join(root, 'e')))).toBe(join(root, 'e'))
  })

  it('goes through links to folders, and stops at files', async () => {
    mkdirSync(join(root, 'real'))
    await symlink(join(root, 'real'), join(root, 'link'))
    await makeFolders(join(root, 'link/x'))
    expect(existsSync(join(root, 'real/x'))).toBe(true)
    expect(await makeFolders(join(root, 'link'))).toBe(undefined)
    writeFileSync(join(root, 'file'), '')
    await expect(makeFolders(join(root, 'file/x/y'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(makeFolders(join(root, 'file'))).rejects.toMatchObject({ code: 'EEXIST' })
    await symlink(join(root, 'nowhere/deep'), join(root, 'dangling'))
    await expect(makeFolders(join(root, 'dangling'))).rejects.toMatchObject({ code: 'EEXIST' })
  })

  it('serves many at once, and while another removes what is empty', async () => {
    const path = join(root, 'p/q')
    const made = await Promise.all(Array.from({ length: 20 }, () => makeFolders(path)))
    expect(made.filter((first) => first !== undefined).length).toBeGreaterThan(0)
    for (let round = 0; round < 50; round++) {
      const remover = rmdir(path).catch(() => undefined)
      await Promise.all([remover, makeFolders(join(path, 'r'))])
      await rmdir(join(path, 'r'))
    }
  })

  it('takes a folder that goes away while it is looked at for none', async () => {
    const path = join(root, 'p')
    let isOver = false
    const remove = async () => {
      while (!isOver) await rmdir(path).catch(() => undefined)
    }
    const removers = [remove(), remove()]
    for (let round = 0; round < 300; round++) await makeFolders(path)
    isOver = true
    await Promise.all(removers)
  })

  it.skipIf(process.platform !== 'linux')('ends at once where none can be made', async () => {
    for (const path of ['/proc/akidb', '/proc/akidb/x/y', '/proc/self/akidb/x']) {
      const refused = makeFolders(path)
      await expect(refused, path).rejects.toMatchObject({ code: 'AUTH' })
      await expect(refused).rejects.toThrow(/takes no folders/)
    }
  })
})
