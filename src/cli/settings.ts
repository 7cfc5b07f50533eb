import { existsSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { AkidbError } from '../errors/errors.ts'
import { type ConfigFile, readConfigFiles } from './config-files.ts'
import type { Io } from './io.ts'
import { environmentName, SETTINGS, type Setting, type SettingValue } from './setting-table.ts'

export interface ResolvedSetting {
  readonly name: string
  /** As written, for people. */
  readonly raw: SettingValue
  /** Parsed: durations in milliseconds, sizes in bytes. */
  readonly value: SettingValue
  /** `flag --store`, `environment AKIDB_STORE`, a file's path, or `default`. */
  readonly origin: string
  readonly secret: boolean
}

/** All settings with their origins, and the files they came from. */
export interface Settings {
  readonly files: readonly ConfigFile[]
  readonly all: readonly ResolvedSetting[]
  text(name: string): string | undefined
  number(name: string): number | undefined
  flag(name: string): boolean
  value(name: string): SettingValue | undefined
}

const DEFAULTS: Readonly<Record<string, string>> = {
  progress: 'auto',
  lockWait: '10s',
  retryFor: '2m',
  key: 'default',
  keep: '7d',
  onBadRow: 'reject',
  maxRejects: '0',
  listen: '127.0.0.1:8080',
  events: 'auto',
  'audit.queries': 'digest',
}

/**
 * Settles every setting: flag, then environment, then the configuration files, then the default.
 *
 * @param flags options of the chosen command and the global ones, by commander's names
 */
export async function resolveSettings(
  io: Io,
  flags: Readonly<Record<string, unknown>>,
): Promise<Settings> {
  const given = typeof flags.config === 'string' ? flags.config : io.env.AKIDB_CONFIG
  const files = await readConfigFiles(io, given === '' ? undefined : given)
  const found = new Map<string, ResolvedSetting>()
  for (const setting of SETTINGS) {
    const resolved = settle(setting, { io, flags, files })
    if (resolved !== undefined) found.set(setting.name, resolved)
  }
  const value = (name: string) => found.get(name)?.value
  return {
    files,
    all: [...found.values()],
    value,
    text: (name) => textOf(value(name)),
    number: (name) => numberOf(value(name)),
    flag: (name) => value(name) === true,
  }
}

const textOf = (value: SettingValue | undefined) =>
  value === undefined ? undefined : String(value)
const numberOf = (value: SettingValue | undefined) =>
  typeof value === 'number' ? value : undefined

interface Sources {
  readonly io: Io
  readonly flags: Readonly<Record<string, unknown>>
  readonly files: readonly ConfigFile[]
}

function settle(setting: Setting, sources: Sources): ResolvedSetting | undefined {
  const raw = rawFlag(setting, sources.flags)
  if (raw !== undefined)
    return resolved(setting, absolute(setting, raw, sources.io), `flag --${setting.flag}`)
  for (const variable of [environmentName(setting.name), ...(setting.variables ?? [])]) {
    const text = sources.io.env[variable]
    if (text === undefined || text === '') continue
    const value = absolute(setting, text, sources.io)
    return resolved(setting, value, `environment ${variable}`)
  }
  for (const file of sources.files) {
    const value = file.values.get(setting.name)
    if (value !== undefined) return resolved(setting, value, file.path)
  }
  const value = setting.name === 'store' ? defaultStore(sources.io) : DEFAULTS[setting.name]
  return value === undefined ? undefined : resolved(setting, value, 'default')
}

/** A flag's value, where the chosen command has it and it was given. */
const rawFlag = (setting: Setting, flags: Readonly<Record<string, unknown>>) => {
  if (setting.name === 'noColor') return flags.color === false ? true : undefined
  if (setting.name === 'noInput') return flags.input === false ? true : undefined
  const value = flags[camelCase(setting.flag)]
  if (setting.json !== 'boolean' && typeof value === 'boolean') return undefined
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? value
    : undefined
}

const camelCase = (flag: string): string =>
  flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())

const absolute = (setting: Setting, raw: SettingValue, io: Io): SettingValue => {
  // Nothing (a variable of a script that is not set) stays nothing, which is refused: it is not
  // the current folder.
  const isPath = setting.path === true && typeof raw === 'string' && raw !== '-' && raw !== ''
  // A slash too few is no folder, either: whoever opens it says so.
  return isPath && !/^([a-z0-9]+:\/\/|s3:)/i.test(raw) ? resolve(io.cwd, raw) : raw
}

function resolved(setting: Setting, raw: SettingValue, origin: string): ResolvedSetting {
  const what = origin.startsWith('flag ') ? origin.slice(5) : `${setting.name} (${origin})`
  try {
    const value = setting.parse(String(raw), what)
    return { name: setting.name, raw, value, origin, secret: setting.secret === true }
  } catch (error) {
    if (!(error instanceof AkidbError) || origin.startsWith('flag ')) throw error
    const hint = error.hint === undefined ? {} : { hint: error.hint }
    throw new AkidbError('CONFIG_INVALID', error.message, hint)
  }
}

/** ./akidb-data where it exists, else the XDG data folder; root's is /var/lib/akidb. */
const defaultStore = (io: Io): string => {
  const here = join(io.cwd, 'akidb-data')
  if (existsSync(here)) return here
  if (io.uid === 0) return '/var/lib/akidb'
  const data = io.env.XDG_DATA_HOME
  return join(
    data !== undefined && isAbsolute(data) ? data : join(io.home, '.local/share'),
    'akidb',
  )
}
