import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fsCode, withFsErrors } from './fs-errors.ts'
import { compareKeys, isKeySegment, isReservedName } from './keys.ts'
import type { ListOptions, ObjectInfo } from './object-store.ts'

/**
 * Objects under `root` whose keys start with `prefix`, in bytewise order. One folder at a time is
 * in memory; folders that cannot hold a wanted key are not read. Links, odd names and temporary
 * files do not show.
 */
export async function* listFiles(
  root: string,
  prefix: string,
  options: ListOptions,
): AsyncGenerator<ObjectInfo> {
  const limit = options.limit ?? Number.POSITIVE_INFINITY
  if (limit <= 0) return
  let count = 0
  const start = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  for await (const key of walk(root, start, prefix, options.after ?? '')) {
    const info = await infoOf(root, key)
    if (info === undefined) continue
    yield info
    if (++count >= limit) return
  }
}

async function* walk(
  root: string,
  folder: string,
  prefix: string,
  after: string,
): AsyncGenerator<string> {
  for (const key of await keysIn(root, folder)) {
    if (key.endsWith('/')) {
      const below = key.startsWith(prefix) || prefix.startsWith(key)
      const past = key < after && !after.startsWith(key)
      if (below && !past) yield* walk(root, key, prefix, after)
    } else if (key > after && key.startsWith(prefix)) {
      yield key
    }
  }
}

/**
 * Keys of one folder, folders with a trailing '/': sorted so, depth first is bytewise order of
 * whole keys.
 */
async function keysIn(root: string, folder: string): Promise<string[]> {
  const path = join(root, folder)
  const keys: string[] = []
  for (const entry of await readFolder(path)) {
    if (!isKeySegment(entry.name) || (folder === '' && isReservedName(entry.name))) continue
    if (entry.isDirectory()) keys.push(`${folder}${entry.name}/`)
    else if (entry.isFile()) keys.push(`${folder}${entry.name}`)
  }
  return keys.sort(compareKeys)
}

const readFolder = (path: string) =>
  withFsErrors('cannot list', path, async () => {
    try {
      return await readdir(path, { withFileTypes: true })
    } catch (error) {
      if (fsCode(error) === 'ENOENT' || fsCode(error) === 'ENOTDIR') return []
      throw error
    }
  })

/** Size and time of one object; undefined where there is no plain file. */
export const infoOf = (root: string, key: string): Promise<ObjectInfo | undefined> =>
  withFsErrors('cannot look at', join(root, key), async () => {
    try {
      const info = await lstat(join(root, key))
      if (!info.isFile()) return undefined
      return { key, bytes: info.size, modifiedMs: Math.floor(info.mtimeMs) }
    } catch (error) {
      if (fsCode(error) === 'ENOENT' || fsCode(error) === 'ENOTDIR') return undefined
      throw error
    }
  })
