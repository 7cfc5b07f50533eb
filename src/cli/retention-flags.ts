import { AkidbError } from '../errors/errors.ts'
import type { RetentionWish } from '../index.ts'
import type { Command } from './commander.ts'
import { chosen } from './option-kinds.ts'
import { parseDurationMs } from './values.ts'

export interface RetentionFlags {
  readonly retain?: string
  readonly mode?: 'COMPLIANCE' | 'GOVERNANCE'
}

const RETAIN_MIN_MS = 1_000
/** A retention ends after a century at the latest: a slip of the hand cannot be taken back. */
const RETAIN_MAX_MS = 100 * 365 * 86_400_000

/** `--retain` and `--mode`. */
export function addRetention(command: Command): void {
  command.option('--retain <duration>', 'lock it for so long: 90d, 7y; up to the first of a month')
  command.addOption(chosen('--mode <mode>', 'who may shorten that', ['COMPLIANCE', 'GOVERNANCE']))
}

/** What the two say together. @throws USAGE where one is there without the other */
export function retentionOf({ retain, mode }: RetentionFlags): RetentionWish | undefined {
  if (retain === undefined && mode === undefined) return undefined
  if (retain === undefined) {
    throw new AkidbError('USAGE', '--mode needs --retain', { hint: 'For how long? --retain 7y' })
  }
  if (mode === undefined) {
    throw new AkidbError('USAGE', '--retain needs --mode', {
      hint:
        'COMPLIANCE: nobody can delete it before, not even root. ' +
        'GOVERNANCE: those whom the policy lets can.',
    })
  }
  return { mode, forMs: durationOf(retain) }
}

/** `--retain` alone, for what is always under COMPLIANCE. */
export function durationOf(retain: string): number {
  const forMs = parseDurationMs(retain, '--retain')
  if (forMs >= RETAIN_MIN_MS && forMs <= RETAIN_MAX_MS) return forMs
  throw new AkidbError('USAGE', `--retain: cannot use "${retain}"`, {
    hint: 'Write a duration from 1s to 100y.',
  })
}
