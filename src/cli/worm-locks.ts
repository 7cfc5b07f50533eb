import { AkidbError } from '../errors/errors.ts'
import type { LockResult, RetentionWish } from '../index.ts'
import type { App } from './app.ts'
import type { Command } from './commander.ts'
import type { Context } from './context.ts'
import { describe } from './describe.ts'
import { plural } from './human.ts'
import { dryRun } from './option-kinds.ts'
import { addRetention, type RetentionFlags, retentionOf } from './retention-flags.ts'

interface LockFlags extends RetentionFlags {
  readonly snapshot?: string
  readonly dryRun?: true
}

/** `akidb worm extend`: retention grows. */
export const defineExtend = (command: Command, app: App): void => {
  describe(command, {
    summary: 'lock what is sealed for longer',
    examples: [
      ['akidb worm extend s3://evidence/site-a --retain 10y --mode COMPLIANCE', 'all of it'],
    ],
    details: 'Counted from today, up to the first of a month. What is locked for longer stays so.',
    exits: [21, 23, 24, 25],
  })
  addArguments(command)
  addRetention(command)
  command.addOption(dryRun('extended'))
  command.action((url: string, collections: string[], flags: LockFlags) =>
    app.run(command, async (context) => {
      const retain = retentionOf(flags)
      if (retain === undefined) {
        throw new AkidbError('USAGE', 'worm extend needs --retain and --mode')
      }
      return await change(context, { url, collections, flags, act: 'extend', retain })
    }),
  )
}

/** `akidb worm hold`: a legal hold, until it is released. */
export const defineHold = (command: Command, app: App): void => {
  describe(command, {
    summary: 'put a legal hold on what is sealed',
    examples: [
      ['akidb worm hold s3://evidence/site-a docs --snapshot friday', 'one state, all its objects'],
    ],
    details: 'Nobody can delete it while it is held, whether or not its retention has ended.',
    exits: [21, 23, 24, 25],
  })
  addArguments(command)
  command.addOption(dryRun('held'))
  command.action((url: string, collections: string[], flags: LockFlags) =>
    app.run(command, async (context) => change(context, { url, collections, flags, act: 'hold' })),
  )
}

/** `akidb worm release`: ends a legal hold. */
export const defineRelease = (command: Command, app: App): void => {
  describe(command, {
    summary: 'release a legal hold',
    examples: [
      ['akidb worm release s3://evidence/site-a docs --snapshot friday', 'retention stays'],
    ],
    details: 'What another state holds too stays held.',
    exits: [21, 23, 24, 25],
  })
  addArguments(command)
  command.addOption(dryRun('released'))
  command.action((url: string, collections: string[], flags: LockFlags) =>
    app.run(command, async (context) =>
      change(context, { url, collections, flags, act: 'release' }),
    ),
  )
}

function addArguments(command: Command): void {
  command.argument('<s3 url>', 's3://bucket/prefix')
  command.argument('[collections...]', 'names (default: all)')
  command.option('--snapshot <label>', 'only the state of this snapshot')
}

interface Change {
  readonly url: string
  readonly collections: readonly string[]
  readonly flags: LockFlags
  readonly act: LockResult['act']
  readonly retain?: RetentionWish
}

async function change(
  context: Context,
  { url, collections, flags, act, retain }: Change,
): Promise<{ result: object; text: string; work: true }> {
  const engine = await context.engine()
  const result = await context.progress(`worm ${act}`, (onProgress) =>
    engine.wormLock({
      ...context.storeRequest(),
      target: url,
      s3: context.s3Access(),
      act,
      dryRun: flags.dryRun === true,
      onProgress,
      ...(retain === undefined ? {} : { retain }),
      ...(collections.length === 0 ? {} : { collections }),
      ...(flags.snapshot === undefined ? {} : { snapshot: flags.snapshot }),
    }),
  )
  const dry = flags.dryRun === true
  const text = changeText(result, dry)
  return { result: { ...result, ...(dry ? { dryRun: true } : {}) }, text, work: true }
}

const DONE = { extend: 'extended', hold: 'held', release: 'released' } as const

const changeText = ({ act, objects, states, until, mode }: LockResult, dry: boolean): string => {
  const lines = states.map(({ collection, version, labels }) => {
    const named = labels.length === 0 ? '' : ` (${labels.join(', ')})`
    return `${collection}: version ${version}${named}`
  })
  const would = dry ? 'would be ' : ''
  // What was left as it was is held longer already, or as long.
  const later = objects.kept > 0 ? ' or later' : ''
  const end = until === null ? '' : `, ${mode} until ${until.slice(0, 10)}${later}`
  lines.push(
    `${plural(objects.changed, 'object')} ${would}${DONE[act]}, ${objects.kept} as they were${end}`,
  )
  return lines.join('\n')
}
