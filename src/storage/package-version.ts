import { readFileSync } from 'node:fs'

/** The version in package.json, two folders up from the sources and from the build alike. */
export function akidbVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const parsed: unknown = JSON.parse(text)
  const version = (parsed as { readonly version?: unknown }).version
  return typeof version === 'string' ? version : 'unknown'
}
