import { type JsonObject, stringifyJson } from '../core/json.ts'
import type { Hit, SearchPlan, SearchResult } from '../index.ts'
import type { Context } from './context.ts'
import { escapeJson, escapeLine, escapeText } from './escape.ts'
import { humanDuration, plural, shortDigest } from './human.ts'
import { jsonDocument, jsonLine } from './json-document.ts'
import type { SearchFlags } from './search-flags.ts'
import { sourceText } from './source-text.ts'
import { csvLine, table } from './table.ts'

interface Found {
  readonly collection: string
  readonly k: number
  readonly elapsedMs: number
  readonly flags: SearchFlags
  readonly result: SearchResult
}

/** Prints the hits of one search: a table, CSV, JSON lines, or the one document of `--json`. */
export async function printHits(context: Context, found: Found): Promise<void> {
  const { out, json } = context.session
  const { flags, result } = found
  const plan = flags.explain ? result.plan : withoutSegments(result.plan)
  if (json) {
    const { collection, k, elapsedMs } = found
    const { stateRoot, hits } = result
    const document = { collection, stateRoot, k, hits, plan, elapsedMs }
    const line = jsonDocument('search', document)
    return out.write(out.isTerminal ? escapeJson(line) : line)
  }
  if (flags.format === 'jsonl') {
    const lines = result.hits.map((hit) => jsonLine(hit)).join('')
    return out.write(out.isTerminal ? escapeJson(lines) : lines)
  }
  if (flags.format === 'csv') {
    const lines = csvText(result.hits, flags)
    return out.write(out.isTerminal ? escapeText(lines) : lines)
  }
  await out.write(`${hitsTable(found)}\n`)
  if (flags.explain) await out.write(`${escapeText(planText(result.plan))}\n`)
}

const withoutSegments = ({ segments: _segments, ...plan }: SearchPlan): SearchPlan => plan

const hitsTable = ({ flags, result, elapsedMs }: Found): string => {
  const columns = [
    { title: '#', align: 'right' },
    { title: 'ID' },
    { title: 'SCORE', align: 'right' },
  ] as const
  const rows = result.hits.map((hit, i) => [
    String(i + 1),
    hit.id,
    hit.score.toFixed(4),
    ...(flags.withSource ? [hit.source === undefined ? '-' : sourceText(hit.source)] : []),
    hit.payload === undefined ? '' : stringifyJson(hit.payload),
  ])
  const source = flags.withSource ? [{ title: 'SOURCE' }] : []
  const shown = table([...columns, ...source, { title: 'PAYLOAD' }], rows)
  const vectors = flags.withVector
    ? result.hits
        .map(({ id, vector }) => `\n${escapeLine(id)}: ${vector?.join(' ') ?? 'no vector'}`)
        .join('')
    : ''
  const how = `${humanDuration(elapsedMs)}, ${result.plan.kind}`
  const state = shortDigest(result.stateRoot)
  const foot = `${plural(result.hits.length, 'hit')} in ${how}, state ${state}`
  return `${shown}${vectors}\n${foot}`
}

const planText = (plan: SearchPlan): string =>
  [
    'plan',
    ...Object.entries(plan).flatMap(([name, value]) =>
      Array.isArray(value) && value.some((one) => typeof one === 'object')
        ? value.map((one, i) => `  ${name} ${i}: ${membersText(one)}`)
        : [`  ${name}: ${plainText(value)}`],
    ),
  ].join('\n')

const membersText = (value: unknown): string =>
  typeof value === 'object' && value !== null
    ? Object.entries(value)
        .map(([name, member]) => `${name} ${plainText(member)}`)
        .join(', ')
    : plainText(value)

const plainText = (value: unknown): string =>
  typeof value === 'string' ? value : jsonLine(value).trim()

const csvText = (hits: readonly Hit[], flags: SearchFlags): string => {
  const columns: [string, (hit: Hit) => string][] = [
    ['id', (hit) => hit.id],
    ['score', (hit) => String(hit.score)],
    ['distance', (hit) => (hit.distance === undefined ? '' : String(hit.distance))],
    [
      'payload',
      (hit) => (hit.payload === undefined ? '' : stringifyJson(hit.payload as JsonObject)),
    ],
  ]
  if (flags.withSource) {
    columns.push(['file', (hit) => hit.source?.file ?? ''])
    columns.push(['row', (hit) => (hit.source === undefined ? '' : String(hit.source.row))])
  }
  if (flags.withVector) {
    columns.push([
      'vector',
      (hit) => (hit.vector === undefined ? '' : stringifyJson([...hit.vector])),
    ])
  }
  const rows = hits.map((hit) => csvLine(columns.map(([, cell]) => cell(hit))))
  return csvLine(columns.map(([name]) => name)) + rows.join('')
}
