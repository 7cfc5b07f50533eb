import { limits } from '../../core/limits.ts'
import { METRICS, type Metric } from '../../core/metric.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { chosen, counted, repeated } from '../option-kinds.ts'

interface CreateFlags {
  readonly dimension?: number
  readonly metric?: Metric
  readonly textColumn?: readonly string[]
}

/** `akidb create`: an empty collection. */
export const defineCreate = (command: Command, app: App): void => {
  describe(command, {
    summary: 'make an empty collection',
    examples: [
      ['akidb create docs --dimension 768', 'vectors of 768 components, by cosine'],
      ['akidb create notes --text-column body', 'text only, no vectors'],
    ],
    details: 'ingest makes a collection by itself; this is for those that start empty.',
    exits: [21, 22, 23, 24, 27],
  })
  command.argument('<collection>', 'its name')
  const range = { min: 1, max: limits.dimensionMax, limit: 'dimensionMax' }
  command.addOption(counted('--dimension <n>', 'components of a vector; none: text only', range))
  command.addOption(chosen('--metric <metric>', 'how nearness is measured', METRICS))
  command.addOption(repeated('--text-column <column>', 'payload field to search by words'))
  command.action((name: string, flags: CreateFlags) =>
    app.run(command, async (context) => {
      if (flags.metric !== undefined && flags.dimension === undefined) {
        throw new AkidbError('USAGE', '--metric needs --dimension')
      }
      return context.withStore('write', async (store) => {
        const collection = await store.createCollection(name, {
          ...(flags.dimension === undefined ? {} : { dimension: flags.dimension }),
          ...(flags.metric === undefined ? {} : { metric: flags.metric }),
          ...(flags.textColumn === undefined ? {} : { textFields: flags.textColumn }),
        })
        const result = await collection.info()
        const shape =
          result.dimension === null ? 'text only' : `${result.dimension}-d, ${result.metric}`
        return { result, text: `made the collection ${name} (${shape})`, work: true }
      })
    }),
  )
}
