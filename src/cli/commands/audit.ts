import { AkidbError } from '../../errors/errors.ts'
import type { App } from '../app.ts'
import { defineAnchor } from '../audit-anchor.ts'
import { entryText } from '../audit-entry-text.ts'
import { defineCheckpoint, defineProve } from '../audit-proofs.ts'
import type { Command } from '../commander.ts'
import { keysStore } from '../context.ts'
import { describe } from '../describe.ts'
import type { LogVerification } from '../engine.ts'
import { escapeLine } from '../escape.ts'
import { plural } from '../human.ts'
import { kesOptions, namedKes } from '../kes-options.ts'
import { repeated } from '../option-kinds.ts'
import { problemFailure } from '../problems.ts'
import { parseTimeMs } from '../values.ts'
import { wormRead } from '../worm-reads.ts'

/** `akidb audit log|verify|checkpoint|prove|anchor`. */
export const defineAudit = (command: Command, app: App): void => {
  describe(command, {
    summary: 'read, verify and prove the audit log',
    examples: [
      ['akidb audit log --collection docs', 'who did what'],
      ['akidb audit verify', 'nothing was cut, changed or put in another order'],
      ['akidb audit prove 17 -o entry-17.proof', 'prove one entry to somebody else'],
    ],
    exits: [21, 23, 24],
  })
  defineLog(command.command('log'), app)
  defineVerify(command.command('verify'), app)
  defineCheckpoint(command.command('checkpoint'), app)
  defineProve(command.command('prove'), app)
  defineAnchor(command.command('anchor'), app)
}

interface LogFlags {
  readonly since?: string
  readonly until?: string
  readonly act?: string
  readonly collection?: string
  readonly actor?: string
}

const defineLog = (command: Command, app: App): void => {
  describe(command, {
    summary: 'print entries, oldest first',
    examples: [
      ['akidb audit log', 'all of them'],
      ['akidb audit log --act ingest --since 2026-07-01T00:00:00Z', 'ingests of July and later'],
      ['akidb audit log --json', 'one entry a line'],
    ],
    exits: [21, 24],
  })
  command.option('--since <time>', 'from then on (ISO 8601 with a zone)')
  command.option('--until <time>', 'before then')
  command.option('--act <act>', 'only this act: ingest, delete, export, …')
  command.option('--collection <name>', 'only this collection')
  command.option('--actor <user>', 'only this user')
  command.action((flags: LogFlags) =>
    app.run(command, async (context) => {
      const { since, until, act, collection, actor } = flags
      const request = {
        ...context.storeRequest(),
        ...(since === undefined ? {} : { sinceMs: parseTimeMs(since, '--since') }),
        ...(until === undefined ? {} : { untilMs: parseTimeMs(until, '--until') }),
        ...(act === undefined ? {} : { act }),
        ...(collection === undefined ? {} : { collection }),
        ...(actor === undefined ? {} : { actor }),
      }
      const engine = await context.engine()
      for await (const entry of engine.auditLog(request)) {
        if (context.session.out.closed) break
        await context.item(entry, entryText(entry))
      }
      return undefined
    }),
  )
}

interface VerifyFlags {
  readonly proof?: string
  readonly key?: readonly string[]
}

const defineVerify = (command: Command, app: App): void => {
  describe(command, {
    summary: 'check the log, or a proof',
    examples: [
      ['akidb audit verify', 'the log of the store'],
      ['akidb audit verify /media/store/audit --key log.pem', 'a folder; needs no store'],
      ['akidb audit verify s3://evidence/site-a', 'the log in a bucket, and ours against it'],
      ['akidb audit verify --proof entry-17.proof --key log.pem', 'one entry'],
    ],
    details: 'Cuts and changes nothing. A torn entry beyond every checkpoint is a warning.',
    exits: [21, 23, 24, 25],
  })
  command.argument('[folder|bundle|s3 url]', 'a log elsewhere')
  command.option('--proof <file>', 'a proof of one entry')
  command.addOption(repeated('--key <file>', 'trust the public key in this PEM file; repeats'))
  kesOptions(command)
  command.action((given: string | undefined, flags: VerifyFlags) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const store = context.storeRequest().url
      const ofStore = /^s3:\/\//i.test(store) && flags.proof === undefined ? store : undefined
      const target = given ?? ofStore
      if (target !== undefined && /^s3:\/\//i.test(target)) {
        if (flags.proof !== undefined) {
          throw new AkidbError('USAGE', '--proof proves one entry, of no log in a bucket', {
            hint: 'Leave the address away.',
          })
        }
        const result = await engine.wormVerifyAudit(wormRead(context, target, flags.key))
        return { result, text: verifyText(result), failure: failureOf(result) }
      }
      const result = await context.progress('audit verify', (onProgress) =>
        engine.verifyAudit({
          store: keysStore(context),
          keyFiles: flags.key ?? [],
          onProgress,
          signal: context.signal,
          ...(target === undefined ? {} : { target }),
          ...(flags.proof === undefined ? {} : { proofFile: flags.proof }),
          ...namedKes(context),
        }),
      )
      return { result, text: verifyText(result), failure: failureOf(result) }
    }),
  )
}

const failureOf = ({ ok, problems }: LogVerification): AkidbError | undefined =>
  ok ? undefined : problemFailure('the audit log', problems, 'AUDIT_BROKEN')

const verifyText = (result: LogVerification): string => {
  const lines = result.problems.map(
    ({ code, seq, message }) =>
      `${code}  ${seq === null ? '' : `entry ${seq}: `}${escapeLine(message)}`,
  )
  const { entries, root } = result
  const counts = `${entries} entries, ${plural(result.checkpoints, 'checkpoint')}, root ${root}`
  lines.push(`${result.ok ? 'ok' : plural(result.problems.length, 'problem')}: ${counts}`)
  return lines.join('\n')
}
