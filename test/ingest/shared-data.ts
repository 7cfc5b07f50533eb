import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Folder of the shared test data, beside the repository. */
export const dataFolder = fileURLToPath(new URL('../../../shared/data', import.meta.url))

/** False, said once, where the data are absent; CI must have them. */
export function hasData(what: string): boolean {
  if (existsSync(dataFolder)) return true
  if (process.env.CI === 'true') throw new Error(`${dataFolder} is missing`)
  process.stderr.write(`skipped: ${what} needs ${dataFolder}\n`)
  return false
}

export const readJson = (name: string): unknown =>
  JSON.parse(readFileSync(`${dataFolder}/${name}`, 'utf8'))
