import { AkidbError } from '../errors/errors.ts'
import type { LockHolder } from './locks.ts'

const LOCK_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/

interface Waiting {
  readonly waitedMs: number
  /** The lock's file, where it has one. */
  readonly path?: string
}

/** LOCKED: what is held, by whom, since when, and what to do. */
export function lockedError(
  name: string,
  holder: LockHolder | undefined,
  { waitedMs, path }: Waiting,
): AkidbError {
  const waited = waitedMs > 0 ? `; waited ${waitedMs / 1000} s` : ''
  return new AkidbError('LOCKED', `${WHAT[name] ?? OTHER} ${by(holder)}${waited}`, {
    hint: name === 'owner' ? ownerHint(holder, path) : otherHint(holder, path),
    details: { lock: name, ...(holder === undefined ? {} : { holder: { ...holder } }) },
  })
}

/** What the locks with fixed names are for; those of acts and collections have others. */
const WHAT: Readonly<Record<string, string>> = {
  owner: 'another process takes the single writes of this store:',
  audit: 'the audit log is being written by',
  gc: 'garbage is already being collected by',
}
const OTHER = 'what this command would change is being changed by'

const by = (holder: LockHolder | undefined): string =>
  holder === undefined
    ? 'a process that left no name'
    : `process ${holder.pid} on ${holder.host} ("${holder.command}"), since ${holder.startedAt}`

/** It is held as long as that process lives: to wait for it would not help. */
const ownerHint = (holder: LockHolder | undefined, path: string | undefined): string =>
  `Send it the writes, or stop it first (${stopping(holder, path)}): it commits what it has and ` +
  'gives way. Commands like ingest, search and status work beside it.'

const otherHint = (holder: LockHolder | undefined, path: string | undefined): string =>
  `Wait for it (--lock-wait 60s waits longer), or stop it (${stopping(holder, path)}).`

function stopping(holder: LockHolder | undefined, path: string | undefined): string {
  if (holder !== undefined) return `"kill ${holder.pid}" on ${holder.host}`
  return path === undefined ? 'find it first' : `"fuser -v ${path}" names it`
}

/** @throws INTERNAL for a name that cannot be a file name */
export function checkLockName(name: string): void {
  if (!LOCK_NAME.test(name))
    throw new AkidbError('INTERNAL', `bad lock name ${JSON.stringify(name)}`)
}
