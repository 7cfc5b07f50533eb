const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** 1536 → `1.5 KiB`. */
export function humanBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(value < 10 ? 1 : 0)} ${UNITS[unit]}`
}

/** 1234567 → `1,234,567`, whatever the host's locale. */
export const humanCount = (count: number): string =>
  String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ',')

/** `1 row`, `2 rows`. */
export const plural = (count: number, noun: string): string =>
  `${humanCount(count)} ${noun}${count === 1 ? '' : 's'}`

/** 350 → `350 ms`, 4200 → `4.2 s`, 190000 → `3m10s`, 7300000 → `2h01m`. */
export function humanDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m${pad(seconds % 60)}s`
  return `${Math.floor(seconds / 3_600)}h${pad(Math.floor(seconds / 60) % 60)}m`
}

const pad = (value: number): string => String(value).padStart(2, '0')

/**
 * The first 12 digits of a digest: enough to tell states apart, and accepted nowhere as an address.
 */
export const shortDigest = (digest: string): string => digest.slice(0, 12)

/** Money, or GiB × years: to the hundredth; what is less in two digits that count, to 10⁻⁶. */
export const humanAmount = (value: number): string => {
  if (value > 0 && value < 0.01) return value < 1e-6 ? '< 0.000001' : value.toPrecision(2)
  return String(Math.round(value * 100) / 100)
}
