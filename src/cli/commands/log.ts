import type { LogEntry } from '../../index.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { shortDigest } from '../human.ts'
import { counted } from '../option-kinds.ts'
import { table } from '../table.ts'

/** Versions that one call lists unless --limit says otherwise. */
const ENTRIES_DEFAULT = 1_000

/** `akidb log`: the history of a collection, newest first. */
export const defineLog = (command: Command, app: App): void => {
  describe(command, {
    summary: 'show the history of a collection',
    examples: [
      ['akidb log docs', 'who did what when, newest first'],
      ['akidb log docs --limit 5 --json', 'the last five as JSON'],
    ],
    exits: [21, 24],
  })
  command.argument('<collection>', 'its name')
  command.addOption(
    counted('--limit <n>', 'versions at most (default: 1000)', { min: 1, max: 1e6 }),
  )
  command.action((name: string, flags: { readonly limit?: number }) =>
    app.run(command, (context) =>
      context.withStore('read', async (store) => {
        const collection = await store.collection(name)
        const entries: LogEntry[] = []
        const limit = flags.limit ?? ENTRIES_DEFAULT
        for await (const entry of collection.log({ limit })) {
          if (entries.push(entry) >= limit) break
        }
        return { result: { collection: name, entries }, text: logText(entries) }
      }),
    ),
  )
}

const logText = (entries: readonly LogEntry[]): string =>
  table(
    [
      { title: 'VERSION', align: 'right' },
      { title: 'COMMITTED' },
      { title: 'ACT' },
      { title: 'ACTOR' },
      { title: '+', align: 'right' },
      { title: '-', align: 'right' },
      { title: '~', align: 'right' },
      { title: 'STATE' },
      { title: 'LABELS' },
      { title: 'SOURCE' },
    ],
    entries.map((entry) => [
      String(entry.version),
      entry.committedAt,
      entry.act,
      entry.actor,
      String(entry.inserted),
      String(entry.deleted),
      String(entry.updated),
      shortDigest(entry.stateRoot),
      entry.labels.join(' '),
      entry.source ?? '',
    ]),
  )
