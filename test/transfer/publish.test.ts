import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { OpenedStore } from '../../src/db/store.ts'
import { type Incoming, planImport } from '../../src/transfer/publish.ts'
import { lines } from '../support/temp-store.ts'
import { pack, take, twoSites, unpack } from './sites.ts'

/** Another machine that shares the store: it knows what its collections followed, and no more. */
const forgotten = async (store: OpenedStore): Promise<void> =>
  await rm(join(store.environment.stateFolder, 'origins'), { recursive: true })

const CONFLICT = { code: 'CONFLICT' }
const ROLLBACK = { code: 'ROLLBACK' }

it('what another machine took is not taken back, nor twice under one number', async () => {
  const { from, to, folder } = await twoSites()
  const first = await pack(from, folder, 'first')
  await unpack(to, first.path)
  await take(from, folder, 'b', lines('s', 5))
  const second = await pack(from, folder, 'second')
  await unpack(to, second.path)
  const { commit } = await to.core('docs').head()
  const { origin } = commit
  if (origin === undefined) throw new Error('it follows nobody')
  const other = 'f'.repeat(64)
  /** Whether there is nothing to do. */
  const plan = async (more: Partial<Incoming>, stateRoot = commit.stateRoot) => {
    const { collection: id, name, committedAt } = commit
    const { logId, epoch, sequence, headDigest: digest } = origin
    const entry = { id, name, stateRoot, committedAt, rows: 45 } as Incoming['collections'][number]
    const incoming: Incoming = {
      ...{ kind: 'bundle', origin: { logId, epoch }, sequence, digest, collections: [entry] },
      ...more,
    }
    const states = new Map([[stateRoot, new Uint8Array(1)]])
    const [planned] = await planImport(to, incoming, states, {})
    return planned?.done
  }
  const older = { sequence: origin.sequence - 1, digest: other }
  const newer = { sequence: origin.sequence + 1, digest: other }
  for (const isOtherMachine of [false, true]) {
    if (isOtherMachine) await forgotten(to)
    expect(await plan({})).toBe(true)
    expect(await plan(newer, other)).toBe(false)
    expect(await plan(newer)).toBe(false)
    await expect(plan(older, other)).rejects.toMatchObject(ROLLBACK)
    await expect(plan(older)).rejects.toMatchObject(ROLLBACK)
    await expect(plan({ digest: other }, other)).rejects.toMatchObject(CONFLICT)
    await expect(plan({ digest: other })).rejects.toMatchObject(CONFLICT)
    const stranger = { ...newer, origin: { logId: other, epoch: origin.epoch } }
    await expect(plan(stranger, other)).rejects.toMatchObject(CONFLICT)
    await expect(unpack(to, first.path)).rejects.toMatchObject(ROLLBACK)
  }
  await unpack(to, second.path)
  expect((await to.core('docs').head()).commit.version).toBe(commit.version)
})
