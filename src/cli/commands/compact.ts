import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { plural } from '../human.ts'

/** `akidb compact`: merges segments and leaves hidden rows behind. */
export const defineCompact = (command: Command, app: App): void => {
  describe(command, {
    summary: 'merge the segments of a collection',
    examples: [['akidb compact docs', 'merge, and leave deleted rows behind']],
    exits: [21, 22, 23, 24, 27],
  })
  command.argument('<collection>', 'its name')
  command.action((name: string) =>
    app.run(command, (context) =>
      context.withStore('write', async (store) => {
        const collection = await store.collection(name)
        const result = await context.progress(`compact ${name}`, (onProgress) =>
          collection.compact({ onProgress, signal: context.signal }),
        )
        const { before, after, rows } = result
        const text = `${name}: ${plural(before, 'segment')} became ${after}, ${plural(rows, 'row')}`
        return { result: { collection: name, ...result }, text, work: true }
      }),
    ),
  )
}
