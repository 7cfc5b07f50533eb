import type { App } from './app.ts'
import type { Command } from './commander.ts'
import { describe } from './describe.ts'
import { escapeLine } from './escape.ts'
import { parseCount } from './values.ts'
import { writeNewFile } from './write-file.ts'

interface OutputFlags {
  readonly output?: string
  readonly force?: true
}

/** `akidb audit checkpoint`: signs the log's size and root. */
export const defineCheckpoint = (command: Command, app: App): void => {
  describe(command, {
    summary: 'sign the size and root of the log',
    examples: [
      ['akidb audit checkpoint', 'print it: a few lines, short enough for paper'],
      ['akidb audit checkpoint -o july.checkpoint', 'write it to a file'],
    ],
    details: 'Kept elsewhere, it shows later that nothing before it was cut or changed.',
    exits: [21, 22, 23, 24, 27],
  })
  command.option('-o, --output <file|->', 'write it there')
  command.option('--force', 'replace the file if it exists')
  command.action((flags: OutputFlags) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const result = await engine.auditCheckpoint(context.storeRequest())
      const { output } = flags
      if (output === undefined) return { result, text: result.note }
      if (output === '-') {
        await context.session.out.write(result.note)
        return { result, text: '', toStderr: true }
      }
      await writeNewFile(output, result.note, flags.force === true)
      const text = `wrote the checkpoint at ${result.size} entries to ${escapeLine(output)}`
      return { result: { ...result, path: output }, text, work: true }
    }),
  )
}

/** `akidb audit prove`: a file that proves one entry, by log₂ n hashes. */
export const defineProve = (command: Command, app: App): void => {
  describe(command, {
    summary: 'prove one entry',
    examples: [['akidb audit prove 17 -o entry-17.proof', 'check it with audit verify --proof']],
    exits: [21, 22, 23, 24, 27],
  })
  command.argument('<seq>', 'number of the entry')
  command.requiredOption('-o, --output <file|->', 'the proof')
  command.option('--force', 'replace the file if it exists')
  command.action((seq: string, flags: OutputFlags) =>
    app.run(command, async (context) => {
      const number = parseCount(seq, '<seq>', { min: 0, max: Number.MAX_SAFE_INTEGER })
      const engine = await context.engine()
      const request = { ...context.storeRequest(), seq: number }
      const { proof, ...shown } = await engine.auditProve(request)
      const output = flags.output ?? '-'
      const result = { ...shown, path: output }
      if (output === '-') {
        await context.session.out.write(proof)
        return { result, text: '', toStderr: true }
      }
      await writeNewFile(output, proof, flags.force === true)
      const text = `wrote the proof of entry ${seq} to ${escapeLine(output)}`
      return { result, text, work: true }
    }),
  )
}
