import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { OpenCollection } from '../../src/db/collection.ts'
import { inputFile, lines, tempStore } from '../support/temp-store.ts'

/** Three commits: create, an ingest of 4, an ingest that updates 1 and adds 2. */
async function threeStates(): Promise<{ docs: OpenCollection; roots: string[] }> {
  const store = await tempStore()
  const docs = store.prospect('docs')
  const folder = dirname(store.url)
  const a = await inputFile(folder, 'a.jsonl', lines('r', 4))
  const b = await inputFile(folder, 'b.jsonl', lines('r', 3, 3).replace('"n":3', '"n":33'))
  await docs.ingest({ inputs: [a] })
  await docs.ingest({ inputs: [b] })
  const roots = new Map<number, string>()
  for await (const entry of docs.log()) roots.set(entry.version, entry.stateRoot)
  return { docs, roots: [1, 2, 3].map((version) => roots.get(version) ?? '') }
}

const countAt = async (docs: OpenCollection, asOf?: string): Promise<number> =>
  (await docs.info(asOf === undefined ? {} : { asOf })).count

describe('the log', () => {
  it('tells every commit, newest first', async () => {
    const { docs, roots } = await threeStates()
    await docs.snapshots.create('friday')
    const entries = []
    for await (const entry of docs.log()) entries.push(entry)
    expect(entries).toMatchObject([
      {
        version: 3,
        act: 'ingest',
        inserted: 2,
        updated: 1,
        deleted: 0,
        source: 'b.jsonl',
        labels: ['friday'],
      },
      { version: 2, act: 'ingest', inserted: 4, updated: 0, source: 'a.jsonl', labels: [] },
      { version: 1, act: 'create', inserted: 0, labels: [] },
    ])
    expect(entries.map(({ stateRoot }) => stateRoot).toReversed()).toEqual(roots)
    const limited = []
    for await (const entry of docs.log({ limit: 1 })) limited.push(entry.version)
    expect(limited).toEqual([3])
  })
})

describe('an older state', () => {
  it('is read by version, label, state root and time', async () => {
    const { docs, roots } = await threeStates()
    const entries = []
    for await (const entry of docs.log()) entries.push(entry)
    const [third, second, first] = entries
    await docs.snapshots.create('now')
    await docs.delete({ ids: ['r0'] })
    expect(await countAt(docs)).toBe(5)
    expect(await countAt(docs, 'now')).toBe(6)
    expect(await countAt(docs, '2')).toBe(4)
    expect(await countAt(docs, roots[1])).toBe(4)
    expect(await countAt(docs, second?.committedAt)).toBe(4)
    const between = new Date(Date.parse(third?.committedAt ?? '') - 1).toISOString()
    expect(await countAt(docs, between)).toBe(4)
    const [old] = await docs.get(['r3'], { asOf: '2' })
    expect(old?.payload.get('n')).toBe(3)
    const early = new Date(Date.parse(first?.committedAt ?? '') - 1).toISOString()
    await expect(docs.info({ asOf: early })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it.each([
    ['99', 'NOT_FOUND'],
    ['0', 'NOT_FOUND'],
    ['9'.repeat(30), 'NOT_FOUND'],
    ['nolabel', 'NOT_FOUND'],
    ['0'.repeat(64), 'NOT_FOUND'],
    ['2026-07-01T00:00:00', 'USAGE'],
    ['../x', 'USAGE'],
    ['', 'USAGE'],
  ])('named "%s" is %s', async (asOf, code) => {
    const { docs } = await threeStates()
    await expect(docs.info({ asOf })).rejects.toMatchObject({ code })
  })
})

describe('a diff', () => {
  it('counts and lists what changed, bytewise by id, at most the limit', async () => {
    const { docs } = await threeStates()
    expect(await docs.diff('2', '3')).toMatchObject({
      inserted: 2,
      updated: 1,
      deleted: 0,
      changes: [
        { id: 'r3', change: 'updated' },
        { id: 'r4', change: 'inserted' },
        { id: 'r5', change: 'inserted' },
      ],
    })
    expect(await docs.diff('3', '2', { limit: 1 })).toMatchObject({
      inserted: 0,
      updated: 1,
      deleted: 2,
      changes: [{ id: 'r3', change: 'updated' }],
    })
    expect(await docs.diff('3', '3')).toMatchObject({ inserted: 0, updated: 0, deleted: 0 })
  })

  it('does not see a merge', async () => {
    const { docs } = await threeStates()
    await docs.compact()
    const { manifestVersion } = await docs.info()
    expect(manifestVersion).toBe(4)
    expect(await docs.diff('3', '4')).toMatchObject({ inserted: 0, updated: 0, deleted: 0 })
  })
})

describe('a revert', () => {
  it('undoes an ingest by committing the old state forward', async () => {
    const { docs, roots } = await threeStates()
    expect(await docs.revert('2', { dryRun: true })).toMatchObject({ deleted: 2, updated: 1 })
    expect((await docs.info()).manifestVersion).toBe(3)
    const result = await docs.revert('2')
    expect(result).toMatchObject({ inserted: 0, updated: 1, deleted: 2, manifestVersion: 4 })
    expect(result.stateRoot).toBe(roots[1])
    expect((await docs.get(['r3', 'r4'])).map((r) => r?.payload.get('n'))).toEqual([3, undefined])
    expect(await countAt(docs, '3')).toBe(6)
    // The state is the current one already: nothing is committed.
    expect((await docs.revert('2')).manifestVersion).toBe(4)
  })

  it('takes files again that it undid', async () => {
    const { docs } = await threeStates()
    await docs.revert('2')
    const file = `${dirname(docs.core.environment.store.url)}/b.jsonl`
    expect(await docs.ingest({ inputs: [file] })).toMatchObject({ inserted: 2, updated: 1 })
  })
})

describe('snapshots', () => {
  it('pin a state under a label', async () => {
    const { docs, roots } = await threeStates()
    const friday = await docs.snapshots.create('friday')
    expect(friday).toMatchObject({ label: 'friday', version: 3, stateRoot: roots[2] })
    await expect(docs.snapshots.create('friday')).rejects.toMatchObject({ code: 'EXISTS' })
    await docs.snapshots.create('Friday')
    expect((await docs.snapshots.list()).map(({ label }) => label)).toEqual(['Friday', 'friday'])
    await docs.snapshots.drop('friday')
    await expect(docs.snapshots.drop('friday')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(docs.info({ asOf: 'friday' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it.each(['', '1a', 'a/b', 'a'.repeat(64), '../x', 'ä'])(
    'refuse the label "%s"',
    async (label) => {
      const { docs } = await threeStates()
      await expect(docs.snapshots.create(label)).rejects.toMatchObject({ code: 'USAGE' })
      await expect(docs.snapshots.drop(label)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    },
  )
})
