import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { fields } from '../table.ts'

/** `akidb version`: versions of akidb, its parts, and the formats that it reads and writes. */
export const defineVersion = (command: Command, app: App): void => {
  describe(command, {
    summary: 'print versions and formats',
    examples: [
      ['akidb version', 'akidb, Node, engine, zstd, formats'],
      ['akidb --version', 'the number alone'],
    ],
    exits: [],
  })
  command.action(() =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const result = await engine.versionInfo()
      const text = fields([
        ['akidb', result.akidb],
        ['node', result.node],
        ['engine', result.engine],
        ['zstd', result.zstd],
        ['reads', result.formats.read.join(', ')],
        ['writes', result.formats.write.join(', ')],
      ])
      return { result, text }
    }),
  )
}
