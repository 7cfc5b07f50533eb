import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { Filter } from '../../search/filter.ts'
import { parseFilter } from '../../search/filter.ts'
import { checkFusion } from '../../search/fusion.ts'
import { RECOMMEND_STRATEGIES } from '../../search/recommend.ts'
import { checkedSparse } from '../../search/sparse-vector.ts'
import { checkTextLength } from '../../search/text-query.ts'
import type {
  Diversity,
  OrderBy,
  QueryNode,
  RankBy,
  Recommendation,
  SparseVectorInput,
} from './query-api.ts'
import type { TextSearch } from './search-api.ts'

export const DEFAULT_K = 10
/** ef where the caller names none. */
const DEFAULT_EF = 128

/** A node that is within its limits, and so are those below it. */
export interface CheckedNode {
  readonly prefetch: readonly CheckedNode[]
  readonly query: RankBy
  readonly filter: Filter | undefined
  readonly k: number
  readonly offset: number
  readonly ef: number
  readonly exact: boolean
  readonly scoreThreshold: number | undefined
}

/**
 * Checks a whole tree before any of it runs; what depends on the collection is left to the run.
 *
 * @throws USAGE for a node of no or two queries, LIMIT for depth, number and size, BAD_INPUT for
 *   numbers that are none
 */
export function checkQuery(node: QueryNode): CheckedNode {
  return checkNode(node, 1, { nodes: 0 })
}

const KINDS = [
  'vector',
  'id',
  'text',
  'sparse',
  'recommend',
  'fusion',
  'orderBy',
  'sample',
] as const
export type QueryKind = (typeof KINDS)[number]

/** Which of the queries it is. @throws USAGE for none, or more than one */
export function kindOf(query: RankBy): QueryKind {
  const given = KINDS.filter((kind) => Object.hasOwn(query, kind))
  const [kind] = given
  if (kind !== undefined && given.length === 1) return kind
  throw new AkidbError('USAGE', `a query is one of ${KINDS.join(', ')}`, {
    hint: given.length > 1 ? `It has ${given.join(' and ')}; fuse them with prefetch.` : '',
  })
}

function checkNode(node: QueryNode, depth: number, seen: { nodes: number }): CheckedNode {
  if (depth > limits.queryDepthMax) throw over('the query nests', 'queryDepthMax')
  if (++seen.nodes > limits.queryNodesMax) throw over('the query has nodes', 'queryNodesMax')
  if (typeof node !== 'object' || node === null) throw new AkidbError('USAGE', 'no query')
  const { query, scoreThreshold, prefetch: children = [] } = node
  if (typeof query !== 'object' || query === null) {
    throw new AkidbError('USAGE', 'a query says what to rank by', {
      hint: `{"query": …} with one of ${KINDS.join(', ')}.`,
    })
  }
  const k = checkedCount(node.k ?? DEFAULT_K, 'k', 1)
  const offset = checkedCount(node.offset ?? 0, 'offset', 0)
  if (k + offset > limits.searchCountMax) throw over('k and offset reach', 'searchCountMax')
  const ef = node.ef ?? Math.max(DEFAULT_EF, 2 * (k + offset))
  whole(ef, 'ef', 1)
  if (ef > limits.searchEfMax) throw over(`ef ${ef} is`, 'searchEfMax')
  if (scoreThreshold !== undefined) finite(scoreThreshold, 'scoreThreshold')
  checkRanking(node, { k, offset, lists: children.length })
  return {
    prefetch: children.map((child) => checkNode(child, depth + 1, seen)),
    query,
    filter: node.filter === undefined ? undefined : parseFilter(node.filter),
    ...{ k, offset, ef, exact: node.exact === true, scoreThreshold },
  }
}

interface Size {
  readonly k: number
  readonly offset: number
  readonly lists: number
}

function checkRanking({ query, scoreThreshold }: QueryNode, size: Size): void {
  const kind = kindOf(query)
  if ('fusion' in query) {
    if (size.lists === 0) throw new AkidbError('USAGE', 'a fusion needs the lists of prefetch')
    checkFusion(query.fusion, size.lists)
  } else if ('recommend' in query) checkExamples(query.recommend)
  else if ('orderBy' in query) checkOrder(query.orderBy)
  else if ('sample' in query) checkSeed(query.sample.seed)
  else if ('text' in query) checkText(query.text)
  else if ('sparse' in query) checkSparse(query)
  else if ('id' in query) checkId(query.id)
  else checkVector(query.vector)
  if ('mmr' in query && query.mmr !== undefined) checkDiversity(query.mmr, size)
  if (scoreThreshold !== undefined && (kind === 'orderBy' || kind === 'sample')) {
    throw new AkidbError('USAGE', `hits of ${kind} have no score for a threshold`)
  }
}

/** @throws USAGE, BAD_INPUT, LIMIT */
export function checkVector(vector: unknown): void {
  if (!(vector instanceof Float32Array)) {
    throw new AkidbError('BAD_INPUT', 'a query vector is a Float32Array')
  }
  if (!vector.every(Number.isFinite)) {
    throw new AkidbError('BAD_INPUT', 'the query vector holds a value that is not finite')
  }
}

const checkId = (id: unknown): void => {
  if (typeof id !== 'string') throw new AkidbError('BAD_INPUT', 'the id of a record is text')
}

/** @throws BAD_INPUT for what is neither text nor its parts; LIMIT over queryTextBytesMax */
export function checkText(text: unknown): void {
  if (typeof text !== 'string' && !isParts(text)) {
    throw new AkidbError('BAD_INPUT', 'a query text is text, or an object of parts', {
      hint: `Parts are query (a text) and ${LIST_PARTS.join(', ')} (lists of texts).`,
    })
  }
  checkTextLength(text)
}

const LIST_PARTS: readonly string[] = ['must', 'phrase', 'prefix', 'fields']

const isParts = (text: unknown): text is TextSearch =>
  typeof text === 'object' &&
  text !== null &&
  !Array.isArray(text) &&
  Object.entries(text).every(([part, value]) =>
    part === 'query'
      ? value === undefined || typeof value === 'string'
      : LIST_PARTS.includes(part) && isTexts(value),
  )

const isTexts = (value: unknown): boolean =>
  value === undefined || (Array.isArray(value) && value.every((one) => typeof one === 'string'))

function checkSparse({ sparse, using }: { sparse: SparseVectorInput; using: string }): void {
  if (typeof using !== 'string') throw new AkidbError('USAGE', '"using" names the sparse vectors')
  const isSparse = sparse?.indices instanceof Uint32Array && sparse.values instanceof Float32Array
  if (!isSparse) {
    throw new AkidbError('BAD_INPUT', 'a sparse vector has indices (Uint32Array) and values')
  }
  checkedSparse(sparse)
}

function checkExamples({ positive = [], negative = [], strategy }: Recommendation): void {
  const examples = [...positive, ...negative]
  if (examples.length > limits.queryExamplesMax) {
    throw over(`${examples.length} examples are`, 'queryExamplesMax')
  }
  for (const example of examples) {
    if (typeof example !== 'string') checkVector(example)
  }
  if (strategy !== undefined && !RECOMMEND_STRATEGIES.includes(strategy)) {
    throw new AkidbError('USAGE', `there is no strategy "${String(strategy)}"`, {
      hint: `There are ${RECOMMEND_STRATEGIES.join(', ')}.`,
    })
  }
  const byAverage = (strategy ?? 'average_vector') === 'average_vector'
  if (examples.length === 0 || (byAverage && positive.length === 0)) {
    throw new AkidbError('USAGE', 'a recommendation needs a positive example', {
      hint: 'best_score and sum_scores do with negative ones alone.',
    })
  }
}

/** @throws USAGE, BAD_INPUT */
export function checkOrder(order: OrderBy): void {
  if (typeof order.key !== 'string' || order.key === '') {
    throw new AkidbError('USAGE', 'orderBy names a field as its key')
  }
  if (order.direction !== undefined && order.direction !== 'asc' && order.direction !== 'desc') {
    throw new AkidbError('USAGE', `a direction is asc or desc, not "${String(order.direction)}"`)
  }
  if (order.as !== undefined && order.as !== 'datetime') {
    throw new AkidbError('USAGE', `a field is ordered as datetime, not "${String(order.as)}"`)
  }
  const { startFrom } = order
  if (typeof startFrom === 'number') finite(startFrom, 'startFrom')
  else if (startFrom !== undefined && !['string', 'bigint'].includes(typeof startFrom)) {
    throw new AkidbError('BAD_INPUT', 'startFrom is a number or text')
  }
}

const checkSeed = (seed: unknown): void => {
  if (seed !== undefined) whole(seed, 'seed', 0)
}

function checkDiversity({ diversity, candidates }: Diversity, { k, offset }: Size): void {
  finite(diversity, 'diversity')
  if (diversity < 0 || diversity > 1) {
    throw new AkidbError('USAGE', `diversity is ${diversity}; it goes from 0 to 1`)
  }
  const most = candidates ?? k + offset
  whole(most, 'candidates', 1)
  if (most > limits.mmrCandidatesMax) throw over(`${most} candidates are`, 'mmrCandidatesMax')
  if (most < k + offset) {
    throw new AkidbError('USAGE', `${most} candidates cannot give ${k + offset} hits`)
  }
}

/** A number of results. @throws USAGE, BAD_INPUT; LIMIT over searchCountMax */
export function checkedCount(value: unknown, name: string, min: number): number {
  whole(value, name, min)
  if ((value as number) > limits.searchCountMax) {
    throw over(`${name} ${String(value)} is`, 'searchCountMax')
  }
  return value as number
}

export function whole(value: unknown, name: string, min: number): void {
  finite(value, name)
  if (Number.isSafeInteger(value) && (value as number) >= min) return
  throw new AkidbError('BAD_INPUT', `${name} is ${String(value)}; it is a whole number from ${min}`)
}

function finite(value: unknown, name: string): void {
  if (typeof value === 'number' && Number.isFinite(value)) return
  throw new AkidbError('BAD_INPUT', `${name} is no number: ${String(value)}`)
}

export const over = (what: string, name: keyof typeof limits): AkidbError =>
  new AkidbError('LIMIT', `${what} over ${name} (${limits[name]})`, { details: { limit: name } })
