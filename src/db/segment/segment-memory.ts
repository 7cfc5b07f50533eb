import type { Placement, VectorIndex } from '../../ann/vector-index.ts'
import type { Clock } from '../../core/clock.ts'
import type { IndexParameters, VectorSpec } from '../../core/schema.ts'
import type { CollectionState, SegmentEntry } from '../../format/manifest.ts'
import type { Holder, MemoryBudget } from '../states/memory-budget.ts'
import { checkLeast, type PlacementPlan, placeSegments } from './placement.ts'
import type { ForeignIndexLoader } from './segment-index.ts'
import { leastOf, type SegmentNeed, segmentNeed } from './segment-need.ts'
import type { SegmentReader } from './segment-reader.ts'
import { type View, vectorSpecOf } from './view.ts'

export interface SegmentMemoryOptions {
  /** Of the collection, for messages. */
  readonly name: string
  /** Shared by the collections of a store; absent: all rows in memory. */
  readonly budget: MemoryBudget | undefined
  readonly clock: Pick<Clock, 'nowMs'>
  /** Threads that may search a segment at once. */
  readonly contexts: () => number
  readonly foreign: ForeignIndexLoader | undefined
}

/** What one state's segments need, and where their rows go. */
export interface StatePlan extends PlacementPlan {
  readonly needs: readonly SegmentNeed[]
}

interface KeptPlan {
  readonly digest: string
  /** What others held when it was made, and when that was looked at last. */
  readonly taken: number
  changes: number
  checkedMs: number
  readonly plan: StatePlan
}

/** Others that fall idle are noticed this much later at most. */
const CHECK_MS = 1_000

/**
 * Opens the vector indexes of one collection's segments within the store's budget: the rows of some
 * in memory, those of others on disk. The results of searches are the same.
 */
export class SegmentMemory {
  readonly #options: SegmentMemoryOptions
  readonly #holders = new WeakMap<SegmentReader, Holder>()
  readonly #needs = new WeakMap<SegmentEntry, SegmentNeed>()
  #kept: KeptPlan | undefined

  constructor(options: SegmentMemoryOptions) {
    this.#options = options
  }

  /** All that the segments of this store may take; undefined: no limit. */
  get budgetBytes(): number | undefined {
    return this.#options.budget?.bytes
  }

  /** What the segments that are open now hold. */
  get heldBytes(): number {
    return this.#options.budget?.heldBy(this) ?? 0
  }

  /**
   * The index of a view's segment, opened where it is not.
   *
   * @param number place of the segment in the view
   * @param whole  with its rows in memory, where they are to be there (see IndexOpening)
   * @throws LIMIT where the state does not fit the budget, before anything is loaded; INTEGRITY
   */
  async index(view: View, number: number, whole = false): Promise<VectorIndex> {
    const { budget, foreign } = this.#options
    const { state } = view.manifest
    const spec = vectorSpecOf(state.schema)
    const segment = view.segments[number]
    if (spec === undefined || segment === undefined) throw new Error('a segment without vectors')
    const { reader } = segment
    const opening = { foreign, whole }
    if (budget === undefined) return await reader.vectorIndex(spec, state.index, opening)
    const plan = this.#planOf(view)
    const placement = plan.placements[number] as Placement
    const need = plan.needs[number] as SegmentNeed
    const holder = this.#holderOf(reader)
    if (this.#mayStay(reader, placement, need)) {
      budget.touch(holder)
      return await reader.vectorIndex(spec, state.index, opening)
    }
    reader.forgetIndex()
    budget.take(holder, leastOf(need) + (need.movable && placement === 'memory' ? need.vectors : 0))
    try {
      const onGone = (): void => budget.release(holder)
      return await reader.vectorIndex(spec, state.index, { ...opening, placement, onGone })
    } catch (error) {
      budget.release(holder)
      throw error
    }
  }

  /** Where a state's rows go, were it the one that is searched; undefined without vectors. */
  planFor({ schema, index, segments }: CollectionState): StatePlan | undefined {
    const spec = vectorSpecOf(schema)
    if (spec === undefined) return undefined
    const needs = segments.map((entry) => this.#needOf(entry, spec, index))
    return { needs, ...placeSegments(needs, this.#room(needs)) }
  }

  /** It is closed: what its segments held is free. */
  release(readers: Iterable<SegmentReader>): void {
    for (const reader of readers) {
      const holder = this.#holders.get(reader)
      if (holder !== undefined) this.#options.budget?.release(holder)
    }
    this.#kept = undefined
  }

  #planOf(view: View): StatePlan {
    const { budget, name, clock } = this.#options
    const { digest, state } = view.manifest
    const kept = this.#kept?.digest === digest ? this.#kept : undefined
    const [changes, checkedMs] = [budget?.changes ?? 0, clock.nowMs()]
    if (kept?.changes === changes && checkedMs - kept.checkedMs < CHECK_MS) return kept.plan
    const taken = budget?.heldByOthers(this) ?? 0
    if (kept?.taken === taken) {
      Object.assign(kept, { changes, checkedMs })
      return kept.plan
    }
    const plan = this.planFor(state) as StatePlan
    if (budget !== undefined) checkLeast(name, plan.least, budget.bytes)
    this.#kept = { digest, taken, changes, checkedMs, plan }
    return plan
  }

  /** What is in memory stays there until somebody needs the room; what can come back does. */
  #mayStay(reader: SegmentReader, placement: Placement, need: SegmentNeed): boolean {
    const open = reader.placement
    if (open === undefined) return false
    if (open === placement || open === 'memory') return true
    const { budget } = this.#options
    return budget === undefined || budget.used + need.vectors > budget.bytes
  }

  /** Others that are in use keep what they have, as long as the least fits. */
  #room(needs: readonly SegmentNeed[]): number {
    const { budget } = this.#options
    if (budget === undefined) return Infinity
    const least = needs.reduce((sum, need) => sum + leastOf(need), 0)
    return Math.max(least, budget.bytes - budget.heldByOthers(this))
  }

  #needOf(entry: SegmentEntry, spec: VectorSpec, parameters: IndexParameters): SegmentNeed {
    const need =
      this.#needs.get(entry) ?? segmentNeed(entry, spec, parameters, this.#options.contexts())
    this.#needs.set(entry, need)
    return need
  }

  #holderOf(reader: SegmentReader): Holder {
    const known = this.#holders.get(reader)
    if (known !== undefined) return known
    const holder = { owner: this, evict: () => reader.forgetIndex() }
    this.#holders.set(reader, holder)
    return holder
  }
}
