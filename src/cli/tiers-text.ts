import type { TiersStatus } from '../index.ts'
import { humanAmount, humanBytes, plural } from './human.ts'
import { fields, table } from './table.ts'

type Stored = TiersStatus['stored']

/** What lies where, for people: the tiers with their budgets, then each collection. */
export function tiersText({ memory, cache, stored, collections }: TiersStatus): string {
  const { kind, bytes, blobs } = stored
  const tiers = fields([
    ['in memory', memory && `${humanBytes(memory.held)} of ${humanBytes(memory.budget)}`],
    ['in the cache', cache && cacheText(cache)],
    [`in the ${kind}`, `${humanBytes(bytes)} in ${plural(blobs, 'blob')}${lockedText(stored)}`],
    ['costs', costText(stored)],
  ])
  if (collections.length === 0) return tiers
  const isCached = cache !== null
  const isPriced = stored.cost !== undefined
  const columns = [
    { title: 'COLLECTION' },
    { title: 'IN MEMORY', align: 'right' as const },
    { title: 'WHEN SEARCHED', align: 'right' as const },
    ...(isCached ? [{ title: 'PINNED, HOT, COLD' }] : []),
    { title: 'STORED', align: 'right' as const },
    { title: 'LOCKED' },
    ...(isPriced ? [{ title: 'COSTS' }] : []),
  ]
  const rows = collections.map((one) => [
    one.collection,
    one.memory === undefined ? '-' : humanBytes(one.memory.held),
    one.memory === undefined ? '-' : humanBytes(one.memory.needed),
    ...(isCached ? [classesText(one.cache)] : []),
    humanBytes(one.stored.bytes),
    yearsText(one.stored) ?? '-',
    ...(isPriced ? [costText(one.stored) ?? '-'] : []),
  ])
  return `${tiers}\n\n${table(columns, rows)}`
}

const cacheText = (cache: NonNullable<TiersStatus['cache']>): string => {
  const { pinned, hot, cold, budget, folder } = cache
  const used = `${humanBytes(pinned + hot + cold)} of ${humanBytes(budget)}`
  return `${used} (pinned, hot, cold: ${classesText(cache)}) in ${folder}`
}

const classesText = (
  classes: { readonly pinned: number; readonly hot: number; readonly cold: number } | null,
): string =>
  classes === null
    ? '-'
    : [classes.pinned, classes.hot, classes.cold].map((bytes) => humanBytes(bytes)).join(', ')

const yearsText = ({ locked }: Pick<Stored, 'locked'>): string | undefined =>
  locked === null
    ? undefined
    : `${humanAmount(locked.gibYears)} GiB × years, to ${locked.until.slice(0, 10)}`

const lockedText = (stored: Stored): string => {
  const years = yearsText(stored)
  return years === undefined ? '' : `; locked: ${years}`
}

const costText = ({ cost }: Pick<Stored, 'cost'>): string | undefined =>
  cost === undefined
    ? undefined
    : `${humanAmount(cost.perMonth)} a month, ${humanAmount(cost.committed)} until all is free`
