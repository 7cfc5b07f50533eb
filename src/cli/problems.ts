import { AkidbError } from '../errors/errors.ts'
import { type ErrorCode, EXIT_CODES } from '../errors/exit-codes.ts'
import { plural } from './human.ts'

const HINTS: Partial<Readonly<Record<ErrorCode, string>>> = {
  UNTRUSTED:
    'Get the public key another way, compare its fingerprint, then keep it with akidb keys trust ' +
    '<file>; commands that verify take it with --key <file>, too.',
}

const LOST_KEY =
  'Bring the key back from a backup of the KMS; one made anew does not open it. What is sealed ' +
  'stays as it is meanwhile.'

/**
 * The failure of a verification that found problems: exit 24. Its code is the first problem's where
 * that is an error code with exit 24, else INTEGRITY (logs have finer codes of their own, such as
 * TRUNCATED).
 */
export function problemFailure(
  what: string,
  problems: readonly { readonly code: string; readonly message: string }[],
  fallback: ErrorCode = 'INTEGRITY',
): AkidbError {
  // Where a key is lost, what nobody vouches for may be so for that alone.
  const isUnread = problems.some(({ code }) => code === 'UNREADABLE')
  const known = isUnread
    ? undefined
    : problems
        .map(({ code }) => code)
        .find((code): code is ErrorCode => EXIT_CODES[code as ErrorCode] === 24)
  const first = problems[0]?.message
  const message = `${what} does not check out: ${plural(problems.length, 'problem')}`
  const isUntrusted = problems.some(({ code }) => code === 'UNTRUSTED')
  const hint = isUnread ? LOST_KEY : HINTS[isUntrusted ? 'UNTRUSTED' : (known ?? fallback)]
  return new AkidbError(
    known ?? fallback,
    first === undefined ? message : `${message}, first: ${first}`,
    {
      details: { problems: problems.length },
      ...(hint === undefined ? {} : { hint }),
    },
  )
}
