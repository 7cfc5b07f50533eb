import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { Environment } from '../states/environment.ts'
import type { Claim } from './claim.ts'

/** A run of entries that fits one group. */
export interface Part {
  readonly first: number
  readonly end: number
  readonly bytes: number
}

/** Runs of entries that each fit one group. */
export function parts(encoded: readonly Uint8Array[]): Part[] {
  const found: Part[] = []
  let first = 0
  let bytes = 0
  encoded.forEach(({ byteLength }, i) => {
    if (i > first && bytes + byteLength > limits.logGroupBytesMax) {
      found.push({ first, end: i, bytes })
      first = i
      bytes = 0
    }
    bytes += byteLength
  })
  if (encoded.length > 0) found.push({ first, end: encoded.length, bytes })
  return found
}

/** Says what failed in the background. */
export function warnOf({ warn }: Pick<Environment, 'warn'>, error: unknown, what: string): void {
  const code = error instanceof AkidbError ? error.code : 'INTERNAL'
  const message = error instanceof Error ? error.message : String(error)
  warn({ code, message: `${what}: ${message}` })
}

export const tooManyWriters = (name: string): AkidbError =>
  new AkidbError('CONFLICT', `cannot commit the log of "${name}": too many writers`)

export const tooManyWaiting = (name: string): AkidbError =>
  new AkidbError('LIMIT', `more than logWaitingMax writes to "${name}" wait for the disk`, {
    hint: 'Write fewer at once, or more records in each.',
  })

export const closed = (name: string): AkidbError =>
  new AkidbError('CONFLICT', `the log of "${name}" was closed`, { hint: 'Open the store again.' })

/** @param by whoever claimed that epoch, where that is known: for the message alone */
export function replaced(name: string, epoch: number, by?: Claim): AkidbError {
  const who = by === undefined ? 'another process' : claimantOf(by)
  if (by?.ends === true) {
    return new AkidbError('CONFLICT', `"${name}" was dropped and imported again by ${who}`, {
      hint: 'This write was not taken. The next goes to what was imported.',
    })
  }
  return new AkidbError('CONFLICT', `${who} took over the log of "${name}" (epoch ${epoch})`, {
    hint:
      'One server writes to a store, and this one writes no more: send the writes there, ' +
      'or stop that one and start this one again.',
  })
}

const SHOWN_CHARACTERS = 200

/** Who claimed an epoch, for messages. */
export const claimantOf = ({ command, host }: Claim): string =>
  `"${command.slice(0, SHOWN_CHARACTERS)}" on ${host.slice(0, SHOWN_CHARACTERS)}`
