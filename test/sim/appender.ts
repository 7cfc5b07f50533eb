import { deleteRecords } from '../../src/db/collection/delete.ts'
import { revertTo } from '../../src/db/collection/history.ts'
import { IngestGroup } from '../../src/db/ingest/ingest-group.ts'
import { mergeSegments } from '../../src/db/rebuild/merge.ts'
import { createSnapshot } from '../../src/db/states/snapshots.ts'
import type { Writes } from './history.ts'
import { flushLog } from './log-writer.ts'
import type { SimProcess } from './sim-process.ts'
import { act, growOld, IDS, isAllowed, newValue, type Role, type Site, vectorOf } from './site.ts'

const SHA = '0'.repeat(64)

/** Ingests, deletes, merges, reverts and labels, one after the other. */
export function appender(site: Site, name: string, tasks: number): Role {
  let left = tasks
  return {
    name,
    restarts: 3,
    work: async (process) => {
      while (left-- > 0) await oneTask(site, process)
    },
  }
}

async function oneTask(site: Site, process: SimProcess): Promise<void> {
  await growOld(site, process)
  const roll = site.dice.below(20)
  if (roll < 10) await ingest(site, process)
  else if (roll < 12) await remove(site, process)
  else if (roll < 14) await sweep(site, process)
  else if (roll < 16) await revert(site, process)
  else if (roll < 19) await merge(site, process)
  else await snapshot(site, process)
}

async function ingest(site: Site, process: SimProcess): Promise<void> {
  const { dice } = site
  const rows = Array.from({ length: 1 + dice.below(4) }, () => [
    { id: dice.pick(IDS), value: newValue(site) },
  ]).flat()
  const writes: Writes = new Map(rows.map(({ id, value }) => [id, value]))
  const sealAfter = dice.below(8)
  const mayFailWith = ['CONFLICT', 'LOCKED'] as const
  await act(site, process, { kind: 'ingest', writes, mayFailWith }, async () => {
    const { core } = process
    const head = await core.head()
    const { schema, index } = head.state
    const group = new IngestGroup(core, { schema, index, withGraph: true })
    try {
      group.announce(SHA)
      for (const [i, { id, value }] of rows.entries()) {
        const vector = vectorOf(site, value)
        const payload = new Map([['v', value]])
        const record = { id, payload, position: i }
        group.add(vector === undefined ? record : { ...record, vector }, 0)
        if (i !== sealAfter) continue
        await group.seal()
        await growOld(site, process)
      }
      const source = { name: 'rows', sha256: SHA, options: SHA, rows: rows.length, rejected: 0 }
      group.addSource(source)
      await group.commit(head.commit.collection, schema.fields)
    } catch (error) {
      await group.abandon(error)
      throw error
    }
  })
  await mergeQuietly(site, process, 'policy')
}

async function remove(site: Site, process: SimProcess): Promise<void> {
  const ids = IDS.filter(() => site.dice.chance(0.3))
  if (ids.length === 0) return
  const writes: Writes = new Map(ids.map((id) => [id, undefined]))
  const mayFailWith = ['CONFLICT', 'LOCKED'] as const
  await act(site, process, { kind: 'delete', writes, mayFailWith }, async () => {
    await flushLog(site, process)
    await deleteRecords(process.core, { ids })
  })
}

/** A delete by filter: it decides about rows of segments, so the log is committed before. */
async function sweep(site: Site, process: SimProcess): Promise<void> {
  const below = Math.max(1, site.nextValue - site.dice.below(4))
  const writes: Writes = new Map(IDS.map((id) => [id, undefined]))
  const mayFailWith = ['CONFLICT', 'LOCKED'] as const
  await act(site, process, { kind: 'delete', writes, below, mayFailWith }, async () => {
    await flushLog(site, process)
    await deleteRecords(process.core, { filter: { must: [{ key: 'v', range: { lt: below } }] } })
  })
}

async function revert(site: Site, process: SimProcess): Promise<void> {
  const { observer, dice } = site
  const version = 1 + dice.below(observer.newest)
  const content = observer.commits.get(version)?.content
  const writes: Writes = new Map(IDS.map((id) => [id, content?.get(id)]))
  observer.target.set(process.name, version)
  const mayFailWith = ['CONFLICT', 'LOCKED', 'NOT_FOUND'] as const
  await act(site, process, { kind: 'revert', writes, mayFailWith }, async () => {
    await flushLog(site, process)
    await revertTo(process.core, String(version), false)
  })
}

async function merge(site: Site, process: SimProcess): Promise<void> {
  await mergeQuietly(site, process, site.dice.chance(0.7) ? 'compact' : 'policy')
}

async function mergeQuietly(
  site: Site,
  process: SimProcess,
  kind: 'policy' | 'compact',
): Promise<void> {
  try {
    await mergeSegments(process.core, { kind })
  } catch (error) {
    if (!isAllowed(site, error, 'CONFLICT', 'LOCKED')) throw error
  }
}

async function snapshot(site: Site, process: SimProcess): Promise<void> {
  try {
    await createSnapshot(process.core, `label${newValue(site)}`)
  } catch (error) {
    if (!isAllowed(site, error, 'LOCKED', 'CONFLICT')) throw error
  }
}
