import { type LimitName, limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { Option } from './commander.ts'
import { parseChoice, parseCount } from './values.ts'

/** An option that repeats, one value each time. */
export const repeated = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((value: string, previous: string[] | undefined) => [
    ...(previous ?? []),
    value,
  ])

/** A whole number of a range; others are USAGE. */
export const counted = (
  flags: string,
  description: string,
  range: { readonly min: number; readonly max: number },
): Option => {
  const option = new Option(flags, description)
  return option.argParser((value: string) => parseCount(value, nameOf(option), range))
}

/**
 * A whole number up to a named limit: one over it is LIMIT, and 0 where it is too few BAD_INPUT, as
 * in the library; all others are USAGE.
 */
export const limited = (
  flags: string,
  description: string,
  limit: LimitName,
  min: 0 | 1 = 1,
): Option => {
  const option = new Option(flags, description)
  const max: number = limits[limit]
  return option.argParser((value: string) => {
    if (/^\d{1,16}$/.test(value) && Number(value) > max) {
      const message = `${nameOf(option)}: ${value} is over the limit of ${max}`
      const details = { limit, max }
      throw new AkidbError('LIMIT', message, { hint: 'See docs/limits.md.', details })
    }
    if (/^0{1,16}$/.test(value) && min > 0) {
      throw new AkidbError('BAD_INPUT', `${nameOf(option)} is 0; it is at least ${min}`)
    }
    return parseCount(value, nameOf(option), { min, max })
  })
}

/** A number, of a range where one is given; others are USAGE. */
export const numeric = (
  flags: string,
  description: string,
  [min, max]: readonly [min: number, max: number] = [-Infinity, Infinity],
): Option => {
  const option = new Option(flags, description)
  return option.argParser((value: string) => {
    const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value) ? Number(value) : Number.NaN
    if (Number.isFinite(number) && number >= min && number <= max) return number
    const hint = Number.isFinite(min) ? `Write a number from ${min} to ${max}.` : 'Write a number.'
    throw new AkidbError('USAGE', `${nameOf(option)}: "${value}" does not fit`, { hint })
  })
}

/** One of a few words. */
export const chosen = (flags: string, description: string, choices: readonly string[]): Option => {
  const option = new Option(flags, `${description}: ${choices.join(', ')}`)
  return option.argParser((value: string) => parseChoice(value, nameOf(option), choices))
}

export const dryRun = (what: string): Option =>
  new Option('-n, --dry-run', `only say what would be ${what}`)

export const yes = (): Option => new Option('--yes', 'do not ask')

const nameOf = (option: Option): string => option.long ?? option.short ?? option.flags
