import { type JsonObject, stringifyJson } from '../core/json.ts'
import type { Hit, HitGroup, QueryResult, SearchPlan } from '../index.ts'
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
  readonly result: QueryResult
}

/** Prints the hits of one search: a table, CSV, JSON lines, or the one document of `--json`. */
export async function printHits(context: Context, found: Found): Promise<void> {
  const { out, json } = context.session
  const { flags, result } = found
  const plan = flags.explain ? result.plan : withoutSegments(result.plan)
  if (json) {
    const { collection, k, elapsedMs } = found
    const { stateRoot, hits } = result
    const groups = result.groups?.map(({ value, hits }) => ({
      value,
      ids: hits.map(({ id }) => id),
    }))
    const document = { collection, stateRoot, k, hits, groups, plan, elapsedMs }
    const line = jsonDocument('search', document)
    return out.write(out.isTerminal ? escapeJson(line) : line)
  }
  if (flags.format === 'jsonl') {
    const lines = grouped(result)
      .map(([group, hit]) => jsonLine(group === undefined ? hit : { group: group.value, ...hit }))
      .join('')
    return out.write(out.isTerminal ? escapeJson(lines) : lines)
  }
  if (flags.format === 'csv') {
    const lines = csvText(result, flags)
    return out.write(out.isTerminal ? escapeText(lines) : lines)
  }
  await out.write(`${hitsTable(found)}\n`)
  if (flags.explain) await out.write(`${escapeText(planText(result.plan))}\n`)
}

/** Segments are told with --explain only, however deep their plan lies. */
const withoutSegments = (plan: SearchPlan): SearchPlan => pruned(plan) as SearchPlan

const pruned = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(pruned)
  const isPlain = typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)
  if (!isPlain) return value
  const kept = Object.entries(value).filter(([name]) => name !== 'segments')
  return Object.fromEntries(kept.map(([name, member]) => [name, pruned(member)]))
}

/** Every hit, with its group where there are groups. */
const grouped = ({ groups, hits }: QueryResult): (readonly [HitGroup | undefined, Hit])[] =>
  groups === undefined
    ? hits.map((hit) => [undefined, hit] as const)
    : groups.flatMap((group) => group.hits.map((hit) => [group, hit] as const))

const hitsTable = ({ flags, result, elapsedMs }: Found): string => {
  const columns = [
    { title: '#', align: 'right' },
    ...(result.groups === undefined ? [] : [{ title: 'GROUP' }]),
    { title: 'ID' },
    { title: 'SCORE', align: 'right' },
  ] as const
  const rows = grouped(result).map(([group, hit], i) => [
    String(i + 1),
    ...(group === undefined ? [] : [String(group.value)]),
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

const csvText = (result: QueryResult, flags: SearchFlags): string => {
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
  const hasGroups = result.groups !== undefined
  const rows = grouped(result).map(([group, hit]) => {
    const cells = columns.map(([, cell]) => cell(hit))
    return csvLine(group === undefined ? cells : [String(group.value), ...cells])
  })
  const names = columns.map(([name]) => name)
  return csvLine(hasGroups ? ['group', ...names] : names) + rows.join('')
}
