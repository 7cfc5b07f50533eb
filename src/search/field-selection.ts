import { Bitset } from '../core/bitset.ts'
import { type Condition, type FieldCondition, type Filter, within } from './condition.ts'
import type { KeyIndex } from './key-index.ts'
import { atLeast, exactly, type Selection, SelectionBuilder } from './selection.ts'

/** What a filter is asked of: the keys of one segment. */
export interface IndexedSegment {
  readonly rows: number
  /** Whether a key that has no index may exist. */
  readonly overflow: boolean
  keyIndex(key: string): KeyIndex | undefined
}

interface Selector extends IndexedSegment {
  rowsOfId(id: string): readonly number[]
}

/** The rows of the segment that a filter lets through. */
export function selectFilter(filter: Filter, selector: Selector): Selection {
  return combine(filter, selector.rows, (condition) => selectCondition(condition, selector))
}

function combine(
  { must, should, mustNot, minShould }: Filter,
  rows: number,
  select: (condition: Condition) => Selection,
): Selection {
  const all = new SelectionBuilder(Bitset.full(rows))
  for (const condition of must) all.and(select(condition))
  if (should.length > 0) {
    const any = new SelectionBuilder(new Bitset(rows))
    for (const condition of should) any.or(select(condition))
    all.and(any.finish())
  }
  if (minShould !== undefined) {
    all.and(atLeast(rows, minShould.count, minShould.conditions.values().map(select)))
  }
  for (const condition of mustNot) all.andNot(select(condition))
  return all.finish()
}

function selectCondition(condition: Condition, selector: Selector): Selection {
  if (condition.kind === 'filter') return selectFilter(condition.filter, selector)
  if (condition.kind === 'has_id') {
    const rows = new Bitset(selector.rows)
    for (const id of condition.ids) for (const row of selector.rowsOfId(id)) rows.add(row)
    return exactly(rows)
  }
  if (condition.kind === 'nested') {
    return { sure: new Bitset(selector.rows), maybe: rowsOfElements(condition, '', selector) }
  }
  return selectField(condition, condition.key, selector)
}

function selectField(condition: FieldCondition, key: string, segment: IndexedSegment): Selection {
  const index = segment.keyIndex(key)
  if (index !== undefined) return index.select(condition)
  const none = new Bitset(segment.rows)
  if (segment.overflow) return { sure: none, maybe: Bitset.full(segment.rows) }
  return exactly(passesMissing(condition) ? none.not() : none)
}

/** Whether a condition on a field holds where there is no such field. */
export const passesMissing = (condition: FieldCondition): boolean =>
  condition.kind === 'is_empty' || (condition.kind === 'count' && within(0, condition.bounds))

/** An array that has elements. */
const FILLED: FieldCondition = { kind: 'count', key: '', bounds: { gt: 0 } }

/**
 * Rows in which one element of the array may pass. Each condition alone is asked of all elements
 * together, so the answer has rows too many and none too few; what an element must not be, or must
 * lack, says nothing of its neighbours and is left out.
 *
 * @param prefix path of the filters around it, ending with a dot
 */
function rowsOfElements(
  { key, filter }: Extract<Condition, { kind: 'nested' }>,
  prefix: string,
  segment: IndexedSegment,
): Bitset {
  const path = `${prefix}${key}`
  const rows = selectField(FILLED, path, segment).maybe
  const inside = combine({ ...filter, mustNot: [] }, segment.rows, (condition) =>
    exactly(rowsOfCondition(condition, `${path}.`, segment)),
  )
  return rows.and(inside.sure)
}

function rowsOfCondition(condition: Condition, prefix: string, segment: IndexedSegment): Bitset {
  if (condition.kind === 'filter') {
    const inside = { ...condition.filter, mustNot: [] }
    return combine(inside, segment.rows, (one) => exactly(rowsOfCondition(one, prefix, segment)))
      .maybe
  }
  if (condition.kind === 'nested') return rowsOfElements(condition, prefix, segment)
  if (condition.kind === 'has_id' || passesMissing(condition)) return Bitset.full(segment.rows)
  return selectField(condition, prefix + condition.key, segment).maybe
}
