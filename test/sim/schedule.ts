import { appender } from './appender.ts'
import { createDice, type Dice } from './dice.ts'
import { checkEnd } from './final-check.ts'
import { History } from './history.ts'
import { logWriter } from './log-writer.ts'
import { Observer } from './observer.ts'
import { collector, reader } from './reader.ts'
import { type Odds, Scheduler } from './scheduler.ts'
import { createTemplate, machineOf, machinesBeside, type Template } from './sim-process.ts'
import { type Mutation, type Role, runRole, type Site } from './site.ts'

const START_MS = Date.UTC(2026, 1, 1)
/** One schedule in so many has vectors: they cost time and change nothing for commits. */
const WITH_VECTORS = 8
const DIMENSION = 2
/** Schedules in a folder to one in a bucket. */
const IN_A_FOLDER = 2
/**
 * Locks that keep nobody out, in some schedules: that of a commit, where create-if-absent alone
 * decides (two machines), that of the log's owner, where epochs alone decide, or both.
 */
const UNSHARED = [
  ...Array.from({ length: 6 }, () => undefined),
  /^[0-9a-f]{32}$/,
  /^owner$/,
  /^([0-9a-f]{32}|owner)$/,
]

export interface ScheduleResult {
  readonly seed: number
  readonly steps: number
  readonly commits: number
  /** Of every step in its order: equal for equal seeds. */
  readonly traceHash: string
  /** The end of the trace, where it failed. */
  readonly failure?: { readonly error: unknown; readonly trace: readonly string[] }
}

const templates = new Map<string, Promise<Template>>()

function templateOf(dimension: number | undefined, isShared: boolean): Promise<Template> {
  const key = `${dimension} ${isShared}`
  const known = templates.get(key) ?? createTemplate(dimension, isShared)
  templates.set(key, known)
  return known
}

/** Runs the schedule of one seed to its end and checks everything. */
export async function runSchedule(seed: number, mutation: Mutation = {}): Promise<ScheduleResult> {
  const dice = createDice(seed)
  const dimension = dice.below(WITH_VECTORS) === 0 ? DIMENSION : undefined
  const kills = new Map<string, () => void>()
  const isShared = mutation.isShared ?? dice.below(IN_A_FOLDER + 1) === 0
  const odds = oddsOf(dice, isShared)
  const isLocal = mutation.isLocal ?? (isShared && dice.below(3) === 0)
  const scheduler = new Scheduler({
    dice,
    odds,
    startMs: START_MS,
    kill: (process) => kills.get(process)?.(),
  })
  const machine = await machineOf(
    await templateOf(dimension, isShared),
    seed,
    scheduler.machineClock(),
  )
  const history = new History(() => scheduler.steps)
  const observer = new Observer(machine, history, (error) => scheduler.fail(error))
  const site: Site = {
    machine,
    machines: isShared ? [machine, ...(await machinesBeside(machine))] : [machine],
    scheduler,
    dice,
    history,
    observer,
    mutation,
    dimension,
    sickDisk: odds.diskError > 0,
    sickNet: odds.netError > 0,
    unshared: mutation.unshared ?? (isShared ? undefined : dice.pick(UNSHARED)),
    isLocal,
    kills,
    gcRuns: 0,
    ownerProcess: undefined,
    nextValue: 1,
  }
  const result = () => ({
    seed,
    steps: scheduler.steps,
    commits: observer.commits.size,
    traceHash: scheduler.traceHash,
  })
  try {
    await observer.start()
    for (const role of rolesOf(site)) runRole(site, role)
    await scheduler.run()
    await checkEnd(site)
    return result()
  } catch (error) {
    return { ...result(), failure: { error, trace: [...scheduler.trace] } }
  }
}

function oddsOf(dice: Dice, isShared: boolean): Odds {
  return {
    stay: dice.pick([0, 0.3, 0.7, 0.9, 0.97]),
    pause: dice.pick([0, 0.002, 0.01]),
    crash: dice.pick([0, 0.003, 0.01]),
    crashesMax: dice.below(4),
    diskError: dice.pick([0, 0, 0.01]),
    powerCut: dice.pick([0, 0, 0.002]),
    netError: isShared ? dice.pick([0, 0.003, 0.02]) : 0,
  }
}

function rolesOf(site: Site): Role[] {
  const { dice } = site
  const roles: Role[] = []
  const appenders = dice.below(3)
  for (let i = 0; i < appenders; i++) roles.push(appender(site, `appender${i}-`, 1 + dice.below(4)))
  const owners = appenders === 0 ? 1 + dice.below(2) : dice.below(3)
  for (let i = 0; i < owners; i++) roles.push(logWriter(site, `owner${i}-`, 2 + dice.below(8)))
  if (dice.chance(0.6)) roles.push(reader(site, 'reader-', 1 + dice.below(5)))
  // Between machines, pins alone do not hold back a collector for ever.
  const alone = site.unshared !== undefined
  if (!alone && dice.chance(0.5)) roles.push(collector(site, 'gc-', 1 + dice.below(2)))
  return roles
}
