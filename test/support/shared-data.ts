import { existsSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '..', '..', '..', 'shared', 'data')
const told = new Set<string>()

/**
 * Path of a file (or folder) of the shared test data that lies beside the clone, '/'-separated
 * name relative to it.
 *
 * @returns undefined where it is absent, after one visible line; use it with `it.skipIf(path ===
 * undefined)`
 * @throws  where it is absent and CI=true: there the data must be present
 */
export function sharedData(name: string): string | undefined {
  const path = join(folder, ...name.split('/'))
  if (existsSync(path)) return path
  const absent = `shared test data "${name}" is absent (looked in ../shared/data)`
  if (process.env.CI === 'true') throw new Error(`${absent}, and CI=true needs it`)
  if (!told.has(name)) {
    told.add(name)
    // Written straight to the terminal: the runner shows a console line only where a test uses it.
    writeSync(2, `${absent}: its tests are skipped\n`)
  }
  return undefined
}
