import { EXIT_MEANINGS, errorCodesOf } from '../describe.ts'

/** The table of exit codes and error codes. */
export function exitCodesText(): string {
  const lines = Object.keys(EXIT_MEANINGS).map((exit) => {
    const codes = errorCodesOf(Number(exit)).join(', ')
    const line = `  ${exit.padEnd(4)} ${EXIT_MEANINGS[Number(exit)]}`
    return codes === '' ? line : `${line}\n       ${codes}`
  })
  return `Exit codes, and the error codes that \`--json\` names with each:

${lines.join('\n')}

Where all items failed for one cause, the exit code is that cause's. 24 outranks 20. 25 may
be retried. Error codes and exit codes never change their meaning; treat an unknown one as a
failure.
`
}
