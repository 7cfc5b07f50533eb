import { link, mkdir, open, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fsCode } from './fs-errors.ts'
import { syncFolder } from './fs-folders.ts'
import { temporaryName } from './process-identity.ts'

/** What a folder's file system can do; a store needs all three to be written. */
export interface FsProbe {
  readonly writable: boolean
  readonly hardLinks: boolean
  readonly folderSync: boolean
  /** One sentence for the operator. */
  readonly message: string
}

/**
 * Tries out the file system of a folder (or of the nearest one above it that exists) with a small
 * file that it removes again. Never throws for what the file system cannot do.
 */
export async function probeFs(folder: string): Promise<FsProbe> {
  const base = await nearestFolder(resolve(folder))
  if (base === undefined) return failed(`${folder} is no folder`)
  const place = join(base, `.probe-${temporaryName()}`)
  try {
    await mkdir(place)
  } catch (error) {
    return failed(`${base} cannot be written (${fsCode(error) ?? String(error)})`)
  }
  try {
    return await probeIn(base, place)
  } finally {
    await rm(place, { recursive: true, force: true })
  }
}

async function probeIn(base: string, place: string): Promise<FsProbe> {
  const writeError = await failureOf(() => writeProbe(join(place, 'a')))
  if (writeError !== undefined) return failed(`${base} cannot be written (${writeError})`)
  const linkError = await failureOf(() => linkProbe(join(place, 'a'), join(place, 'b')))
  const syncError = await failureOf(() => syncFolder(place))
  const missing = [
    ...(linkError === undefined ? [] : [`hard links (${linkError})`]),
    ...(syncError === undefined ? [] : [`fsync of folders (${syncError})`]),
  ]
  return {
    writable: true,
    hardLinks: linkError === undefined,
    folderSync: syncError === undefined,
    message:
      missing.length === 0
        ? `${base} has all that a store needs`
        : `${base} lacks ${missing.join(' and ')}: a store there can only be read`,
  }
}

async function writeProbe(path: string): Promise<void> {
  const handle = await open(path, 'wx')
  try {
    await handle.write(new Uint8Array(1))
    await handle.datasync()
  } finally {
    await handle.close()
  }
}

/**
 * A second link to the same name must be refused, or two writers could both believe that they came
 * first.
 */
async function linkProbe(from: string, to: string): Promise<void> {
  await link(from, to)
  const again = await failureOf(() => link(from, to))
  if (again !== 'EEXIST') throw new Error('links overwrite')
}

async function failureOf(operation: () => Promise<void>): Promise<string | undefined> {
  try {
    await operation()
    return undefined
  } catch (error) {
    return fsCode(error) ?? (error instanceof Error ? error.message : String(error))
  }
}

async function nearestFolder(path: string): Promise<string | undefined> {
  for (let at = path; ; at = dirname(at)) {
    try {
      return (await stat(at)).isDirectory() ? at : undefined
    } catch (error) {
      if (fsCode(error) !== 'ENOENT' || dirname(at) === at) return undefined
    }
  }
}

const failed = (message: string): FsProbe => ({
  writable: false,
  hardLinks: false,
  folderSync: false,
  message,
})
