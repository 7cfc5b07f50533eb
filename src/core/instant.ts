const DATE = '([+-]?\\d{4,6})-(\\d\\d)-(\\d\\d)'
const TIME = '(\\d\\d):(\\d\\d)(?::(\\d\\d)(?:[.,](\\d{1,9}))?)?'
const ZONE = '(Z|z|[+-]\\d\\d:?\\d\\d)'
const ISO = new RegExp(`^${DATE}(?:[Tt ]${TIME})? ?${ZONE}?$`)

/** A point in time: whole seconds since 1970 UTC, and nanoseconds (0…999,999,999) after them. */
export interface Instant {
  readonly seconds: number
  readonly nanoseconds: number
}

/** An ISO 8601 date or time as nanoseconds since 1970 UTC, in the sense of `instantOf`. */
export function parseInstant(text: string): bigint | undefined {
  const instant = instantOf(text)
  if (instant === undefined) return undefined
  return BigInt(instant.seconds) * 1_000_000_000n + BigInt(instant.nanoseconds)
}

/**
 * The instant of an ISO 8601 date or time; undefined where the text is none. A date alone is its
 * first moment in UTC; a time needs its zone, because "local" means another moment on every
 * machine.
 */
export function instantOf(text: string): Instant | undefined {
  const parts = ISO.exec(text)
  if (parts === null) return undefined
  const [, year, month, day, hour, minute, second, fraction, zone] = parts
  if (hour !== undefined && zone === undefined) return undefined
  const date = [Number(year), Number(month), Number(day)] as const
  const time = [Number(hour ?? 0), Number(minute ?? 0), Number(second ?? 0)] as const
  if (date[1] < 1 || date[1] > 12 || time[0] > 23 || time[1] > 59 || time[2] > 59) return undefined
  if (date[2] < 1 || date[2] > daysIn(date[0], date[1])) return undefined
  const offset = zoneSeconds(zone ?? 'Z')
  if (offset === undefined) return undefined
  const seconds =
    SECONDS_TO_2000 +
    daysFrom2000(...date) * DAY_SECONDS +
    (time[0] * 3_600 + time[1] * 60 + time[2]) -
    offset
  return { seconds, nanoseconds: Number((fraction ?? '').padEnd(9, '0')) }
}

const DAY_SECONDS = 86_400
/** From 1970-01-01 to 2000-01-01. */
const SECONDS_TO_2000 = 10_957 * DAY_SECONDS
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const

const isLeap = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)

const daysIn = (year: number, month: number): number =>
  month === 2 && isLeap(year) ? 29 : (MONTH_DAYS[month - 1] as number)

/** Days of the proleptic Gregorian calendar from 2000-01-01. */
function daysFrom2000(year: number, month: number, day: number): number {
  const before = year - 1
  const leaps = (y: number) => Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400)
  let days = (year - 2000) * 365 + leaps(before) - leaps(1999)
  for (let m = 1; m < month; m++) days += daysIn(year, m)
  return days + day - 1
}

/** Seconds east of UTC; undefined for hours or minutes that no clock shows. */
function zoneSeconds(zone: string): number | undefined {
  if (zone === 'Z' || zone === 'z') return 0
  const hours = Number(zone.slice(1, 3))
  const minutes = Number(zone.slice(-2))
  if (hours > 23 || minutes > 59) return undefined
  return (zone.startsWith('-') ? -1 : 1) * (hours * 3_600 + minutes * 60)
}
