import { AkidbError } from '../../errors/errors.ts'
import type { WarmResult } from '../../index.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { humanBytes, humanDuration, plural } from '../human.ts'

interface WarmFlags {
  readonly all?: true
  readonly asOf?: string
  readonly pin?: true
  readonly unpin?: true
  readonly dryRun?: true
}

/** `akidb warm`: the disk cache of a store in a bucket, before anybody searches. */
export const defineWarm = (command: Command, app: App): void => {
  describe(command, {
    summary: "bring a bucket's index near",
    examples: [
      ['akidb --store s3://evidence/site-a warm docs', 'what searches of docs need'],
      ['akidb --store s3://evidence/site-a warm docs --pin', 'the same, and it stays'],
      ['akidb --store s3://evidence/site-a warm --all -n', 'how many bytes all of it would be'],
    ],
    exits: [21, 23, 24, 25, 27],
  })
  command.argument('[collection]', 'its name; default: every collection')
  command.option('--all', 'vectors and payload too')
  command.option('--as-of <state>', 'version, label, state root, or time')
  command.option('--pin', 'keep it in the cache, whatever else is read')
  command.option('--unpin', 'let it go again when room is needed')
  command.option('-n, --dry-run', 'say how many bytes would come')
  command.action((name: string | undefined, flags: WarmFlags) =>
    app.run(command, (context) => {
      if (flags.pin === true && flags.unpin === true) {
        throw new AkidbError('USAGE', '--pin and --unpin contradict each other')
      }
      return context.withStore('read', async (store, engine) => {
        const { pin, unpin, ...rest } = flags
        const chosen = pin === true ? 'pin' : unpin === true ? 'unpin' : undefined
        const result = await context.progress(`warm ${name ?? 'all'}`, (onProgress) =>
          engine.warmCollections(store, {
            ...rest,
            ...(name === undefined ? {} : { collection: name }),
            ...(chosen === undefined ? {} : { pin: chosen }),
            onProgress,
            signal: context.signal,
          }),
        )
        return { result, text: textOf(result, flags), work: flags.dryRun !== true }
      })
    }),
  )
}

const textOf = (result: WarmResult, { unpin, dryRun }: WarmFlags): string => {
  const { collections, bytes, moved, elapsedMs } = result
  const names = collections.map(({ collection }) => collection).join(', ')
  if (unpin === true) return `${names === '' ? 'everything' : names}: no longer pinned`
  if (dryRun === true) return `would bring ${humanBytes(moved)} of ${humanBytes(bytes)}`
  const pinned = collections.filter((one) => one.pinned).length
  const kept = pinned === 0 ? '' : `, ${plural(pinned, 'collection')} pinned`
  const time = humanDuration(elapsedMs)
  return `${humanBytes(bytes)} are near, ${humanBytes(moved)} came in ${time}${kept}`
}
