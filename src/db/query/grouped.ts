import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { type Scalar, scalarsUnder } from '../../search/field-scalars.ts'
import { type Filter, parseFilter } from '../../search/filter.ts'
import { scalarKey } from '../../search/scalar-order.ts'
import { type CheckedNode, checkedCount, DEFAULT_K, over } from '../api/check-query.ts'
import type { QueryRequest } from '../api/query-api.ts'
import { getRecord } from '../collection/records.ts'
import type { RankedRecord } from '../search/search-vector.ts'
import type { QueryContext, Ranked, RankingContext } from './query-context.ts'
import { runNode } from './run-node.ts'

const DEFAULT_GROUP_SIZE = 3
/** Hits asked for at first, in multiples of those that the groups have room for. */
const WIDTH = 4

/** How hits are put in groups, in its limits. */
export interface Grouping {
  readonly key: string
  readonly groups: number
  readonly size: number
}

/** @throws USAGE, BAD_INPUT, LIMIT */
export function checkGrouping(request: QueryRequest): Grouping | undefined {
  const { groupBy: key, groupSize = DEFAULT_GROUP_SIZE, query } = request
  if (key === undefined) {
    if (request.groups === undefined && request.groupSize === undefined) return undefined
    throw new AkidbError('USAGE', 'groups and groupSize go with groupBy')
  }
  if (typeof key !== 'string' || key === '') throw new AkidbError('USAGE', 'groupBy names a field')
  const groups = checkedCount(request.groups ?? request.k ?? DEFAULT_K, 'groups', 1)
  const size = checkedCount(groupSize, 'groupSize', 1)
  if (groups > limits.queryGroupsMax) throw over(`${groups} groups are`, 'queryGroupsMax')
  if (groups * size > limits.searchCountMax) {
    throw over(`${groups} groups of ${size} hits are`, 'searchCountMax')
  }
  if (request.offset !== undefined) throw new AkidbError('USAGE', 'groups take no offset')
  if ('mmr' in query && query.mmr !== undefined) {
    throw new AkidbError('USAGE', 'diverse hits are not grouped', {
      hint: 'Put the query with mmr into prefetch.',
    })
  }
  return { key: key.replaceAll('[]', ''), groups, size }
}

/** One group, in the order of its best hit. */
export interface RankedGroup {
  readonly value: Scalar
  readonly hits: RankedRecord[]
}

/**
 * The best groups and the best hits of each. It looks wider until all groups are full or the rows
 * end: first for values that no group has yet, then within each group that has room. What is
 * ranked among the hits of others (prefetch) is looked at whole at once.
 */
export async function groupedHits(
  context: RankingContext,
  node: CheckedNode,
  grouping: Grouping,
): Promise<{ groups: RankedGroup[]; plan: Ranked['plan'] }> {
  const found = new Groups(context, grouping)
  const isTree = node.prefetch.length > 0
  const room = grouping.groups * grouping.size * WIDTH
  const width = isTree ? limits.searchCountMax : Math.min(limits.searchCountMax, room)
  const wide = await runNode(context, widened(node, width))
  await found.add(wide.hits)
  let searches = 1
  const isEnd = isTree || wide.hits.length < width
  if (!isEnd) {
    searches += await addGroups(context, { node, grouping, found, width })
    searches += await fillGroups(context, { node, grouping, found })
  }
  const plan = { kind: 'groups', ...grouping, searches, ranking: wide.plan }
  return { groups: found.groups, plan }
}

const widened = (node: CheckedNode, k: number): CheckedNode => ({
  ...node,
  k,
  ef: Math.min(limits.searchEfMax, Math.max(node.ef, k)),
})

interface Widening {
  readonly node: CheckedNode
  readonly grouping: Grouping
  readonly found: Groups
}

/** Looks for values that no group has, until there are enough or none is left. */
async function addGroups(
  context: RankingContext,
  { node, grouping, found, width }: Widening & { readonly width: number },
): Promise<number> {
  let searches = 0
  while (found.groups.length < grouping.groups) {
    const except = found.groups.map(({ value }) => value)
    const others = parseFilter({ must: [{ key: grouping.key, match: { except } }] })
    const { hits } = await runNode(context, widened(node, width), others)
    searches++
    const before = found.groups.length
    await found.addNew(hits)
    if (hits.length < width || found.groups.length === before) break
  }
  return searches
}

async function fillGroups(
  context: RankingContext,
  { node, grouping, found }: Widening,
): Promise<number> {
  let searches = 0
  for (const group of found.groups) {
    if (group.hits.length >= grouping.size) continue
    const { hits } = await runNode(
      context,
      widened(node, grouping.size),
      onlyValue(grouping, group.value),
    )
    searches++
    group.hits.splice(0, group.hits.length, ...hits)
  }
  return searches
}

const onlyValue = ({ key }: Grouping, value: Scalar): Filter =>
  parseFilter({ must: [{ key, match: { value } }] })

class Groups {
  readonly groups: RankedGroup[] = []
  readonly #byValue = new Map<Scalar, RankedGroup>()
  readonly #context: QueryContext
  readonly #grouping: Grouping

  constructor(context: QueryContext, grouping: Grouping) {
    this.#context = context
    this.#grouping = grouping
  }

  /** Takes hits in their order, into the groups and into new ones while there is room. */
  async add(hits: readonly RankedRecord[]): Promise<void> {
    for (const hit of hits) {
      for (const value of await this.#valuesOf(hit)) {
        const group = this.#byValue.get(value) ?? this.#open(value)
        if (group !== undefined && group.hits.length < this.#grouping.size) group.hits.push(hit)
      }
    }
  }

  /** Opens groups only: what stands in them is looked up apart. */
  async addNew(hits: readonly RankedRecord[]): Promise<void> {
    for (const hit of hits) {
      for (const value of await this.#valuesOf(hit)) {
        if (!this.#byValue.has(value)) this.#open(value)
      }
    }
  }

  #open(value: Scalar): RankedGroup | undefined {
    if (this.groups.length >= this.#grouping.groups) return undefined
    const group = { value, hits: [] }
    this.#byValue.set(value, group)
    this.groups.push(group)
    return group
  }

  async #valuesOf({ id }: RankedRecord): Promise<Set<Scalar>> {
    const { core, view, signal } = this.#context
    signal?.throwIfAborted()
    const parts = { payload: true, vector: false, source: false }
    const record = await getRecord(core, view, id, parts)
    if (record === undefined) return new Set()
    return new Set(scalarsUnder(record.payload, this.#grouping.key).map(scalarKey))
  }
}
