import { readdir, rename, rmdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { CACHE_CLASSES, type CacheClass } from '../object-store.ts'
import { isAbandoned } from '../process-identity.ts'

/**
 * Where the files of a disk cache lie. The folder of a part says its class, so that a rename moves
 * it from one to another, whatever other processes do:
 *
 *   <aa>/<digest of the blob>/<number>          cold
 *   hot/<aa>/<digest of the blob>/<number>
 *   pinned/<aa>/<digest of the blob>/<number>
 *   pinned/<aa>/<digest of the blob>/<owner>.<bytes of the blob>.pin
 *   <name>.tmp                                  half written
 */
const FOLDERS: Readonly<Record<CacheClass, string>> = { pinned: 'pinned', hot: 'hot', cold: '' }

const SHARD = /^[0-9a-f]{2}$/
const DIGEST = /^[0-9a-f]{64}$/
/** Whether a file is a part, by its name. */
export const isPart = (name: string): boolean => /^\d{1,6}$/.test(name)

/** A part on disk. */
export interface PartFile {
  readonly path: string
  readonly blob: string
  readonly kind: CacheClass
  /** Of the file: the part and its hash. */
  readonly bytes: number
  readonly usedMs: number
}

export const blobFolder = (folder: string, kind: CacheClass, blob: string): string =>
  join(folder, FOLDERS[kind], blob.slice(0, 2), blob)

export const partPath = (folder: string, kind: CacheClass, blob: string, part: number): string =>
  join(blobFolder(folder, kind, blob), String(part))

/** Folders of blobs of one class. What has another name is none of ours. */
export async function* blobsIn(
  folder: string,
  kind: CacheClass,
): AsyncGenerator<{ readonly blob: string; readonly path: string }> {
  const top = join(folder, FOLDERS[kind])
  for (const shard of await names(top)) {
    if (!SHARD.test(shard)) continue
    for (const blob of await names(join(top, shard))) {
      if (DIGEST.test(blob) && blob.startsWith(shard)) yield { blob, path: join(top, shard, blob) }
    }
  }
}

export async function* partFiles(folder: string): AsyncGenerator<PartFile> {
  for (const kind of CACHE_CLASSES) {
    for await (const { blob, path } of blobsIn(folder, kind)) {
      for (const part of await names(path)) {
        if (!isPart(part)) continue
        const found = await stat(join(path, part)).catch(() => undefined)
        if (found === undefined) continue
        const { size: bytes, mtimeMs: usedMs } = found
        yield { path: join(path, part), blob, kind, bytes, usedMs }
      }
    }
  }
}

/** Moves all parts of a blob. Its folder goes where nothing else lies in it. Never throws. */
export async function moveParts(
  folder: string,
  blob: string,
  [from, to]: readonly [CacheClass, CacheClass],
  makeFolder: (path: string) => Promise<unknown>,
): Promise<void> {
  const source = blobFolder(folder, from, blob)
  const target = blobFolder(folder, to, blob)
  await makeFolder(target).catch(() => undefined)
  for (const part of await names(source)) {
    if (!isPart(part)) continue
    await rename(join(source, part), join(target, part)).catch(() => undefined)
  }
  await rmdir(source).catch(() => undefined)
}

/** Takes away what processes that were killed left half written. */
export async function sweepHalfWritten(folder: string): Promise<void> {
  for (const name of await names(folder)) {
    if (!name.endsWith('.tmp')) continue
    const path = join(folder, name)
    const found = await stat(path).catch(() => undefined)
    if (found === undefined || !isAbandoned(name, Date.now() - found.mtimeMs)) continue
    await unlink(path).catch(() => undefined)
  }
}

/** What lies in a folder; nothing where it cannot be read. */
export const names = async (folder: string): Promise<string[]> =>
  await readdir(folder).catch(() => [])
