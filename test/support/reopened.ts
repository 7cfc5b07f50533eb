import { expect } from 'vitest'
import { checkStore } from '../../src/db/check/check.ts'
import { checkOutcomes, recoverActs } from '../../src/db/collection/recover.ts'
import type { TestMachine } from './memory-environment.ts'
import { recordsOf } from './records.ts'

/** Records of all collections as a fresh process sees them. */
export async function contents(machine: TestMachine): Promise<string> {
  const { core } = machine.start()
  const found: unknown[] = []
  for (const name of ['docs', 'notes']) {
    const head = await core(name).manifests.newest()
    const exists = head !== undefined && head.state.dropped !== true
    const records = exists ? await recordsOf(core(name)) : []
    const ids = records.map(([id]) => id)
    expect(new Set(ids).size, 'no record twice').toBe(ids.length)
    found.push([name, records])
  }
  return JSON.stringify(found)
}

/** What opening for writing does, and then everything that can be checked. */
export async function reopen(machine: TestMachine): Promise<void> {
  const { environment } = machine.start()
  await recoverActs(environment)
  await checkOutcomes(environment)
  const keys = { trusted: async () => [machine.logKey] }
  const { environment: reader } = machine.start({ mode: 'read' })
  const { problems } = await checkStore({ ...reader, keys }, { readData: true })
  expect(problems).toEqual([])
}

/** Begun acts and their outcomes, as many of one as of the other. */
export async function expectOutcomes(machine: TestMachine): Promise<void> {
  const open = new Map<string, number>()
  for await (const entry of (await machine.start().environment.audit()).read()) {
    if (entry.actId === undefined) continue
    const change = entry.phase === 'intent' ? 1 : -1
    open.set(entry.actId, (open.get(entry.actId) ?? 0) + change)
  }
  expect([...open.values()].filter((count) => count !== 0)).toEqual([])
}
