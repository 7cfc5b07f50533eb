import { AkidbError } from '../errors/errors.ts'
import type { LockHolder } from './locks.ts'

const LOCK_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/

/** LOCKED: who holds it, since when, and what to do. */
export function lockedError(
  name: string,
  holder: LockHolder | undefined,
  waitedMs: number,
): AkidbError {
  const who =
    holder === undefined
      ? 'another process'
      : `process ${holder.pid} on ${holder.host} ("${holder.command}", since ${holder.startedAt})`
  const waited = waitedMs > 0 ? ` after waiting ${waitedMs} ms` : ''
  return new AkidbError('LOCKED', `"${name}" is held by ${who}${waited}`, {
    hint: 'Wait for it or stop it; --lock-wait 60s waits longer.',
    details: { lock: name, ...(holder === undefined ? {} : { holder: { ...holder } }) },
  })
}

/** @throws INTERNAL for a name that cannot be a file name */
export function checkLockName(name: string): void {
  if (!LOCK_NAME.test(name))
    throw new AkidbError('INTERNAL', `bad lock name ${JSON.stringify(name)}`)
}
