import { AkidbError } from '../../errors/errors.ts'
import type { DoctorResult, RuleChange } from '../../index.ts'
import type { App } from '../app.ts'
import { readBucketRules, readReplicaCredentials } from '../bucket-rules.ts'
import type { Command } from '../commander.ts'
import type { Context } from '../context.ts'
import { describe } from '../describe.ts'
import { escapeLine } from '../escape.ts'
import { dryRun, repeated } from '../option-kinds.ts'
import type { Session } from '../session.ts'

interface Flags {
  readonly target?: string
  readonly setUp?: readonly string[]
  readonly replicaCredentials?: string
  readonly dryRun?: true
}

/** `akidb doctor`: one line a check, with the fix. */
export const defineDoctor = (command: Command, app: App): void => {
  describe(command, {
    summary: 'look for trouble, changing nothing but what --set-up names',
    examples: [
      ['akidb doctor', 'check runtime, folders, disk, keys, locks and audit log'],
      ['akidb doctor --target s3://evidence/site-a', 'whether a bucket can seal'],
      ['akidb doctor --target s3://evidence --set-up rules.json', 'set rules, then look'],
      ['akidb doctor --json', 'the same for a monitoring system'],
    ],
    details:
      'Rules for the lifecycle of a bucket and for its replication are JSON, as in\n' +
      'templates/s3/lifecycle.json and replication.json. Each takes the place of the one of the\n' +
      "same ID; the bucket's others stay. Where a Destination is the address of a bucket,\n" +
      'https://host:port/bucket, the server, a MinIO, is told of it. The credentials for that\n' +
      'bucket are JSON too, in a file that nobody else can read:\n' +
      '{"accessKey":"…","secretKey":"…"}\n' +
      'Where --store is a store in a folder, its audit log tells of what was set.',
    exits: [20, 21, 22, 23, 25, 26, 27],
  })
  command.option('--target <s3 url>', 'look at this bucket, not at the store')
  command.addOption(repeated('--set-up <file>', 'first give the bucket the rules in this file'))
  command.option('--replica-credentials <file>', 'who writes the copies in the other bucket')
  command.addOption(dryRun('set up'))
  command.action((flags: Flags) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const { target } = flags
      if (target === undefined) {
        checkAlone(flags)
        return outcomeOf(context.session, await engine.doctor(context.storeRequest()))
      }
      const changes = await setUp(context, target, flags)
      const at = { target, s3: context.s3Access(), signal: context.signal }
      return outcomeOf(context.session, await engine.doctorTarget(at), changes)
    }),
  )
}

/** @throws USAGE for flags that are about a target, which is not there */
function checkAlone({ setUp = [], replicaCredentials, dryRun }: Flags): void {
  if (setUp.length === 0 && replicaCredentials === undefined && dryRun !== true) return
  throw new AkidbError('USAGE', '--set-up is for a bucket, and none was named', {
    hint: 'Give --target s3://bucket.',
  })
}

interface SetUp {
  readonly rules: readonly RuleChange[]
  readonly dryRun: boolean
}

async function setUp(context: Context, target: string, flags: Flags): Promise<SetUp | undefined> {
  const { setUp: files = [], replicaCredentials, dryRun = false } = flags
  if (files.length === 0) {
    if (replicaCredentials === undefined && !dryRun) return undefined
    throw new AkidbError('USAGE', 'nothing is to be set up', { hint: 'Give --set-up <file>.' })
  }
  const replica =
    replicaCredentials === undefined ? {} : await readReplicaCredentials(replicaCredentials)
  const rules = await readBucketRules(files)
  const at = { target, s3: context.s3Access(), signal: context.signal }
  const request = { ...at, ...replica, store: context.storeRequest(), rules, dryRun }
  const engine = await context.engine()
  return { rules: await engine.setUpTarget(request), dryRun }
}

function outcomeOf(session: Session, { ok, checks }: DoctorResult, changes?: SetUp) {
  const lines = checks.map(({ name, status, message, fix }) => {
    const colour = { ok: 'green', warn: 'yellow', fail: 'red' } as const
    const mark = session.paint(colour[status], status.padEnd(4))
    const advice = fix === '' ? '' : `\n      fix: ${escapeLine(fix)}`
    return `${mark}  ${escapeLine(name)}: ${escapeLine(message)}${advice}`
  })
  const set = (changes?.rules ?? []).map((rule) => changeText(rule, changes?.dryRun === true))
  const dry = changes?.dryRun === true ? { dryRun: true } : {}
  const rules = changes === undefined ? {} : { rules: changes.rules, ...dry }
  const failed = checks.filter(({ status }) => status === 'fail').length
  const failure = new AkidbError('PARTIAL', `${failed} of ${checks.length} checks failed`)
  return {
    result: { ok, checks, ...rules },
    text: [...set, ...lines].join('\n'),
    failure: ok ? undefined : failure,
  }
}

function changeText({ kind, id, change, enabled, prefix, to }: RuleChange, dry: boolean): string {
  const verbs = { added: dry ? 'would add' : 'added', changed: dry ? 'would change' : 'changed' }
  const verb = change === 'none' ? 'kept as it is' : verbs[change]
  const keys = prefix === '' ? 'all keys' : `keys below ${prefix}`
  const copies = to === undefined ? '' : `, to ${to}`
  const text = `${kind} rule "${id}" (${enabled ? 'on' : 'off'}, ${keys}${copies})`
  return `set   ${verb}: ${escapeLine(text)}`
}
