import { writeSync } from 'node:fs'
import type { JsonObject, JsonValue } from '../../src/core/json.ts'

/** A seed from AKIDB_TEST_SEED or from chance; printed, so that a failure can be run again. */
export function seedOf(): number {
  const given = Number(process.env.AKIDB_TEST_SEED)
  const seed =
    Number.isSafeInteger(given) && given > 0 ? given : Math.floor(Math.random() * 2 ** 31)
  writeSync(2, `search tests: AKIDB_TEST_SEED=${seed}\n`)
  return seed
}

/** Random payloads and filters over few keys and values, so that many match. */
export interface SearchRandom {
  whole(from: number, to: number): number
  pick<T>(items: readonly T[]): T
  payload(): JsonObject
  filter(depth: number): object
}

const KEYS = ['a', 'b', 'b.c', 'd.e', 'd', '__proto__', 'a.b.c']
const SCALARS: readonly (string | number | bigint | boolean)[] = [
  '',
  'x',
  'y',
  '1',
  'é\u{1f600}',
  '2026-07-01T12:00:00Z',
  '2026-07-01T14:00:00+02:00',
  '2026-07-01T12:00:00.5Z',
  '2025-12-31',
  '2026-07-01T12:00:00',
  'red blue',
  'Blue, Red!',
  'red red blue',
  'blue red blue red',
  0,
  -0,
  1,
  1.5,
  -3,
  2 ** 53,
  1e20,
  -1e300,
  5e-324,
  9007199254740993n,
  -9223372036854775808n,
  18446744073709551615n,
  true,
  false,
]
const WORDS = ['red', 'blue', 'red blue', 'blue red', 'red red', 'x', '!', '07', 'Red green']
const DEGREES = [-180, -179.5, -90, -45, 0, 1e-9, 10, 45, 89, 90, 100, 179.5, 180]
const TIMES = ['2026-07-01T12:00:00Z', '2026-01-01T00:00:00+01:00', '2026-07-01T12:00:00.25Z']

export function randomOf(seed: number): SearchRandom {
  let state = seed >>> 0
  // Source: Steele, Lea & Flood, SplitMix (2014), the 32-bit variant.
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
  const whole = (from: number, to: number): number => from + (next() % (to - from + 1))
  const pick = <T>(items: readonly T[]): T => items[whole(0, items.length - 1)] as T
  const value = (depth: number): JsonValue => {
    const kind = whole(0, 11)
    if (kind === 0) return null
    if (depth > 0 && kind === 6)
      return Array.from({ length: whole(0, 3) }, () => payload(depth - 1))
    if (kind === 7) return whole(0, 1) === 0 ? point() : [point(), point(), pick(SCALARS)]
    if (kind === 1) return Array.from({ length: whole(0, 3) }, () => pick(SCALARS))
    if (depth > 0 && kind === 2) return Array.from({ length: whole(0, 3) }, () => value(depth - 1))
    if (depth > 0 && kind <= 5) return payload(depth - 1)
    return pick(SCALARS)
  }
  const payload = (depth: number): JsonObject =>
    new Map(
      Array.from({ length: whole(0, 4) }, () => [pick([...KEYS, 'c', 'e']), value(depth)] as const),
    )
  const lon = (): number => pick(DEGREES)
  const lat = (): number => Math.max(-90, Math.min(90, pick(DEGREES)))
  const point = (): JsonObject =>
    new Map<string, JsonValue>([
      ['lon', lon()],
      ['lat', pick([lat(), lat(), lat(), 91])],
    ])
  const place = (): object => ({ lon: lon(), lat: lat() })
  const geo = (): object => {
    const kind = whole(0, 3)
    if (kind === 0) return { geo_radius: { center: place(), radius: pick([0, 1, 1e6, 6e6, 2e7]) } }
    if (kind === 1) return { geo_bounding_box: { top_left: place(), bottom_right: place() } }
    const ring = (): object => {
      const points = Array.from({ length: whole(3, 6) }, place)
      return { points: [...points, points[0]] }
    }
    return { geo_polygon: { exterior: ring(), ...(kind === 2 ? {} : { interiors: [ring()] }) } }
  }
  const condition = (depth: number, inside = false): object => {
    const key = pick(KEYS)
    switch (whole(0, depth > 0 ? 13 : 9)) {
      case 0:
        return { key, match: { value: pick(SCALARS) } }
      case 1:
        return { key, match: { any: Array.from({ length: whole(0, 4) }, () => pick(SCALARS)) } }
      case 2:
        return { key, match: { except: Array.from({ length: whole(0, 4) }, () => pick(SCALARS)) } }
      case 3:
        return { key, range: { [pick(['gt', 'gte'])]: pick([-5, 0, 1, 1.25, 9007199254740993n]) } }
      case 4:
        return { key, range: { [pick(['lt', 'lte', 'gt', 'gte'])]: pick(TIMES) } }
      case 5:
        return pick([{ is_null: { key } }, { is_empty: { key } }])
      case 6:
        if (inside) return { key, is_empty: pick([true, false]) }
        return { has_id: Array.from({ length: whole(0, 5) }, () => `r${whole(0, 90)}`) }
      case 7:
        return { key, match: { [pick(['text', 'text_any', 'phrase'])]: pick(WORDS) } }
      case 8:
        return { key, values_count: { [pick(['lt', 'lte', 'gt', 'gte'])]: whole(0, 3) } }
      case 9:
        return { key, ...geo() }
      case 10:
      case 11:
        return { nested: { key, filter: filter(depth - 1, true) } }
      default:
        return filter(depth - 1, inside)
    }
  }
  const conditions = (depth: number, inside: boolean): object[] =>
    Array.from({ length: whole(0, 3) }, () => condition(depth, inside))
  const filter = (depth: number, inside = false): object => ({
    must: conditions(depth, inside),
    ...(whole(0, 1) === 0 ? {} : { should: conditions(depth, inside) }),
    ...(whole(0, 1) === 0 ? {} : { must_not: conditions(depth, inside) }),
    ...(whole(0, 3) > 0
      ? {}
      : { min_should: { conditions: conditions(depth, inside), min_count: whole(0, 3) } }),
  })
  return { whole, pick, payload: () => payload(3), filter }
}
