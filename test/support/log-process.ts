import { fromPlain, type JsonObject } from '../../src/core/json.ts'
import type { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { createCollection } from '../../src/db/collection/lifecycle.ts'
import type { LogEntry } from '../../src/db/wal/log-entry.ts'
import { LogOwner } from '../../src/db/wal/log-owner.ts'
import type { OwnedLog } from '../../src/db/wal/owned-log.ts'
import type { StepHook } from './fault-store.ts'
import type { TestMachine, TestProcess } from './memory-environment.ts'
import { recordsOf } from './records.ts'

/** A process that takes single writes of the collection "docs". */
export interface OwnerProcess {
  readonly process: TestProcess
  readonly core: CollectionCore
  readonly owner: LogOwner
  log(): Promise<OwnedLog>
  /** Upserts ids with `n` as their payload; acknowledged when it resolves. */
  put(ids: readonly string[], n: number): Promise<void>
}

/** Makes the collection "docs": vectors of two dimensions. */
export async function makeDocs(machine: TestMachine): Promise<void> {
  await createCollection(machine.start().core('docs'), { dimension: 2, metric: 'l2' })
}

export async function startOwner(machine: TestMachine, hook?: StepHook): Promise<OwnerProcess> {
  let owner: LogOwner | undefined
  const process = machine.start({ owner: () => owner, ...(hook === undefined ? {} : { hook }) })
  const started = await LogOwner.start(process.environment, { timer: false })
  owner = started
  const core = process.core('docs')
  const log = async (): Promise<OwnedLog> => await started.log(core, await core.head())
  return {
    process,
    core,
    owner: started,
    log,
    put: async (ids, n) => (await log()).write(ids.map((id) => upsert(id, n))),
  }
}

export const upsert = (id: string, n: number): LogEntry => ({
  kind: 'upsert',
  row: { id, vector: Float32Array.of(n, 1), payload: fromPlain({ n }) as JsonObject },
})

/** What a process sees of "docs": `id=n` of every record, in order of ids. */
export async function seenBy(process: TestProcess | OwnerProcess): Promise<string[]> {
  const core = process.core instanceof Function ? process.core('docs') : process.core
  return (await recordsOf(core)).map(([id, payload]) => {
    const members = new Map(JSON.parse(payload) as [string, unknown][])
    return `${id}=${String(members.get('n'))}`
  })
}
