import { accessSync, closeSync, constants, lstatSync, openSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../core/clock.ts'
import { AkidbError } from '../errors/errors.ts'
import type { ErrorCode } from '../errors/exit-codes.ts'
import { fromFsError, fsCode } from './fs-errors.ts'
import { checkLockName, lockedError } from './lock-errors.ts'
import { readHolder, removeHolder, writeHolder } from './lock-holder.ts'
import type { LockHandle, LockHolder, LockManager } from './locks.ts'
import { makeFolders } from './make-folders.ts'

const POLL_MS_MAX = 50
/**
 * Every lock held in this process. A connection that is garbage collected frees its lock, so a
 * manager that nobody refers to any more must not take its locks along.
 */
const heldHere = new Set<LockHandle>()
/** `isHeld` of another process takes a lock for an instant; these tries outlast it. */
const TRIES_MIN = 3
/** SQLite's primary result codes (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5
const SQLITE_LOCKED = 6
const SQLITE_PERM = 3
const SQLITE_READONLY = 8
const SQLITE_IOERR = 10
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_CANTOPEN = 14
const SQLITE_NOTADB = 26

export interface SqliteLockOptions {
  readonly holder: LockHolder
  readonly clock: Clock
}

/**
 * Locks as exclusive transactions on empty SQLite files: the kernel frees them at kill −9, and a
 * live process keeps them however long it stands still. Nothing is ever written to the files, so
 * there is no journal to recover.
 *
 * POSIX drops all of a process's locks on a file when it closes any descriptor of it. SQLite minds
 * that for its own; nothing else in this process may open a `.db` file here.
 *
 * @param folder made at the first `acquire`
 */
export function openSqliteLocks(folder: string, options: SqliteLockOptions): LockManager {
  return new SqliteLocks(folder, options)
}

class SqliteLocks implements LockManager {
  readonly #folder: string
  readonly #holder: LockHolder
  readonly #clock: Clock
  readonly #held = new Set<LockHandle>()

  constructor(folder: string, options: SqliteLockOptions) {
    this.#folder = folder
    this.#holder = options.holder
    this.#clock = options.clock
  }

  async acquire(name: string, waitMs: number): Promise<LockHandle> {
    checkLockName(name)
    const startMs = this.#clock.nowMs()
    for (let tries = 1, pauseMs = 1; ; tries++, pauseMs = Math.min(pauseMs * 2, POLL_MS_MAX)) {
      if (inodeOf(this.#path(name)) === undefined) await makeFolders(this.#folder, 0o700)
      const database = this.#tryLock(name)
      if (database !== undefined) return this.#hold(name, database)
      const leftMs = startMs + waitMs - this.#clock.nowMs()
      if (leftMs <= 0 && tries >= TRIES_MIN) {
        throw this.#locked(name, waitMs)
      }
      await this.#clock.sleep(leftMs <= 0 ? 1 : Math.min(pauseMs, Math.max(1, leftMs)))
    }
  }

  async isHeld(name: string): Promise<boolean> {
    checkLockName(name)
    const path = this.#path(name)
    if (inodeOf(path) === undefined) return false
    let database: DatabaseSync | undefined
    try {
      database = new DatabaseSync(path, { readOnly: true, timeout: 0 })
      database.exec('SELECT count(*) FROM sqlite_schema')
      return false
    } catch (error) {
      if (isBusy(error)) return true
      if (inodeOf(path) === undefined) return false
      throw fromSqliteError(error, path)
    } finally {
      database?.close()
    }
  }

  async holder(name: string): Promise<LockHolder | undefined> {
    return (await this.isHeld(name)) ? readHolder(this.#folder, name) : undefined
  }

  async list(prefix: string): Promise<readonly string[]> {
    return namesIn(this.#folder)
      .filter((name) => name.startsWith(prefix) && name.endsWith('.db'))
      .map((name) => name.slice(0, -'.db'.length))
      .sort()
  }

  async remove(name: string): Promise<void> {
    checkLockName(name)
    if (inodeOf(this.#path(name)) === undefined) return removeHolder(this.#folder, name)
    // Held while it goes, so that nobody loses a lock that he has just taken.
    const database = this.#tryLock(name)
    if (database === undefined) throw this.#locked(name, 0)
    try {
      removeHolder(this.#folder, name)
      rmSync(this.#path(name), { force: true })
    } finally {
      database.close()
    }
  }

  async close(): Promise<void> {
    for (const handle of [...this.#held]) await handle.release()
  }

  #locked(name: string, waitedMs: number): AkidbError {
    const holder = readHolder(this.#folder, name)
    return lockedError(name, holder, { waitedMs, path: this.#path(name) })
  }

  #path(name: string): string {
    return join(this.#folder, `${name}.db`)
  }

  /** The locked connection; undefined where somebody else has it. */
  #tryLock(name: string): DatabaseSync | undefined {
    const path = this.#path(name)
    const before = this.#ensureFile(path)
    assertWritable(path)
    const database = openDatabase(path)
    try {
      // The journal of an empty database would be written to a disk that may be full.
      database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
      // `remove` may have come between: then this is a lock on a file that nobody can find.
      if (before !== undefined && inodeOf(path) === before) return database
    } catch (error) {
      database.close()
      if (isBusy(error)) return undefined
      throw fromSqliteError(error, path)
    }
    database.close()
    return undefined
  }

  #hold(name: string, database: DatabaseSync): LockHandle {
    try {
      writeHolder(this.#folder, name, this.#holder)
    } catch (error) {
      database.close()
      throw error
    }
    const handle: LockHandle = {
      name,
      release: async () => {
        if (!this.#held.delete(handle)) return
        heldHere.delete(handle)
        try {
          removeHolder(this.#folder, name)
        } finally {
          database.close()
        }
      },
    }
    this.#held.add(handle)
    heldHere.add(handle)
    return handle
  }

  /**
   * Inode of the lock file, made where it is missing. Only a file that is certainly new is opened
   * here (see above).
   */
  #ensureFile(path: string): bigint | undefined {
    const inode = inodeOf(path)
    if (inode !== undefined) return inode
    try {
      closeSync(openSync(path, 'wx', 0o600))
    } catch (error) {
      if (fsCode(error) !== 'EEXIST') throw fromFsError(error, 'cannot make the lock', path)
    }
    return inodeOf(path)
  }
}

const inodeOf = (path: string): bigint | undefined =>
  lstatSync(path, { bigint: true, throwIfNoEntry: false })?.ino

/** SQLite opens a file that it may not write for reading, and then its locks exclude nobody. */
function assertWritable(path: string): void {
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
  } catch (error) {
    // Removed meanwhile: the look at its inode notices.
    if (fsCode(error) !== 'ENOENT') throw fromFsError(error, 'cannot lock', path)
  }
}

function openDatabase(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout: 0 })
  } catch (error) {
    throw fromSqliteError(error, path)
  }
}

const isBusy = (error: unknown): boolean => [SQLITE_BUSY, SQLITE_LOCKED].includes(resultOf(error))

/** Primary result code of an SQLite error, -1 for other errors. */
const resultOf = (error: unknown): number =>
  error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : -1

const REASONS: ReadonlyMap<number, readonly [ErrorCode, string]> = new Map([
  [SQLITE_PERM, ['AUTH', 'Check owner and mode of the state folder.']],
  [SQLITE_READONLY, ['AUTH', 'Check owner and mode of the state folder.']],
  [SQLITE_FULL, ['NO_SPACE', 'Free some space; "akidb gc" works on a full disk.']],
  [SQLITE_CANTOPEN, ['AUTH', 'Check owner and mode of the state folder.']],
  [SQLITE_IOERR, ['UNREACHABLE', 'File locks do not work here; put --state on a local disk.']],
  [SQLITE_CORRUPT, ['INTEGRITY', 'Somebody wrote into the lock file; remove it.']],
  [SQLITE_NOTADB, ['INTEGRITY', 'Somebody wrote into the lock file; remove it.']],
])

function fromSqliteError(error: unknown, path: string): unknown {
  const [code, hint] = REASONS.get(resultOf(error)) ?? []
  if (code === undefined || hint === undefined) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new AkidbError(code, `cannot lock ${path}: ${reason}`, {
    hint,
    cause: error,
    details: { path },
  })
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (fsCode(error) === 'ENOENT') return []
    throw fromFsError(error, 'cannot list', folder)
  }
}
