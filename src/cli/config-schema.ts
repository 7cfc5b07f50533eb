import { z } from 'zod'
import { AkidbError } from '../errors/errors.ts'
import { SETTINGS, type Setting, type SettingValue } from './setting-table.ts'

/**
 * The settings of one configuration file, by name. An unknown key, a wrong type and broken JSON are
 * CONFIG_INVALID.
 *
 * @param file path, for messages
 */
export function parseConfig(json: string, file: string): Map<string, SettingValue> {
  const checked = configSchema().safeParse(parseText(json, file))
  if (!checked.success) throw invalid(file, checked.error.issues.map(issueText).join('; '))
  const values = new Map<string, SettingValue>()
  for (const [key, value] of Object.entries(checked.data)) {
    if (typeof value === 'object' && value !== null) {
      for (const [inner, member] of Object.entries(value))
        addValue(values, `${key}.${inner}`, member)
    } else {
      addValue(values, key, value)
    }
  }
  return values
}

const parseText = (json: string, file: string): unknown => {
  try {
    return JSON.parse(json)
  } catch (error) {
    throw invalid(file, `it is no JSON (${error instanceof Error ? error.message : String(error)})`)
  }
}

const configSchema = () => {
  const top: Record<string, z.ZodType> = {}
  const groups: Record<string, Record<string, z.ZodType>> = {}
  for (const setting of SETTINGS) {
    const [first = '', second] = setting.name.split('.')
    if (second === undefined) top[first] = memberSchema(setting)
    else groups[first] = { ...groups[first], [second]: memberSchema(setting) }
  }
  for (const [name, members] of Object.entries(groups)) {
    top[name] = z.strictObject(members).optional()
  }
  return z.strictObject(top)
}

const memberSchema = (setting: Setting): z.ZodType => {
  if (setting.json === 'string') return z.string().optional()
  if (setting.json === 'number') return z.number().optional()
  if (setting.json === 'boolean') return z.boolean().optional()
  return z.union([z.string(), z.number()]).optional()
}

const addValue = (values: Map<string, SettingValue>, name: string, value: unknown): void => {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    values.set(name, value)
  }
}

const issueText = (issue: z.core.$ZodIssue): string =>
  issue.path.length === 0 ? issue.message : `${issue.path.join('.')}: ${issue.message}`

const invalid = (file: string, why: string): AkidbError =>
  new AkidbError('CONFIG_INVALID', `configuration "${file}": ${why}`, {
    hint: 'See `akidb help config` for the keys.',
    details: { file },
  })
