import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fsCode } from './fs-errors.ts'
import type { LockHolder } from './locks.ts'

/** Longest holder file that is believed. */
const HOLDER_BYTES_MAX = 64 * 1024
const COMMAND_CHARACTERS_MAX = 1024

/** Notes who took a lock. On a full disk there is no note, but the lock holds all the same. */
export function writeHolder(folder: string, name: string, holder: LockHolder): void {
  const command = holder.command.slice(0, COMMAND_CHARACTERS_MAX)
  const temporary = join(folder, `${name}.new`)
  try {
    writeFileSync(temporary, JSON.stringify({ ...holder, command }), { mode: 0o644 })
    renameSync(temporary, holderPath(folder, name))
  } catch (error) {
    if (fsCode(error) !== 'ENOSPC' && fsCode(error) !== 'EDQUOT') throw error
    removeHolder(folder, name)
  }
}

/** The note beside a lock; undefined where there is none that makes sense. */
export function readHolder(folder: string, name: string): LockHolder | undefined {
  try {
    const text = readFileSync(holderPath(folder, name), 'utf8')
    return text.length > HOLDER_BYTES_MAX ? undefined : toHolder(JSON.parse(text))
  } catch {
    return undefined
  }
}

export function removeHolder(folder: string, name: string): void {
  rmSync(holderPath(folder, name), { force: true })
  rmSync(join(folder, `${name}.new`), { force: true })
}

const holderPath = (folder: string, name: string): string => join(folder, `${name}.json`)

function toHolder(value: unknown): LockHolder | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { host, pid, command, startedAt } = value as Record<string, unknown>
  if (typeof host !== 'string' || typeof pid !== 'number') return undefined
  if (typeof command !== 'string' || typeof startedAt !== 'string') return undefined
  return { host, pid, command, startedAt }
}
