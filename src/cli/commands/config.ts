import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { escapeLine } from '../escape.ts'
import type { SettingValue } from '../setting-table.ts'
import { table } from '../table.ts'

const MASK = '********'

/** What stands before the @ of an address may be a password. */
const withoutLogin = (raw: SettingValue): SettingValue =>
  typeof raw === 'string' ? raw.replace(/^([a-z0-9]+:\/\/).*@/i, `$1${MASK}@`) : raw

/** `akidb config show`: every value and where it came from. */
export const defineConfig = (command: Command, app: App): void => {
  describe(command, {
    summary: 'show the configuration',
    examples: [['akidb config show', 'each value and its origin']],
    exits: [21, 23],
  })
  const show = command.command('show')
  describe(show, {
    summary: 'print each value and its origin, secrets masked',
    examples: [
      ['akidb config show', 'what holds here, and why'],
      ['akidb config show --config other.json', 'what another file would do'],
    ],
    details: 'See akidb help config for the order and the keys.',
    exits: [21, 23],
  })
  show.action(() =>
    app.run(show, async (context) => {
      const values = context.settings.all.map(({ name, raw, origin, secret }) => ({
        name,
        value: secret ? MASK : withoutLogin(raw),
        origin,
      }))
      const files = context.settings.files.map(({ path, kind, status }) => ({ path, kind, status }))
      const text = [
        table(
          [{ title: 'NAME' }, { title: 'VALUE' }, { title: 'ORIGIN' }],
          values.map(({ name, value, origin }) => [name, String(value), origin]),
        ),
        '',
        ...files.map(({ path, status }) => `${escapeLine(path)}: ${status}`),
      ].join('\n')
      return { result: { values, files }, text }
    }),
  )
}
