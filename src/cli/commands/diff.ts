import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { escapeLine } from '../escape.ts'
import { counted } from '../option-kinds.ts'

const MARKS = { inserted: '+', deleted: '-', updated: '~' } as const

/** `akidb diff`: which records two states differ in. */
export const defineDiff = (command: Command, app: App): void => {
  describe(command, {
    summary: 'compare two states',
    examples: [
      ['akidb diff docs 4 5', 'compare two versions'],
      ['akidb diff docs friday 2026-07-01T12:00:00Z --limit 20', 'a snapshot with a time'],
    ],
    details: 'A state is a version, a label, a state root (64 hex digits), or a time with a zone.',
    exits: [21, 24, 26],
  })
  command.argument('<collection>', 'its name')
  command.argument('<a>', 'from this state').argument('<b>', 'to this state')
  const range = { min: 0, max: 1_000_000 }
  command.addOption(
    counted('--limit <n>', 'changed ids to list (default: 100)', range).default(100),
  )
  command.action((name: string, a: string, b: string, flags: { readonly limit: number }) =>
    app.run(command, (context) =>
      context.withStore('read', async (store) => {
        const collection = await store.collection(name)
        const result = await collection.diff(a, b, flags)
        const { inserted, deleted, updated, changes } = result
        const lines = changes.map(({ id, change }) => `${MARKS[change]} ${escapeLine(id)}`)
        const more = inserted + deleted + updated - changes.length
        if (more > 0) lines.push(`… and ${more} more (see --limit)`)
        lines.push(`${inserted} inserted, ${deleted} deleted, ${updated} updated`)
        return { result: { collection: name, ...result }, text: lines.join('\n') }
      }),
    ),
  )
}
