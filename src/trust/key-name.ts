import { AkidbError } from '../errors/errors.ts'

const KEY_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/**
 * Whether a key can bear this name: a letter or digit, then up to 63 letters, digits, dots,
 * dashes, underscores.
 */
export const isKeyName = (name: string): boolean => KEY_NAME.test(name)

/** @throws USAGE */
export function checkKeyName(name: string): void {
  if (isKeyName(name)) return
  throw new AkidbError('USAGE', `${JSON.stringify(name.slice(0, 100))} is not a key name`, {
    hint: 'Use 1–64 letters, digits, ".", "_" or "-", beginning with a letter or digit.',
  })
}
