import { AkidbError } from '../errors/errors.ts'
import { escapeJson, escapeLine } from './escape.ts'
import { jsonLine } from './json-document.ts'

/** What a failure looks like to the operator, for text and JSON alike. */
export interface Failure {
  readonly code: string
  readonly exit: number
  readonly message: string
  readonly hint: string | undefined
  readonly details: Readonly<Record<string, unknown>>
  readonly stack: string | undefined
}

/** Anything thrown as a failure; what is no AkidbError is a bug: INTERNAL, exit 1. */
export function failureOf(error: unknown): Failure {
  if (error instanceof AkidbError) {
    const { code, exitCode, message, hint, details } = error
    return { code, exit: exitCode, message, hint, details, stack: stackOf(error) }
  }
  return {
    code: 'INTERNAL',
    exit: 1,
    message: error instanceof Error ? error.message : String(error),
    hint: 'This is a bug in akidb. Run the command again with -v and report what it prints.',
    details: {},
    stack: stackOf(error),
  }
}

const stackOf = (error: unknown): string | undefined => {
  if (!(error instanceof Error)) return undefined
  const cause =
    error.cause === undefined ? '' : `\ncaused by ${stackOf(error.cause) ?? error.cause}`
  return `${error.stack ?? error.message}${cause}`
}

/** The error object of `--json`, one line. */
export const failureJson = (failure: Failure): string => {
  const { code, exit, message, hint, details } = failure
  return escapeJson(jsonLine({ type: 'error', version: 1, code, exit, message, hint, details }))
}

/** The error for people: what and where, its code, then how to mend it. */
export function failureText(failure: Failure, verbose: boolean): string {
  const { code, exit, message, hint, stack } = failure
  const lines = [`akidb: error: ${escapeLine(message)} (${code}, exit ${exit})`]
  if (verbose && stack !== undefined) lines.unshift(...stack.split('\n').map(escapeLine))
  if (hint !== undefined) lines.push(`akidb: hint: ${escapeLine(hint)}`)
  return `${lines.join('\n')}\n`
}

/** A warning or a note, as text or as a JSON object, one line. */
export function noticeLine(
  kind: 'warning' | 'note',
  notice: { readonly code?: string; readonly message: string },
  json: boolean,
): string {
  if (!json) return `akidb: ${kind}: ${escapeLine(notice.message)}\n`
  return escapeJson(jsonLine({ type: kind, version: 1, ...notice }))
}
