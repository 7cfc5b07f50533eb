import { AkidbError } from '../../errors/errors.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { escapeLine } from '../escape.ts'

/** `akidb doctor`: one line a check, with the fix. */
export const defineDoctor = (command: Command, app: App): void => {
  describe(command, {
    summary: 'look for trouble, changing nothing',
    examples: [
      ['akidb doctor', 'check runtime, folders, disk, keys, locks and audit log'],
      ['akidb doctor --target s3://evidence/site-a', 'whether a bucket can seal'],
      ['akidb doctor --json', 'the same for a monitoring system'],
    ],
    exits: [20],
  })
  command.option('--target <s3 url>', 'look at this bucket, not at the store')
  command.action((flags: { readonly target?: string }) =>
    app.run(command, async (context) => {
      const { session } = context
      const engine = await context.engine()
      const { target } = flags
      const result =
        target === undefined
          ? await engine.doctor(context.storeRequest())
          : await engine.doctorTarget({ target, s3: context.s3Access(), signal: context.signal })
      const lines = result.checks.map(({ name, status, message, fix }) => {
        const colour = { ok: 'green', warn: 'yellow', fail: 'red' } as const
        const mark = session.paint(colour[status], status.padEnd(4))
        const advice = fix === '' ? '' : `\n      fix: ${escapeLine(fix)}`
        return `${mark}  ${escapeLine(name)}: ${escapeLine(message)}${advice}`
      })
      const failed = result.checks.filter(({ status }) => status === 'fail').length
      const failure = new AkidbError(
        'PARTIAL',
        `${failed} of ${result.checks.length} checks failed`,
      )
      return { result, text: lines.join('\n'), failure: result.ok ? undefined : failure }
    }),
  )
}
