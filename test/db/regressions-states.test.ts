import { describe, expect, it } from 'vitest'
import { type Act, runAct } from '../../src/db/states/acts.ts'
import { commitManifest } from '../../src/db/states/commit.ts'
import type { CollectionState } from '../../src/format/manifest.ts'
import { decodeState, encodeState } from '../../src/format/manifest-codec.ts'
import { checkState } from '../../src/transfer/check-state.ts'
import { createTestMachine } from '../support/memory-environment.ts'
import { ingestRows, testRows } from '../support/records.ts'

async function collection() {
  const machine = createTestMachine()
  const { environment, core } = machine.start()
  await ingestRows(core('docs'), testRows('a', 40))
  const head = await core('docs').manifests.newest()
  if (head === undefined) throw new Error('there is a head')
  const [segment] = head.state.segments
  if (segment === undefined) throw new Error('there is a segment')
  return { environment, core: core('docs'), head, segment, state: head.state }
}

describe('a commit', () => {
  const changes: [string, (state: CollectionState) => Partial<CollectionState>, string][] = [
    ['a key used twice', ({ segments }) => ({ segments: [...segments, ...segments] }), 'INTEGRITY'],
    ['a key over 32 bits', () => ({ nextSegment: 2 ** 32 }), 'LIMIT'],
    [
      'more segments than segmentsMax',
      ({ segments }) => ({ segments: Array.from({ length: 4_097 }, () => segments).flat() }),
      'LIMIT',
    ],
  ]
  it.each(changes)('of %s is refused before it is the head', async (_, change, code) => {
    const { environment, core, head, state } = await collection()
    const next = { ...state, ...change(state) }
    const changed = { inserted: 0, updated: 0, deleted: 0 }
    const work = runAct(environment, { act: 'ingest' }, async (act: Act) => {
      const request = { manifests: core.manifests, name: 'docs', lock: 'x', act }
      await commitManifest(environment, {
        ...request,
        kind: 'ingest',
        next: async () => ({ state: next, changed }),
      })
      return { result: undefined, outcome: {} }
    })
    await expect(work).rejects.toMatchObject({ code })
    expect((await core.manifests.newest())?.digest).toBe(head.digest)
  })
})

describe('a state from outside', () => {
  it('that fits its blobs is taken', async () => {
    const { environment, state } = await collection()
    await checkState(environment, state)
  })

  it('is INTEGRITY where it does not', async () => {
    const { environment, state, segment } = await collection()
    const twice = [segment, { ...segment, key: state.nextSegment }]
    const lies: CollectionState[] = [
      { ...state, dropped: true },
      { ...state, segments: [{ ...segment, rows: segment.rows - 1 }] },
      { ...state, segments: twice, nextSegment: state.nextSegment + 1 },
    ]
    for (const lie of lies) {
      decodeState(encodeState(lie).bytes, 'lie')
      await expect(checkState(environment, lie)).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
  })
})
