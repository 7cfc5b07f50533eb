import { type JsonValue, parseJson } from '../core/json.ts'
import { AkidbError } from '../errors/errors.ts'
import type { HybridFusion, QueryNode, QueryRequest, RankBy, SearchRequest } from '../index.ts'
import type { Engine } from './engine.ts'
import { readArgumentFile } from './input.ts'
import { type SearchFlags, wordsOf } from './search-flags.ts'

/** Hits of each part of a hybrid search: at least these, or this multiple of what is wanted. */
const PART_HITS_MIN = 100
const PART_SHARE = 5
const PART_HITS_MAX = 10_000

interface Composed {
  readonly engine: Pick<Engine, 'parseQuery'>
  readonly flags: SearchFlags
  /** What every search asks for. */
  readonly base: SearchRequest
  readonly vector: Float32Array | undefined
  /** What `--query` holds. */
  readonly json: JsonValue | undefined
}

/** The query that the options ask for: `--query`, or one made of the other options. */
export function composedQuery({ engine, flags, base, vector, json }: Composed): QueryRequest {
  const { k: _k, fusion: _fusion, vector: _vector, id: _id, text: _text, ...same } = base
  const k = flags.sample ?? flags.k
  const shape = {
    ...same,
    withPayload: true,
    ...(k === undefined ? {} : { k }),
    ...(flags.offset === undefined ? {} : { offset: flags.offset }),
    ...(flags.scoreThreshold === undefined ? {} : { scoreThreshold: flags.scoreThreshold }),
    ...(flags.groupBy === undefined ? {} : { groupBy: flags.groupBy }),
    ...(flags.groupSize === undefined ? {} : { groupSize: flags.groupSize }),
  }
  if (json !== undefined) {
    const asked = engine.parseQuery(json)
    // An option that is given wins over the same member of the JSON.
    const { withPayload: _withPayload, ...rest } = shape
    const given = Object.entries(rest).filter(([, value]) => value !== false)
    return { withPayload: true, ...asked, ...Object.fromEntries(given) }
  }
  if (vector !== undefined && flags.text !== undefined) {
    return { ...shape, ...hybridNode(flags, vector) }
  }
  return { ...shape, query: rankingOf(flags, vector) }
}

/** `--query`: JSON, or `@file`. What is no JSON is USAGE; the rest is the library's to judge. */
export async function readQuery(text: string): Promise<JsonValue> {
  const json = text.startsWith('@') ? await readArgumentFile(text.slice(1), '--query') : text
  try {
    return parseJson(json)
  } catch (error) {
    if (!(error instanceof AkidbError) || error.code === 'LIMIT') throw error
    const hint = 'A query is JSON: docs/library.md.'
    throw new AkidbError('USAGE', `--query: ${error.message}`, { hint, cause: error })
  }
}

const rankingOf = (flags: SearchFlags, vector: Float32Array | undefined): RankBy => {
  const { like, unlike, strategy, orderBy, sample, text } = flags
  if (like !== undefined || unlike !== undefined) {
    const recommend = {
      positive: like ?? [],
      negative: unlike ?? [],
      ...(strategy === undefined ? {} : { strategy }),
    }
    return { recommend }
  }
  if (orderBy !== undefined) return { orderBy: orderOf(orderBy, flags) }
  if (sample !== undefined) return { sample: { seed: flags.seed ?? 0 } }
  if (text !== undefined) return { text: wordsOf(text, flags) }
  const mmr = diversityOf(flags)
  return vector === undefined ? { id: flags.id ?? '', ...mmr } : { vector, ...mmr }
}

const orderOf = (key: string, { descending, startFrom }: SearchFlags) => ({
  key,
  direction: descending ? ('desc' as const) : ('asc' as const),
  ...(startFrom === undefined ? {} : { startFrom: numberOrText(startFrom) }),
})

/** A number where it is written as one: a text that looks so has its place in --query. */
const numberOrText = (text: string): string | number =>
  /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? Number(text) : text

const diversityOf = ({ mmr, candidates }: SearchFlags) =>
  mmr === undefined
    ? {}
    : { mmr: { diversity: mmr, ...(candidates === undefined ? {} : { candidates }) } }

/** How `--fusion` and `--vector-weight` fuse a hybrid search; a half each where nothing is said. */
export const hybridFusion = ({ fusion, vectorWeight }: SearchFlags): HybridFusion | undefined =>
  fusion === undefined ? undefined : { kind: fusion, vectorWeight: vectorWeight ?? 0.5 }

const hybridNode = (flags: SearchFlags, vector: Float32Array): QueryNode => {
  const { fusion: kind = 'rrf', vectorWeight: weight = 0.5, text = '' } = flags
  const wanted = (flags.k ?? 10) * (flags.groupSize ?? 1) + (flags.offset ?? 0)
  const k = Math.min(PART_HITS_MAX, Math.max(PART_HITS_MIN, PART_SHARE * wanted))
  const weights = kind === 'rrf' ? [2 * weight, 2 - 2 * weight] : [weight, 1 - weight]
  return {
    prefetch: [
      { query: { vector }, k },
      { query: { text: wordsOf(text, flags) }, k },
    ],
    query: { fusion: { kind, weights } },
  }
}
