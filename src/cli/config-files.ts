import { readFileSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { AkidbError } from '../errors/errors.ts'
import type { Io } from './io.ts'
import { SETTINGS, type SettingValue } from './setting-table.ts'

/** A configuration file is read whole; none that a person wrote is larger. */
const CONFIG_BYTES_MAX = 1024 * 1024

/** One configuration file that was looked for. */
export interface ConfigFile {
  readonly path: string
  readonly kind: 'given' | 'project' | 'user' | 'system'
  /** 'used', 'absent', or why it was ignored. */
  readonly status: string
  readonly values: ReadonlyMap<string, SettingValue>
}

/**
 * The configuration files, strongest first: the one given by `--config` (or else
 * ./akidb.config.json), the user's, the system's. A project file that another user owns is ignored:
 * a working folder may be anybody's.
 *
 * NOT_FOUND for a given file that is absent; CONFIG_INVALID for what does not parse or may not
 * stand where it stands.
 */
export async function readConfigFiles(io: Io, given: string | undefined): Promise<ConfigFile[]> {
  const places: [string, ConfigFile['kind']][] = [
    given === undefined
      ? [join(io.cwd, 'akidb.config.json'), 'project']
      : [resolve(io.cwd, given), 'given'],
    [join(configHome(io), 'akidb', 'config.json'), 'user'],
    [io.systemConfig, 'system'],
  ]
  const files: ConfigFile[] = []
  for (const [path, kind] of places) files.push(await readConfigFile(io, path, kind))
  return files
}

const configHome = (io: Io): string => {
  const home = io.env.XDG_CONFIG_HOME
  return home !== undefined && isAbsolute(home) ? home : join(io.home, '.config')
}

async function readConfigFile(io: Io, path: string, kind: ConfigFile['kind']): Promise<ConfigFile> {
  const status = fileStatus(path)
  if (status === undefined) {
    if (kind !== 'given') return { path, kind, status: 'absent', values: new Map() }
    throw new AkidbError('NOT_FOUND', `there is no configuration file "${path}"`)
  }
  if (kind === 'project' && io.uid !== undefined && status.uid !== io.uid) {
    const why = `ignored: another user owns it (uid ${status.uid})`
    return { path, kind, status: why, values: new Map() }
  }
  if (!status.isFile() || status.size > CONFIG_BYTES_MAX) {
    throw new AkidbError('CONFIG_INVALID', `configuration "${path}": no file of at most 1 MiB`)
  }
  // The schema library is loaded only where there is a file to check.
  const { parseConfig } = await import('./config-schema.ts')
  const parsed = parseConfig(readText(path), path)
  if (kind === 'project') refuseForeign(parsed, path)
  return { path, kind, status: 'used', values: withResolvedPaths(parsed, dirname(path)) }
}

const fileStatus = (path: string) => {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

const readText = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new AkidbError('AUTH', `cannot read the configuration "${path}"`, { cause: error })
  }
}

const refuseForeign = (values: ReadonlyMap<string, SettingValue>, path: string): void => {
  for (const setting of SETTINGS) {
    if (!setting.project && values.has(setting.name)) {
      throw new AkidbError(
        'CONFIG_INVALID',
        `configuration "${path}" may not set "${setting.name}"`,
        {
          hint: 'Set it in the user or system file, by a flag or in the environment.',
          details: { file: path, key: setting.name },
        },
      )
    }
  }
}

const withResolvedPaths = (
  values: ReadonlyMap<string, SettingValue>,
  folder: string,
): Map<string, SettingValue> => {
  const resolved = new Map(values)
  for (const setting of SETTINGS) {
    const value = values.get(setting.name)
    if (setting.path === true && typeof value === 'string' && !/^[a-z0-9]+:\/\//i.test(value)) {
      resolved.set(setting.name, resolve(folder, value))
    }
  }
  return resolved
}
