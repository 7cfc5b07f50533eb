import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { escapeLine } from '../escape.ts'
import { table } from '../table.ts'

const MASK = '********'

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
        value: secret ? MASK : raw,
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
