import { randomBytes } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { kill, pid } from 'node:process'
import { sha256Hex } from '../core/digest.ts'
import { fsCode } from './fs-errors.ts'

const TEMPORARY_NAME = /^([0-9a-f]{12})-([0-9]{1,10})-([0-9]{1,20})-[0-9a-f]{16}\.tmp$/
const DAY_MS = 24 * 3_600_000

/** A fresh name for an unfinished file: host, pid, start of the process, random. */
export const temporaryName = (): string =>
  `${hostId()}-${pid}-${startOf(pid) ?? '0'}-${randomBytes(8).toString('hex')}.tmp`

/**
 * Whether an unfinished file can be removed: its process is dead, or nobody has touched it for a
 * day. Processes of another host, boot or container cannot be asked: theirs wait for the day to
 * pass.
 */
export function isAbandoned(name: string, ageMs: number): boolean {
  const match = TEMPORARY_NAME.exec(name)
  if (match === null) return ageMs > DAY_MS
  const [, host, owner, start] = match
  if (host !== hostId()) return ageMs > DAY_MS
  return !isAlive(Number(owner), start ?? '0')
}

/**
 * A pid is given out again after a while, so the start of the process counts too, where it is
 * known.
 */
function isAlive(owner: number, start: string): boolean {
  const now = startOf(owner)
  if (now !== undefined) return start === '0' || now === start
  if (start !== '0') return false
  try {
    return kill(owner, 0)
  } catch (error) {
    return fsCode(error) !== 'ESRCH'
  }
}

/**
 * Start of a process in clock ticks since boot (proc(5), stat field 22); undefined where there is
 * none to read.
 */
function startOf(process: number): string | undefined {
  const stat = readText(() => readFileSync(`/proc/${process}/stat`, 'latin1'))
  // The command in parentheses may hold spaces and parentheses itself, so count from the last one.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}

let cachedHostId: string | undefined

/** Names the machine, its boot and the pid namespace: a pid says something only within these. */
function hostId(): string {
  cachedHostId ??= sha256Hex(
    Buffer.from(
      JSON.stringify([
        hostname(),
        readText(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1')) ?? '',
        readText(() => readlinkSync('/proc/self/ns/pid')) ?? '',
      ]),
    ),
  ).slice(0, 12)
  return cachedHostId
}

function readText(read: () => string): string | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
