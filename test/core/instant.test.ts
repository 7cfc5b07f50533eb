import { describe, expect, it } from 'vitest'
import { parseInstant } from '../../src/core/instant.ts'
import { randomOf, seedOf } from '../search/random.ts'

const SECOND = 1_000_000_000n

/** Days from 1970-01-01. Source: Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
function daysFromCivil(year: bigint, month: bigint, day: bigint): bigint {
  const y = month <= 2n ? year - 1n : year
  const era = (y >= 0n ? y : y - 399n) / 400n
  const yearOfEra = y - era * 400n
  const dayOfYear = (153n * (month + (month > 2n ? -3n : 9n)) + 2n) / 5n + day - 1n
  const dayOfEra = yearOfEra * 365n + yearOfEra / 4n - yearOfEra / 100n + dayOfYear
  return era * 146_097n + dayOfEra - 719_468n
}

const pad = (value: number, digits: number): string => String(value).padStart(digits, '0')

describe('an instant', () => {
  it('is what a reference in whole numbers says, for random times of all years', () => {
    const random = randomOf(seedOf())
    for (let i = 0; i < 20_000; i++) {
      const year = random.whole(-9_999, 99_999)
      const [month, day] = [random.whole(1, 12), random.whole(1, 28)]
      const [hour, minute, second] = [random.whole(0, 23), random.whole(0, 59), random.whole(0, 59)]
      const digits = random.whole(0, 9)
      const fraction = digits === 0 ? '' : pad(random.whole(0, 10 ** digits - 1), digits)
      const zone = random.pick(['Z', 'z', '+00:00', '-23:59', '+05:30', '+1400', '-0330'])
      const sign = year < 0 ? '-' : random.pick(['', '+'])
      const text = `${sign}${pad(Math.abs(year), 4)}-${pad(month, 2)}-${pad(day, 2)}`
        .concat(random.pick(['T', 't', ' ']), `${pad(hour, 2)}:${pad(minute, 2)}`)
        .concat(
          `:${pad(second, 2)}`,
          fraction === '' ? '' : `${random.pick(['.', ','])}${fraction}`,
        )
        .concat(zone)
      const days = daysFromCivil(BigInt(year), BigInt(month), BigInt(day))
      const [, plus, hours = '0', minutes = '0'] = /^([+-])(\d\d):?(\d\d)$/.exec(zone) ?? []
      const offset = (BigInt(hours) * 3_600n + BigInt(minutes) * 60n) * (plus === '-' ? -1n : 1n)
      const time = BigInt(hour * 3_600 + minute * 60 + second)
      const wanted =
        (days * 86_400n + time - offset) * SECOND + BigInt(fraction.padEnd(9, '0') || '0')
      expect(parseInstant(text), text).toBe(wanted)
    }
  })

  it('agrees with the language where both can', () => {
    const random = randomOf(seedOf())
    for (let i = 0; i < 5_000; i++) {
      const ms = random.whole(-62_135_596_800_000 / 2 ** 10, 2 ** 42 / 2 ** 10) * 2 ** 10
      const text = new Date(ms).toISOString()
      expect(parseInstant(text), text).toBe(BigInt(ms) * 1_000_000n)
    }
  })

  it.each([
    ['1970-01-01', 0n],
    ['1970-01-01T00:00Z', 0n],
    ['1970-01-01T00:00:00.000000001Z', 1n],
    ['1969-12-31T23:59:59.999999999Z', -1n],
    ['2024-02-29', 1_709_164_800n * SECOND],
    ['2000-02-29T24:00:00Z', undefined],
    ['1900-02-29', undefined],
    ['2023-02-29', undefined],
    ['2023-04-31', undefined],
    ['2023-00-01', undefined],
    ['2023-13-01', undefined],
    ['2023-01-00', undefined],
    ['2023-01-32', undefined],
    ['2023-01-01T23:59:60Z', undefined],
    ['2023-01-01T23:60:00Z', undefined],
    ['2023-01-01T12:00:00', undefined],
    ['2023-01-01T12:00:00+24:00', undefined],
    ['2023-01-01T12:00:00+01:60', undefined],
    ['2023-01-01T12:00:00.1234567890Z', undefined],
    ['1970-01-01T00:00:01 Z', SECOND],
    ['1970-01-01T00:00:01\u00a0Z', undefined],
    ['1970-01-01T00:00:01\nZ', undefined],
    ['2023-1-1', undefined],
    ['2023', undefined],
    ['', undefined],
    [' 2023-01-01', undefined],
    ['2023-01-01x', undefined],
    ['99999999-01-01', undefined],
  ])('of %j is %s', (text, wanted) => {
    expect(parseInstant(text)).toBe(wanted)
  })
})
