import { describe, expect, it } from 'vitest'
import { planSegment } from '../../src/search/planner.ts'

const input = {
  matching: 20_000,
  rows: 20_000,
  dimension: 768,
  k: 10,
  ef: 128,
  hasGraph: true,
  exact: false,
}

describe('planSegment', () => {
  it('walks the graph where many rows match', () => {
    expect(planSegment(input).kind).toBe('graph')
    expect(planSegment({ ...input, matching: 10_000 }).kind).toBe('graph')
  })

  it('scans just the rows where few match', () => {
    for (const matching of [1, 10, 32, 200]) {
      expect(planSegment({ ...input, matching }).kind).toBe('scan-int8')
    }
  })

  it('changes from scan to walk once as more rows match', () => {
    const kinds = Array.from({ length: 200 }, (_, i) =>
      planSegment({ ...input, matching: i * 100 + 1 }),
    )
    const changes = kinds.filter((plan, i) => i > 0 && plan.kind !== kinds[i - 1]?.kind)
    expect(changes.map(({ kind }) => kind)).toEqual(['graph'])
  })

  it('takes a walk of as many candidates as asked for, which costs no more with a filter', () => {
    const plans = [20_000, 19_999, 15_000, 10_000, 7_000].map((matching) =>
      planSegment({ ...input, matching }),
    )
    expect(plans.map(({ kind, ef }) => [kind, ef])).toEqual(plans.map(() => ['graph', 128]))
    const costs = plans.map(({ estimatedNs }) => estimatedNs.graph as number)
    expect(Math.max(...costs.slice(0, 4))).toBeLessThan((costs[0] as number) * 1.1)
    const many = { ...input, rows: 1_000_000, matching: 500_000, k: 100, ef: 300 }
    expect(planSegment(many)).toMatchObject({ kind: 'graph', ef: 300 })
  })

  it('scans where there is no graph, and in float32 where the answer must be exact', () => {
    expect(planSegment({ ...input, hasGraph: false }).kind).toBe('scan-int8')
    expect(planSegment({ ...input, exact: true }).kind).toBe('scan-f32')
  })

  it('scans the codes that there are, each at its own cost', () => {
    const forms = (['int8', 'pq', 'binary'] as const).map((form) =>
      planSegment({ ...input, hasGraph: false, form }),
    )
    expect(forms.map(({ kind }) => kind)).toEqual(['scan-int8', 'scan-pq', 'scan-binary'])
    const costs = forms.map(({ kind, estimatedNs }) => estimatedNs[kind as 'graph'] as number)
    expect(costs).toEqual([...costs].sort((a, b) => b - a))
  })

  it('does nothing where no row matches', () => {
    for (const exact of [true, false]) {
      expect(planSegment({ ...input, matching: 0, exact }).kind).toBe('none')
    }
  })

  it('is the same plan every time, and survives JSON', () => {
    const plan = planSegment(input)
    expect(planSegment(input)).toEqual(plan)
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan)
    expect(plan.estimatedNs.graph).toBeLessThan(plan.estimatedNs['scan-int8'] as number)
  })
})
