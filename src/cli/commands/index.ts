import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { humanBytes, humanCount, humanDuration, plural } from '../human.ts'
import { indexParameters } from '../index-parameters.ts'
import { counted, limited } from '../option-kinds.ts'
import { table } from '../table.ts'

/** `akidb index build|status|recall`. */
export const defineIndex = (command: Command, app: App): void => {
  describe(command, {
    summary: 'build and measure the index',
    examples: [
      ['akidb index build docs', 'build what has no index yet'],
      ['akidb index recall docs', 'compare with exact search'],
    ],
    exits: [21, 22, 24, 26, 27],
  })
  defineBuild(command.command('build'), app)
  defineStatus(command.command('status'), app)
  defineRecall(command.command('recall'), app)
}

const defineBuild = (command: Command, app: App): void => {
  describe(command, {
    summary: 'build the index of a collection',
    examples: [
      ['akidb index build docs', 'build what has no index yet'],
      ['akidb index build docs --m 32 --again', 'build all of it anew with more links'],
      ['akidb index build docs --quantization binary', 'an eighth of the memory for codes'],
    ],
    exits: [21, 22, 23, 24, 27],
  })
  command.argument('<collection>', 'its name')
  command.option('--type <type>', 'hnsw, flat or hnswlib (default: as it is, hnsw at first)')
  command.option('--m <n>', 'links a record (default: as it is, 16 at first)')
  command.option('--ef-construction <n>', 'candidates kept while building (default: as it is, 200)')
  command.option('--quantization <form>', 'codes: int8, binary or pq (default: as it is, int8)')
  command.option('--again', 'build all of it anew')
  command.action((name: string, flags: { readonly again?: true }) =>
    app.run(command, (context) =>
      context.withStore('write', async (store) => {
        const collection = await store.collection(name)
        const result = await context.progress(`index build ${name}`, (onProgress) =>
          collection.buildIndex({
            index: indexParameters(context.settings),
            again: flags.again === true,
            onProgress,
            signal: context.signal,
          }),
        )
        const took = humanDuration(result.elapsedMs)
        const text =
          result.segments === 0
            ? `${name}: nothing to build; --again builds all of it anew`
            : `${name}: built ${plural(result.segments, 'segment')} in ${took}`
        return { result: { collection: name, ...result }, text, work: true }
      }),
    ),
  )
}

const defineStatus = (command: Command, app: App): void => {
  describe(command, {
    summary: 'show the index of a collection',
    examples: [['akidb index status docs', 'one line a segment']],
    exits: [21, 24],
  })
  command.argument('<collection>', 'its name')
  command.action((name: string) =>
    app.run(command, (context) =>
      context.withStore('read', async (store) => {
        const collection = await store.collection(name)
        const segments = await collection.indexStatus()
        const text = table(
          [
            { title: 'ROWS', align: 'right' },
            { title: 'TYPE' },
            { title: 'GRAPH' },
            { title: 'M', align: 'right' },
            { title: 'EF', align: 'right' },
            { title: 'CODES' },
            { title: 'RECALL', align: 'right' },
            { title: 'SIZE', align: 'right' },
          ],
          segments.map(
            ({ rows, type, graph, m, efConstruction, quantization, measured, bytes }) => [
              humanCount(rows),
              type,
              graph ? 'yes' : 'no',
              String(m),
              String(efConstruction),
              quantization,
              measured === undefined ? '–' : measured.recall.toFixed(3),
              humanBytes(bytes),
            ],
          ),
        )
        return { result: { collection: name, segments }, text }
      }),
    ),
  )
}

interface RecallFlags {
  readonly k?: number
  readonly ef?: number
  readonly samples?: number
}

const defineRecall = (command: Command, app: App): void => {
  describe(command, {
    summary: 'measure recall against exact search',
    examples: [['akidb index recall docs -k 10 --ef 64', 'how many of the true ten are found']],
    exits: [21, 24, 26],
  })
  command.argument('<collection>', 'its name')
  command.addOption(limited('-k <n>', 'results (default: 10)', 'searchCountMax'))
  command.addOption(limited('--ef <n>', 'candidates of the walk', 'searchEfMax'))
  command.addOption(
    counted('--samples <n>', 'stored vectors to ask with', { min: 1, max: 100_000 }),
  )
  command.action((name: string, flags: RecallFlags) =>
    app.run(command, (context) =>
      context.withStore('read', async (store) => {
        const collection = await store.collection(name)
        const result = await context.progress(`index recall ${name}`, () =>
          collection.recall(flags),
        )
        const { recall, k, ef, samples } = result
        const text = `${name}: recall@${k} ${recall.toFixed(4)} at ef ${ef}, ${samples} queries`
        return { result: { collection: name, ...result }, text }
      }),
    ),
  )
}
