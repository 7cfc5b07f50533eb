import { METRICS, type Metric } from '../../core/metric.ts'
import { VECTOR_STORAGES, type VectorStorage } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { indexParameters } from '../index-parameters.ts'
import { chosen, limited, repeated } from '../option-kinds.ts'

interface CreateFlags {
  readonly dimension?: number
  readonly metric?: Metric
  readonly storage?: VectorStorage
  readonly textColumn?: readonly string[]
  readonly textPositions?: true
  readonly sparseColumn?: readonly string[]
  readonly quantization?: string
}

/** `akidb create`: an empty collection. */
export const defineCreate = (command: Command, app: App): void => {
  describe(command, {
    summary: 'make an empty collection',
    examples: [
      ['akidb create docs --dimension 768', 'vectors of 768 components, by cosine'],
      ['akidb create notes --text-column body', 'text only, no vectors'],
      ['akidb create notes --text-column body --text-positions', 'phrases are found faster'],
      ['akidb create docs --dimension 768 --quantization binary', 'small codes in memory'],
    ],
    details: 'ingest makes a collection by itself; this is for those that start empty.',
    exits: [21, 22, 23, 24, 27],
  })
  command.argument('<collection>', 'its name')
  command.addOption(
    limited('--dimension <n>', 'components of a vector; none: text only', 'dimensionMax'),
  )
  command.addOption(chosen('--metric <metric>', 'how nearness is measured', METRICS))
  command.addOption(chosen('--storage <form>', 'of vectors instead of f32', VECTOR_STORAGES))
  command.addOption(repeated('--text-column <column>', 'payload field to search by words'))
  command.option('--text-positions', 'store where words stand: for phrases')
  command.addOption(repeated('--sparse-column <column>', 'payload field with sparse vectors'))
  command.option('--quantization <form>', 'codes: int8, binary or pq (default: int8)')
  command.action((name: string, flags: CreateFlags) =>
    app.run(command, async (context) => {
      checkCompanions(flags)
      if (flags.storage !== undefined && flags.dimension === undefined) {
        throw new AkidbError('USAGE', '--storage needs --dimension')
      }
      return context.withStore('write', async (store) => {
        const collection = await store.createCollection(name, {
          ...(flags.dimension === undefined ? {} : { dimension: flags.dimension }),
          ...(flags.metric === undefined ? {} : { metric: flags.metric }),
          ...(flags.storage === undefined ? {} : { storage: flags.storage }),
          ...(flags.textColumn === undefined ? {} : { textFields: flags.textColumn }),
          ...(flags.textPositions === undefined ? {} : { textPositions: true }),
          ...(flags.sparseColumn === undefined ? {} : { sparseFields: flags.sparseColumn }),
          index: indexParameters(context.settings),
        })
        const result = await collection.info()
        const shape =
          result.dimension === null
            ? `${flags.sparseColumn === undefined ? 'text' : 'text and sparse vectors'} only`
            : `${result.dimension}-d, ${result.metric}`
        return { result, text: `made the collection ${name} (${shape})`, work: true }
      })
    }),
  )
}

/** @throws USAGE where an option lacks the one that gives it a meaning */
const checkCompanions = (flags: CreateFlags): void => {
  const missing =
    flags.dimension === undefined && flags.metric !== undefined
      ? '--metric needs --dimension'
      : flags.dimension === undefined && flags.quantization !== undefined
        ? '--quantization needs --dimension'
        : flags.textColumn === undefined && flags.textPositions
          ? '--text-positions needs --text-column'
          : undefined
  if (missing !== undefined) throw new AkidbError('USAGE', missing)
}
