import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { humanBytes, humanCount, shortDigest } from '../human.ts'
import { table } from '../table.ts'

interface ListFlags {
  readonly replays?: true
}

/** `akidb list`: the collections of the store. */
export const defineList = (command: Command, app: App): void => {
  describe(command, {
    summary: 'list collections',
    examples: [
      ['akidb list', 'list the collections'],
      ['akidb list --replays', 'list the states opened by replay'],
    ],
    exits: [21, 24, 26],
  })
  command.option('--replays', 'list replayed states instead')
  command.action((flags: ListFlags) =>
    app.run(command, (context) =>
      context.withStore('read', async (store) => {
        const collections = await store.list({ replays: flags.replays === true })
        const text = table(
          [
            { title: 'COLLECTION' },
            { title: 'RECORDS', align: 'right' },
            { title: 'DIMENSION', align: 'right' },
            { title: 'METRIC' },
            { title: 'VERSION', align: 'right' },
            { title: 'SIZE', align: 'right' },
            { title: 'STATE' },
          ],
          collections.map((info) => [
            info.collection,
            humanCount(info.count),
            info.dimension === null ? '-' : String(info.dimension),
            info.metric ?? '-',
            String(info.manifestVersion),
            humanBytes(info.bytes),
            shortDigest(info.stateRoot),
          ]),
        )
        return { result: { collections }, text }
      }),
    ),
  )
}
