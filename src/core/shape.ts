/** Checks parsed JSON of unknown shape, one small function a type; a failure names the path. */
export type Check<T> = (value: unknown, path: string) => T

/**
 * Thrown by a check; callers turn it into the error that fits (INTEGRITY, BAD_INPUT,
 * CONFIG_INVALID).
 */
export class ShapeError extends Error {}

const fail = (path: string, wanted: string): never => {
  throw new ShapeError(`${path}: expected ${wanted}`)
}

export const text =
  (pattern?: RegExp): Check<string> =>
  (value, path) =>
    typeof value === 'string' && (pattern === undefined || pattern.test(value))
      ? value
      : fail(path, pattern === undefined ? 'text' : `text like ${pattern.source}`)

/** A whole number from `min` to `max`. */
export const whole =
  (min = 0, max = Number.MAX_SAFE_INTEGER): Check<number> =>
  (value, path) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
      ? (value as number)
      : fail(path, `a whole number from ${min} to ${max}`)

export const literal =
  <T extends string | boolean | null>(...values: readonly T[]): Check<T> =>
  (value, path) =>
    (values as readonly unknown[]).includes(value) ? (value as T) : fail(path, values.join(' or '))

export const list =
  <T>(item: Check<T>, max = 1_000_000): Check<readonly T[]> =>
  (value, path) => {
    if (!Array.isArray(value) || value.length > max) return fail(path, `a list of at most ${max}`)
    return value.map((entry, i) => item(entry, `${path}[${i}]`))
  }

export const dictionary =
  <T>(item: Check<T>, max = 100_000): Check<Readonly<Record<string, T>>> =>
  (value, path) => {
    if (!isObject(value) || Object.keys(value).length > max) return fail(path, 'an object')
    const result: Record<string, T> = Object.create(null)
    for (const [key, entry] of Object.entries(value)) result[key] = item(entry, `${path}.${key}`)
    return result
  }

export const optional =
  <T>(item: Check<T>): Check<T | undefined> =>
  (value, path) =>
    value === undefined ? undefined : item(value, path)

type Fields = Readonly<Record<string, Check<unknown>>>
type Optionals<F extends Fields> = {
  [K in keyof F]: undefined extends ReturnType<F[K]> ? K : never
}[keyof F]
export type Shape<F extends Fields> = {
  readonly [K in Exclude<keyof F, Optionals<F>>]: ReturnType<F[K]>
} & { readonly [K in Optionals<F>]?: Exclude<ReturnType<F[K]>, undefined> }

/** An object with these fields; unknown ones are refused unless `open`, which keeps them. */
export const object =
  <F extends Fields>(fields: F, open = false): Check<Shape<F>> =>
  (value, path) => {
    if (!isObject(value)) return fail(path, 'an object')
    const result: Record<string, unknown> = open ? { ...value } : {}
    for (const key of Object.keys(value)) {
      if (!open && !Object.hasOwn(fields, key)) return fail(`${path}.${key}`, 'no such field')
    }
    for (const [key, check] of Object.entries(fields)) {
      const entry = check(Object.hasOwn(value, key) ? value[key] : undefined, `${path}.${key}`)
      if (entry !== undefined) result[key] = entry
    }
    return result as Shape<F>
  }

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
