import type { LogEntry } from '../../src/db/wal/log-entry.ts'
import { hasOpenRows, LogOwner } from '../../src/db/wal/log-owner.ts'
import type { Writes } from './history.ts'
import { readOnce } from './reader.ts'
import { isDeath, type SimProcess } from './sim-process.ts'
import { act, IDS, isAllowed, newValue, type Role, type Site, vectorOf } from './site.ts'

const TRIES = 6
const RETRY_MS = 3_000

/** Owns the write-ahead log: clients write at the same time, and it folds now and then. */
export function logWriter(site: Site, name: string, writes: number): Role {
  let left = writes
  const take = (): boolean => left-- > 0
  return {
    name,
    restarts: 3,
    work: async (process) => {
      const owner = await become(site, process)
      if (owner === undefined) return
      process.owner = owner
      site.ownerProcess = process
      const clients = Array.from({ length: 1 + site.dice.below(3) }, () =>
        client(site, process, owner, take),
      )
      await allOf(clients)
      if (site.ownerProcess === process) site.ownerProcess = undefined
      // A real one commits what is left when it closes, and may be killed before.
      if (site.dice.chance(0.8)) await quietly(site, () => owner.close())
      process.owner = undefined
    },
  }
}

async function become(site: Site, process: SimProcess): Promise<LogOwner | undefined> {
  for (let i = 0; i < TRIES; i++) {
    try {
      return await LogOwner.start(process.environment, { timer: false })
    } catch (error) {
      if (!isAllowed(site, error, 'LOCKED')) throw error
    }
    await process.environment.clock.sleep(RETRY_MS)
  }
  site.scheduler.note(`${process.name} gives up becoming the log's owner`)
  return undefined
}

async function client(
  site: Site,
  process: SimProcess,
  owner: LogOwner,
  take: () => boolean,
): Promise<void> {
  const { dice } = site
  while (take()) {
    const roll = dice.below(10)
    if (roll === 0) await quietly(site, () => owner.fold())
    else if (roll === 1) await readOnce(site, process)
    else if ((await write(site, process, owner)) === 'failed') return
  }
}

async function write(site: Site, process: SimProcess, owner: LogOwner): Promise<'done' | 'failed'> {
  const { dice } = site
  const writes: Writes = new Map(
    Array.from({ length: 1 + dice.below(2) }, () => [
      dice.pick(IDS),
      dice.chance(0.25) ? undefined : newValue(site),
    ]),
  )
  const mayFailWith = ['CONFLICT', 'LOCKED'] as const
  return await act(site, process, { kind: 'log', writes, mayFailWith }, async () => {
    const head = await process.core.head()
    const log = await owner.log(process.core, head)
    const written = log.write([...writes].map(([id, value]) => entryOf(site, id, value)))
    if (site.mutation.ackEarly === true) written.catch(() => undefined)
    else await written
  })
}

function entryOf(site: Site, id: string, value: number | undefined): LogEntry {
  if (value === undefined) return { kind: 'delete', id }
  const row = { id, vector: vectorOf(site, value), payload: new Map([['v', value]]) }
  return { kind: 'upsert', row }
}

/** As a command beside the owner does: has it commit its log, or commits a dead owner's. */
export async function flushLog(site: Site, process: SimProcess): Promise<void> {
  const running = site.ownerProcess
  const isHere = running?.machine === process.machine
  if (isHere && running.owner !== undefined && !site.scheduler.isDead(running.name)) {
    try {
      await running.owner.flush(running.core)
      return
    } catch (error) {
      if (!isDeath(error)) throw error
    }
  }
  if (site.scheduler.isDead(process.name)) return
  await flushOrphan(process)
}

/** Commits what the log of a dead owner holds, as its next owner. */
export async function flushOrphan({ core, environment }: SimProcess): Promise<void> {
  if (!(await hasOpenRows(core, await core.head()))) return
  const owner = await LogOwner.start(environment, { timer: false })
  try {
    await owner.flush(core)
  } finally {
    await owner.close()
  }
}

/** Waits for all, and then throws what the first that failed threw. */
async function allOf(work: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(work)
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

async function quietly(site: Site, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!isAllowed(site, error, 'CONFLICT', 'LOCKED')) throw error
  }
}
