import { stringifyJson } from '../core/json.ts'
import { AkidbError } from '../errors/errors.ts'
import { type ErrorCode, EXIT_CODES } from '../errors/exit-codes.ts'
import type { IngestFileResult, IngestPreview, IngestResult } from '../index.ts'
import { escapeLine } from './escape.ts'
import { humanCount, humanDuration, plural, shortDigest } from './human.ts'
import { table } from './table.ts'

/** Files listed for people; `--json` has all. */
const FILES_SHOWN = 20

/** What an ingest did, for people. */
export function ingestText(result: IngestResult): string {
  const lines = result.files.slice(0, FILES_SHOWN).map(fileText)
  const more = result.files.length - FILES_SHOWN
  if (more > 0) lines.push(`… and ${plural(more, 'file')} more (see --json)`)
  const made = result.created ? ', made the collection' : ''
  const counts = [
    `${humanCount(result.inserted)} inserted`,
    `${humanCount(result.updated)} updated`,
    `${humanCount(result.rejected)} rejected`,
  ].join(', ')
  const time = humanDuration(result.elapsedMs)
  lines.push(`${result.collection}: ${counts} in ${time}${made}; ${stateText(result)}`)
  if (result.rejectsFile !== undefined && result.rejected > 0) {
    lines.push(`rejected rows: ${escapeLine(result.rejectsFile)}`)
  }
  return lines.join('\n')
}

/** Where every row was rejected, a new collection is not made. */
const stateText = ({ manifestVersion, stateRoot }: IngestResult): string =>
  stateRoot === ''
    ? 'nothing was committed'
    : `version ${manifestVersion}, state ${shortDigest(stateRoot)}`

const fileText = (file: IngestFileResult): string => {
  const name = escapeLine(file.path)
  if (file.error !== undefined) return `${name}: refused: ${escapeLine(file.error.message)}`
  if (file.skipped) return `${name}: skipped, taken before`
  const { rows, inserted, updated, rejected } = file
  const counts = [
    `${humanCount(inserted)} new`,
    `${humanCount(updated)} updated`,
    `${humanCount(rejected)} rejected`,
  ].join(', ')
  return `${name}: ${plural(rows, 'row')}, ${counts}`
}

/**
 * The failure of an ingest that finished, yet not well. Where every file failed for one cause, that
 * cause's code; a failed integrity check (exit 24) outranks PARTIAL (exit 20).
 */
export function ingestFailure(result: IngestResult): AkidbError | undefined {
  const errors = result.files.flatMap(({ error }) => (error === undefined ? [] : [error]))
  if (!result.partial && errors.length === 0) return undefined
  const code = failureCode(result, errors)
  const first = errors[0]
  if (first !== undefined) {
    const files = plural(result.files.length, 'file')
    const message = `${errors.length} of ${files} refused: ${first.message}`
    const only = result.files.length === 1 ? first.message : message
    return new AkidbError(code, only, { details: { refused: errors.length } })
  }
  const rest = result.inserted + result.updated > 0 ? 'the rest is committed' : 'none is left'
  return new AkidbError(code, `${plural(result.rejected, 'row')} rejected; ${rest}`, {
    hint:
      result.rejectsFile === undefined
        ? 'Allow some with --max-rejects.'
        : `See "${result.rejectsFile}", or allow some with --max-rejects.`,
    details: { rejected: result.rejected },
  })
}

const failureCode = (
  result: IngestResult,
  errors: readonly { readonly code: string }[],
): ErrorCode => {
  const codes = errors.map(({ code }) => (code in EXIT_CODES ? (code as ErrorCode) : 'INTERNAL'))
  const first = codes[0]
  const allFailed = errors.length === result.files.length && codes.every((code) => code === first)
  if (first !== undefined && allFailed) return first
  return codes.find((code) => EXIT_CODES[code] === 24) ?? 'PARTIAL'
}

/** What `ingest -n` shows: columns, guesses, first rows, first rejects. */
export const previewText = (files: readonly IngestPreview[]): string =>
  files.map(previewOne).join('\n\n')

const previewOne = (file: IngestPreview): string => {
  const dimension = file.dimension === null ? 'no vectors' : `${file.dimension}-d vectors`
  const columns = table(
    [{ title: 'COLUMN' }, { title: 'USE' }, { title: 'TYPE' }],
    file.columns.map(({ name, use, type }) => [name, use, type]),
  )
  const rows = table(
    [{ title: 'ID' }, { title: 'PAYLOAD' }],
    file.rows.map(({ id, payload }) => [id, stringifyJson(payload)]),
  )
  const lines = [
    `${escapeLine(file.path)}: ${file.format}, ${dimension}`,
    ...file.notes.map((note) => `  ${escapeLine(note)}`),
    columns,
    ...(file.rows.length === 0 ? [] : ['', rows]),
    ...file.rejects.map(
      ({ position, code, reason }) => `  rejected ${position}: ${code}, ${escapeLine(reason)}`,
    ),
  ]
  return lines.join('\n')
}
