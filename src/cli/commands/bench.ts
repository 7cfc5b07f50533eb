import { limits } from '../../core/limits.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { counted } from '../option-kinds.ts'
import { table } from '../table.ts'

interface BenchFlags {
  readonly rows: number
  readonly dimension: number
  readonly queries: number
  readonly folder?: string
}

/** `akidb bench`: how fast this machine ingests, indexes and searches made-up vectors. */
export const defineBench = (command: Command, app: App): void => {
  describe(command, {
    summary: 'measure this machine',
    examples: [
      ['akidb bench', 'ingest, index and search made-up vectors in a temporary store'],
      ['akidb bench --rows 100000 --dimension 384', 'other sizes'],
    ],
    details: 'Touches no store of yours; what it makes is removed.',
    exits: [27],
  })
  const size = { min: 1, max: 10_000_000 }
  const dimension = { min: 1, max: limits.dimensionMax }
  command.addOption(counted('--rows <n>', 'vectors (default: 10000)', size).default(10_000))
  command.addOption(
    counted('--dimension <n>', 'components of each (default: 256)', dimension).default(256),
  )
  command.addOption(counted('--queries <n>', 'searches (default: 200)', size).default(200))
  command.option('--folder <folder>', 'where the temporary store lies')
  command.action((flags: BenchFlags) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const { rows, queries, folder } = flags
      const threads = context.settings.number('threads')
      const result = await context.progress('bench', (onProgress) =>
        engine.bench({
          rows,
          dimension: flags.dimension,
          queries,
          onProgress,
          signal: context.signal,
          ...(folder === undefined ? {} : { folder }),
          ...(threads === undefined ? {} : { threads }),
        }),
      )
      const text = table(
        [{ title: 'WHAT' }, { title: 'VALUE', align: 'right' }, { title: 'UNIT' }],
        result.measurements.map(({ name, value, unit }) => [name, String(value), unit]),
      )
      return { result, text }
    }),
  )
}
