import { rmdir, stat, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fsCode, withFsErrors } from '../fs-errors.ts'
import { makeFolders } from '../make-folders.ts'
import { blobFolder, blobsIn, moveParts, names } from './cache-files.ts'

const PIN = /^([0-9a-f]{32})\.(\d{1,16})\.pin$/
const OWNER = /^[0-9a-f]{32}$/

/** A blob that somebody has pinned. */
export interface PinnedBlob {
  /** Of the whole blob, here or still to come. */
  readonly bytes: number
  readonly owners: ReadonlySet<string>
}

/**
 * Who has which blob pinned: an empty file for each owner in the blob's folder among the pinned
 * ones, so that a process that is killed anywhere leaves each blob pinned or not.
 */
export class CachePins {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** A blob is pinned while it has a folder there. */
  async has(blob: string): Promise<boolean> {
    const found = await stat(blobFolder(this.#folder, 'pinned', blob)).catch(() => undefined)
    return found?.isDirectory() === true
  }

  async all(): Promise<Map<string, PinnedBlob>> {
    const found = new Map<string, PinnedBlob>()
    for await (const { blob, path } of blobsIn(this.#folder, 'pinned')) {
      const owners = new Set<string>()
      let bytes = 0
      for (const name of await names(path)) {
        const [, owner, said] = PIN.exec(name) ?? []
        if (owner === undefined) continue
        owners.add(owner)
        bytes = Math.max(bytes, Number(said))
      }
      found.set(blob, { bytes, owners })
    }
    return found
  }

  /** Pins a blob, and all parts of it that are here. @throws NO_SPACE, AUTH */
  async add(owner: string, blob: string, bytes: number): Promise<void> {
    if (!OWNER.test(owner)) throw new RangeError(`"${owner}" pins nothing`)
    const folder = blobFolder(this.#folder, 'pinned', blob)
    await withFsErrors('cannot pin in', folder, async () => {
      await makeFolders(folder, 0o700)
      await writeFile(join(folder, `${owner}.${bytes}.pin`), '', { flag: 'wx', mode: 0o600 }).catch(
        (error: unknown) => {
          if (fsCode(error) !== 'EEXIST') throw error
        },
      )
    })
    for (const from of ['cold', 'hot'] as const) {
      await moveParts(this.#folder, blob, [from, 'pinned'], async () => undefined)
    }
  }

  /** Takes away an owner's pins; parts of what nobody has pinned any more are hot from then on. */
  async remove(owner: string, keep: ReadonlySet<string>): Promise<void> {
    for (const [blob, { owners }] of await this.all()) {
      if (!owners.has(owner) || keep.has(blob)) continue
      const folder = blobFolder(this.#folder, 'pinned', blob)
      // Its own pin goes last: one that is killed before is taken up again by the next.
      if (owners.size === 1) {
        await moveParts(this.#folder, blob, ['pinned', 'hot'], (path) => makeFolders(path, 0o700))
      }
      for (const name of await names(folder)) {
        if (PIN.exec(name)?.[1] === owner) {
          await withFsErrors('cannot unpin in', folder, () => unlink(join(folder, name)))
        }
      }
      await rmdir(folder).catch(() => undefined)
    }
  }
}
