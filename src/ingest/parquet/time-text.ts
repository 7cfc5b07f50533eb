const DAY_MS = 86_400_000
/** What a JavaScript Date can hold, in days: ±271,821 years. */
const DAYS_MAX = 100_000_000

export type TimeUnit = 'MILLIS' | 'MICROS' | 'NANOS'

const UNITS: Readonly<Record<TimeUnit, { perSecond: bigint; digits: number }>> = {
  MILLIS: { perSecond: 1_000n, digits: 3 },
  MICROS: { perSecond: 1_000_000n, digits: 6 },
  NANOS: { perSecond: 1_000_000_000n, digits: 9 },
}

/**
 * Days since 1970-01-01 as `YYYY-MM-DD` (ISO 8601, proleptic Gregorian); undefined where no
 * calendar reaches.
 */
export function dateText(days: number): string | undefined {
  if (!Number.isSafeInteger(days) || Math.abs(days) > DAYS_MAX) return undefined
  return new Date(days * DAY_MS).toISOString().slice(0, -14)
}

/**
 * A time since 1970-01-01T00:00:00 as ISO 8601 with all digits of its unit; an instant (UTC) ends
 * in Z.
 */
export function timestampText(
  value: bigint,
  unit: TimeUnit,
  isInstant: boolean,
): string | undefined {
  const { perSecond } = UNITS[unit]
  const perDay = perSecond * 86_400n
  const inDay = ((value % perDay) + perDay) % perDay
  const date = dateText(Number((value - inDay) / perDay))
  if (date === undefined) return undefined
  return `${date}T${clockText(inDay, unit)}${isInstant ? 'Z' : ''}`
}

/** A time of the day; undefined where it is not within one. */
export function timeText(value: bigint, unit: TimeUnit): string | undefined {
  const { perSecond } = UNITS[unit]
  if (value < 0n || value >= perSecond * 86_400n) return undefined
  return trimZeroFraction(clockText(value, unit))
}

/** An INT96: nanoseconds of the day in the low 64 bits, the Julian day above. It has no zone. */
export function int96Text(value: bigint): string | undefined {
  const nanos = BigInt.asUintN(64, value)
  if (nanos >= 86_400_000_000_000n) return undefined
  const date = dateText(Number(value >> 64n) - 2_440_588)
  return date === undefined ? undefined : `${date}T${trimZeroFraction(clockText(nanos, 'NANOS'))}`
}

function clockText(inDay: bigint, unit: TimeUnit): string {
  const { perSecond, digits } = UNITS[unit]
  const seconds = Number(inDay / perSecond)
  const two = (part: number): string => String(part).padStart(2, '0')
  const clock = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60]
  return `${clock.map(two).join(':')}.${String(inDay % perSecond).padStart(digits, '0')}`
}

const trimZeroFraction = (clock: string): string => clock.replace(/\.0+$/, '')
