import { beforeEach, describe, expect, it } from 'vitest'
import { auditKeys } from '../../src/audit/layout.ts'
import { verifyAuditLog } from '../../src/audit/verify.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { plantHugeFile } from '../support/huge-file.ts'
import {
  entryInputs,
  memoryStore,
  openReader,
  openTestLog,
  prefixOf,
  testSigner,
} from './support.ts'

const signer = testSigner()
const prefix = prefixOf(signer)
const keys = auditKeys(prefix)
const broken = (what: RegExp) => ({
  code: 'AUDIT_BROKEN',
  exitCode: 24,
  message: expect.stringMatching(what),
})

const all = async (entries: AsyncIterable<unknown>): Promise<number> => {
  let count = 0
  for await (const _ of entries) count++
  return count
}

let store: ObjectStore

beforeEach(async () => {
  store = memoryStore()
  const log = await openTestLog(store)
  await log.append(entryInputs(530))
  await log.checkpoint()
})

describe('a huge file in the place of', () => {
  it.each([
    ['the checkpoint', keys.checkpoint, /checkpoint cannot be read: .* bytes, not \d+ at most/],
    ['the last closed batch', keys.entries(1), /does not hold 256 whole entries/],
    ['the open batch', keys.tail(2), /the open batch is too long/],
    ['a tile', keys.tile(0, 1), /has 1099511627776 bytes instead of 8192/],
  ])('%s keeps the log from being opened', async (_, key, what) => {
    await plantHugeFile(store, key)
    await expect(openTestLog(store)).rejects.toMatchObject(broken(what))
    await expect(openReader(store)).rejects.toMatchObject(broken(what))
  })

  it.each([
    ['the checkpoint', keys.checkpoint],
    ['an anchored checkpoint', `${keys.anchors}530-${'0'.repeat(64)}`],
    ['the public key', keys.publicKey],
    ['a closed batch', keys.entries(0)],
    ['the open batch', keys.tail(2)],
    ['a tile', keys.tile(0, 0)],
  ])('%s is a finding of the verification, which goes on', async (_, key) => {
    await plantHugeFile(store, key)
    const { ok, problems } = await verifyAuditLog({ store, prefix, keys: [signer.key] })
    expect(ok).toBe(false)
    expect(problems).toContainEqual(
      expect.objectContaining({ code: 'ALTERED', message: expect.stringContaining(key) }),
    )
  })

  it.each([
    ['a closed batch', keys.entries(0)],
    ['the open batch', keys.tail(2)],
  ])('%s is an error to who reads the entries', async (_, key) => {
    const log = await openTestLog(store)
    await plantHugeFile(store, key)
    await expect(all(log.read())).rejects.toMatchObject(broken(new RegExp(`${key} is too long`)))
  })

  it('the checkpoint is an error to who signs the next one', async () => {
    const log = await openTestLog(store)
    await plantHugeFile(store, keys.checkpoint)
    await expect(log.checkpoint()).rejects.toMatchObject(broken(/checkpoint cannot be read/))
    await expect(log.prove(3)).rejects.toMatchObject(broken(/checkpoint cannot be read/))
  })

  it('the open batch is an error to who appends to it', async () => {
    const log = await openTestLog(store)
    await plantHugeFile(store, keys.tail(2))
    const appending = log.append(entryInputs(1))
    await expect(appending).rejects.toMatchObject(broken(/the open batch is too long/))
  })
})
