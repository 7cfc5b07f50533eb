import type { Condition, FieldCondition, Filter } from './condition.ts'
import { type IndexedSegment, passesMissing } from './field-selection.ts'

/**
 * Live rows of the segment that a filter lets through, at most: never fewer than there are. From
 * sizes of postings, without joining them.
 */
export function estimateFilter(filter: Filter, segment: IndexedSegment): number {
  return combine(filter, segment, (condition) => estimateCondition(condition, segment))
}

function combine(
  { must, should, minShould }: Filter,
  segment: IndexedSegment,
  estimate: (condition: Condition) => number,
): number {
  const sumOf = (conditions: readonly Condition[]): number =>
    conditions.reduce((sum, condition) => sum + estimate(condition), 0)
  let rows = segment.rows
  for (const condition of must) rows = Math.min(rows, estimate(condition))
  if (should.length > 0) rows = Math.min(rows, sumOf(should))
  if (minShould !== undefined && minShould.count > 0) {
    // Each row that passes is counted at least that often.
    rows = Math.min(rows, Math.floor(sumOf(minShould.conditions) / minShould.count))
  }
  return rows
}

function estimateCondition(condition: Condition, segment: IndexedSegment): number {
  if (condition.kind === 'filter') return estimateFilter(condition.filter, segment)
  // An id names one live row at most.
  if (condition.kind === 'has_id') return condition.ids.length
  if (condition.kind === 'nested') return estimateElements(condition, '', segment)
  return estimateField(condition, condition.key, segment)
}

function estimateField(condition: FieldCondition, key: string, segment: IndexedSegment): number {
  const index = segment.keyIndex(key)
  if (index !== undefined) return Math.min(segment.rows, index.estimate(condition))
  return segment.overflow || passesMissing(condition) ? segment.rows : 0
}

/** As many rows as its conditions leave, each asked of all elements together. */
function estimateElements(
  { key, filter }: Extract<Condition, { kind: 'nested' }>,
  prefix: string,
  segment: IndexedSegment,
): number {
  const path = `${prefix}${key}.`
  const inside = (condition: Condition): number => {
    if (condition.kind === 'filter') return combine(condition.filter, segment, inside)
    if (condition.kind === 'nested') return estimateElements(condition, path, segment)
    if (condition.kind === 'has_id' || passesMissing(condition)) return segment.rows
    return estimateField(condition, path + condition.key, segment)
  }
  return combine(filter, segment, inside)
}
