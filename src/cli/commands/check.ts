import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { escapeLine } from '../escape.ts'
import { humanBytes, plural } from '../human.ts'
import { problemFailure } from '../problems.ts'

interface CheckFlags {
  readonly readData?: true
}

/** `akidb check`: the store's fsck; changes nothing. */
export const defineCheck = (command: Command, app: App): void => {
  describe(command, {
    summary: 'check the bytes of the store',
    examples: [
      ['akidb check', 'check manifests, names, sizes and the audit log'],
      ['akidb check --read-data', 'read every byte and compare every digest'],
    ],
    details: 'Changes nothing. What it finds, `akidb repair` mends where it can.',
    exits: [21, 24, 26],
  })
  command.option('--read-data', 'read and check every byte')
  command.action((flags: CheckFlags) =>
    app.run(command, (context) =>
      context.withStore('read', async (store) => {
        const result = await context.progress('check', (onProgress) =>
          store.check({ readData: flags.readData === true, onProgress, signal: context.signal }),
        )
        const lines = result.problems.map(
          ({ code, key, message }) => `${code}  ${escapeLine(key)}: ${escapeLine(message)}`,
        )
        const total = `${plural(result.blobs, 'blob')}, ${humanBytes(result.bytes)}`
        lines.push(result.ok ? `ok: ${total}` : `${plural(lines.length, 'problem')} in ${total}`)
        const failure = result.ok ? undefined : problemFailure('the store', result.problems)
        return { result, text: lines.join('\n'), work: true, failure }
      }),
    ),
  )
}
