import type { App } from './app.ts'
import type { Command } from './commander.ts'
import { describe } from './describe.ts'
import { escapeLine } from './escape.ts'
import { durationOf } from './retention-flags.ts'

/** `akidb audit anchor`: the log and a checkpoint over it, in a bucket. */
export const defineAnchor = (command: Command, app: App): void => {
  describe(command, {
    summary: 'seal the log in a bucket',
    examples: [
      ['akidb audit anchor s3://evidence/site-a --retain 7y', 'its entries and a checkpoint'],
    ],
    details: [
      'A push does so too. Whoever cuts or rewrites the log here later is found out there:',
      'akidb audit verify s3://… compares the two.',
    ].join('\n'),
    exits: [21, 23, 24, 25],
  })
  command.argument('<s3 url>', 's3://bucket/prefix')
  command.option('--retain <duration>', 'lock it for so long, under COMPLIANCE: 90d, 7y')
  command.action((url: string, flags: { readonly retain?: string }) =>
    app.run(command, async (context) => {
      const { retain } = flags
      const wish =
        retain === undefined
          ? {}
          : { retain: { mode: 'COMPLIANCE' as const, forMs: durationOf(retain) } }
      const engine = await context.engine()
      const s3 = context.s3Access()
      const result = await engine.auditAnchor({
        ...{ ...context.storeRequest(), target: url, s3 },
        ...wish,
      })
      const until = result.until === null ? 'not locked' : `locked until ${result.until}`
      const text = `anchored ${result.size} entries in ${escapeLine(url)}, ${until}`
      return { result, text, work: true }
    }),
  )
}
