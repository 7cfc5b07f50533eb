import { describe, expect, it } from 'vitest'
import { checkStore } from '../../src/db/check/check.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { manifestKey, manifestKeyIn } from '../../src/db/states/manifest-store.ts'
import { replayFolder } from '../../src/db/states/replays.ts'
import type { CollectionState, Manifest, SegmentEntry } from '../../src/format/manifest.ts'
import { encodeManifest, encodeState } from '../../src/format/manifest-codec.ts'
import { createTestMachine, type TestMachine } from '../support/memory-environment.ts'
import { ingestRows, testRows } from '../support/records.ts'

/** A collection of two segments of which one has a dead row. */
async function filled(): Promise<{ machine: TestMachine; head: Manifest }> {
  const machine = createTestMachine()
  const { environment, core } = machine.start()
  const docs = core('docs')
  await ingestRows(docs, testRows('a', 20))
  await ingestRows(docs, testRows('b', 3))
  await deleteRecords(docs, { ids: ['a1'] })
  await (await environment.audit()).checkpoint()
  return { machine, head: await docs.head() }
}

const problemsOf = async (machine: TestMachine) => {
  const { environment } = machine.start({ mode: 'read' })
  const keys = { trusted: async () => [machine.logKey] }
  return (await checkStore({ ...environment, keys }, { readData: true })).problems
}

/** A manifest that nothing is wrong with but its state. */
function manifestOf({ commit, digest }: Manifest, state: CollectionState, version: number) {
  const { bytes, stateRoot } = encodeState(state)
  const committedAt = new Date(Date.parse(commit.committedAt) + 1).toISOString()
  const parent = version === 1 ? null : digest
  return encodeManifest({ ...commit, version, parent, committedAt, stateRoot }, bytes)
}

const again = ({ segments, nextSegment: key }: CollectionState): SegmentEntry[] =>
  segments[0] === undefined ? [] : [...segments, { ...segments[0], key }]

const withoutTombstones = ({ tombstones: _, ...entry }: SegmentEntry): SegmentEntry => entry

const LIES: readonly [string, (state: CollectionState) => Partial<CollectionState>, RegExp][] = [
  [
    'the same rows in two segments',
    (state) => ({
      segments: again(state).map(withoutTombstones),
      nextSegment: state.nextSegment + 1,
    }),
    /an id is alive in two segments/,
  ],
  ['a source that is not listed', () => ({ sources: [] }), /names source \d, which is not listed/],
]

describe('check', () => {
  it.each(LIES)('finds %s in a head, and in an opened replay', async (_, lie, message) => {
    const { machine, head } = await filled()
    expect(await problemsOf(machine)).toEqual([])
    const state = { ...head.state, ...lie(head.state) }
    const version = head.commit.version + 1
    const keys = [
      manifestKey('docs', version),
      manifestKeyIn(replayFolder({ name: 'docs', head: '0123456789ab' }), 1),
    ]
    await machine.store.put(keys[0] ?? '', manifestOf(head, state, version))
    await machine.store.put(keys[1] ?? '', manifestOf(head, state, 1))
    const found = (await problemsOf(machine)).filter(({ key }) => keys.includes(key))
    for (const key of keys) {
      expect(found).toContainEqual({
        code: 'INTEGRITY',
        key,
        message: expect.stringMatching(message),
      })
    }
  })

  it('does not mind rows that were deleted and are alive again', async () => {
    const { machine, head } = await filled()
    const state = { ...head.state, segments: head.state.segments.map(withoutTombstones) }
    const key = manifestKey('docs', head.commit.version + 1)
    await machine.store.put(key, manifestOf(head, state, head.commit.version + 1))
    expect((await problemsOf(machine)).filter((problem) => problem.key === key)).toEqual([])
  })
})
