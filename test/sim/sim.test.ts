import { describe, expect, it } from 'vitest'
import * as broken from './altered-store.ts'
import { runSchedule, type ScheduleResult } from './schedule.ts'
import type { Mutation } from './site.ts'

/** Schedules of a normal run; SIM_SCHEDULES asks for more, SIM_SEED replays one. */
const SCHEDULES = Number(process.env.SIM_SCHEDULES ?? 2_000)
/** Schedules after which a broken promise must have shown. */
const MUTANT_SCHEDULES = 2_000
/** What a reader says that misses something. */
const LOST = /overwritten before|nobody wrote that/
const OWNER_LOCK = /^owner$/
const COMMIT_LOCKS = /^[0-9a-f]{32}$/

const given = process.env.SIM_SEED
const firstSeed = given === undefined ? Date.now() % 2 ** 31 : Number(given)
const seeds = given === undefined ? SCHEDULES : 1

function report({ seed, failure }: ScheduleResult): string {
  const { error, trace = [] } = failure ?? {}
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return [`SIM_SEED=${seed} replays this schedule; its last steps:`, ...trace, reason].join('\n')
}

describe('a simulated machine', () => {
  it(`keeps every promise in ${seeds} schedules from seed ${firstSeed}`, async () => {
    let commits = 0
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const result = await runSchedule(seed)
      if (result.failure !== undefined) expect.fail(report(result))
      commits += result.commits
    }
    expect(commits).toBeGreaterThan(seeds)
  }, 1_200_000)

  it('does the same again from the same seed', async () => {
    for (const seed of [firstSeed, 1, 2, 3, 4, 5]) {
      const [first, second] = [await runSchedule(seed), await runSchedule(seed)]
      expect(second.traceHash).toBe(first.traceHash)
      expect(second.steps).toBe(first.steps)
    }
    const [one, other] = [await runSchedule(1), await runSchedule(2)]
    expect(one.traceHash).not.toBe(other.traceHash)
  })
})

describe('the simulation notices', () => {
  // Some shows soon only from a seed on that is given: up to MUTANT_SCHEDULES are tried from there.
  const mutations: readonly (readonly [string, Mutation, RegExp, firstSeed?: number])[] = [
    ['commits without tombstones', { store: broken.withoutTombstones }, /twice|holds|tombstone/],
    ['commits that lack a segment', { store: broken.withoutLastSegment }, /holds/],
    [
      'a lost race that is taken for won',
      { store: broken.withoutConflicts, unshared: COMMIT_LOCKS },
      LOST,
      120,
    ],
    ['writes that are acknowledged too early', { ackEarly: true }, LOST],
    ['garbage collection that ignores pins', { store: broken.withoutPins }, /missing/],
    [
      'log owners that do not see each other',
      { store: broken.withoutOwners, unshared: OWNER_LOCK },
      /overwritten|nobody wrote|cannot read wal/,
    ],
    ['acts that nobody recovers', { withoutRecovery: true }, /no outcome/],
    [
      'garbage collection that ignores the pins of other machines',
      { store: broken.withoutPins, isShared: true },
      /missing/,
      830,
    ],
    [
      'rows that were acknowledged here alone and are not found again',
      { state: broken.withoutOutbox, isShared: true, isLocal: true },
      /silently lost/,
    ],
    [
      'log owners on two machines that do not see each other',
      { store: broken.withoutOwners, isShared: true },
      /overwritten|nobody wrote|damaged/,
      30,
    ],
  ]
  for (const [name, mutation, expected, firstSeed = 1] of mutations) {
    it(name, async () => {
      expect(await failures(mutation, expected, firstSeed)).toMatch(expected)
    })
  }
})

/** The first failure of the expected kind, or all that there were. */
async function failures(mutation: Mutation, expected: RegExp, firstSeed: number): Promise<string> {
  const seen: string[] = []
  for (let seed = firstSeed; seed < firstSeed + MUTANT_SCHEDULES; seed++) {
    const { failure } = await runSchedule(seed, mutation)
    if (failure === undefined) continue
    const text = String(failure.error)
    if (expected.test(text)) return text
    seen.push(text)
  }
  throw new Error(`nothing of that kind in ${MUTANT_SCHEDULES} schedules: ${seen.join('; ')}`)
}
