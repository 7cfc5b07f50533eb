import { describe, expect, it } from 'vitest'
import { encodeFrames, splitFrames } from '../../src/audit/frames.ts'
import { verifyAuditLog } from '../../src/audit/verify.ts'
import { hasCode } from '../../src/errors/errors.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { crashAtStep, createFaultStore, fullDiskAtStep } from '../support/fault-store.ts'
import {
  dump,
  entryInputs,
  memoryStore,
  openReader,
  openTestLog,
  prefixOf,
  restore,
  testSigner,
} from './support.ts'

const signer = testSigner()
const prefix = prefixOf(signer)
const TAIL = `${prefix}/tail/000`
const NONE = new Uint8Array(0)
const broken = (error: unknown): boolean => hasCode(error, 'AUDIT_BROKEN')

async function logWith(count: number, beyond = 0): Promise<Map<string, Uint8Array>> {
  const store = memoryStore()
  const log = await openTestLog(store)
  await log.append(entryInputs(count))
  await log.checkpoint()
  if (beyond > 0) await log.append(entryInputs(beyond, count))
  return await dump(store)
}

async function expectSound(store: ObjectStore, entries: number): Promise<void> {
  const result = await verifyAuditLog({ store, prefix, keys: [signer.key] })
  expect(result).toMatchObject({ ok: true, entries, problems: [] })
}

describe('opening a log', () => {
  it('cuts a torn end that nobody names, at every byte, and goes on', async () => {
    const files = await logWith(2, 1)
    const tail = files.get(TAIL) ?? NONE
    const kept = encodeFrames(splitFrames(tail).entries.slice(0, 2))
    for (let bytes = kept.length + 1; bytes < tail.length; bytes++) {
      const store = await restore(new Map(files).set(TAIL, tail.subarray(0, bytes)))
      const reader = await openReader(store)
      expect([reader.size, reader.warnings]).toEqual([2, []])
      const log = await openTestLog(store)
      expect(log.size).toBe(2)
      expect(log.warnings.map(({ code }) => code)).toEqual(['TORN'])
      expect(Buffer.compare(await store.get(TAIL), kept)).toBe(0)
      expect((await log.append(entryInputs(1))).seq).toBe(2)
      await log.checkpoint()
      await expectSound(store, 3)
    }
  })

  it('cuts an end of zeros, as file systems leave it, even in front of whole pages', async () => {
    const files = await logWith(2)
    const tail = Buffer.from(files.get(TAIL) ?? NONE)
    const store = await restore(new Map(files).set(TAIL, Buffer.concat([tail, Buffer.alloc(4096)])))
    const log = await openTestLog(store)
    expect([log.size, log.warnings.length]).toEqual([2, 1])
    expect(Buffer.compare(await store.get(TAIL), tail)).toBe(0)
  })

  it('never cuts below a checkpoint: AUDIT_BROKEN, and nothing changes', async () => {
    const files = await logWith(3)
    const tail = files.get(TAIL) ?? NONE
    for (let bytes = 0; bytes < tail.length; bytes += 7) {
      const cut = new Map(files).set(TAIL, tail.subarray(0, bytes))
      const store = await restore(cut)
      await expect(openTestLog(store)).rejects.toSatisfy(broken)
      await expect(openReader(store)).rejects.toSatisfy(broken)
      expect(await dump(store)).toEqual(cut)
    }
  })

  it('never cuts below what a manifest names', async () => {
    const files = await logWith(1, 2)
    const tail = files.get(TAIL) ?? NONE
    const whole = await openTestLog(await restore(files))
    const named = [{ size: 3, root: await whole.rootAt(3), where: 'manifest 7' }]
    const store = await restore(new Map(files).set(TAIL, tail.subarray(0, tail.length - 1)))
    await expect(openTestLog(store, { named })).rejects.toSatisfy(broken)
    const forked = [{ size: 2, root: await whole.rootAt(1), where: 'manifest 5' }]
    const opening = openTestLog(await restore(files), { named: forked })
    await expect(opening).rejects.toThrow(/manifest 5/)
  })

  it('refuses altered entries and batches that are gone', async () => {
    const files = await logWith(600)
    for (const key of [`${prefix}/tile/entries/001`, `${prefix}/tail/002`]) {
      const rest = new Map(files)
      rest.delete(key)
      await expect(openTestLog(await restore(rest)), key).rejects.toSatisfy(broken)
    }
    for (const key of [`${prefix}/tile/0/000`, `${prefix}/tail/002`]) {
      const bytes = (files.get(key) ?? NONE).slice()
      bytes[100] = (bytes[100] ?? 0) ^ 1
      const opening = openTestLog(await restore(new Map(files).set(key, bytes)))
      await expect(opening, key).rejects.toSatisfy(broken)
    }
  })

  it('refuses a checkpoint that is damaged or of another key', async () => {
    const files = await logWith(3)
    const note = (files.get(`${prefix}/checkpoint`) ?? NONE).slice()
    note[note.length - 5] = (note[note.length - 5] ?? 0) ^ 1
    const opening = openTestLog(await restore(new Map(files).set(`${prefix}/checkpoint`, note)))
    await expect(opening).rejects.toSatisfy((e) => hasCode(e, 'SIGNATURE', 'UNTRUSTED'))
  })

  it('derives tiles that are missing', async () => {
    const files = await logWith(600)
    const log = await openTestLog(await restore(files))
    files.delete(`${prefix}/tile/0/000`)
    const again = await openTestLog(await restore(files))
    expect(again.root).toBe(log.root)
  })

  it('notices entries that shrink or change under an open log', async () => {
    const store = memoryStore()
    const log = await openTestLog(store)
    await log.append(entryInputs(3))
    await store.truncate(TAIL, 10)
    await expect(log.append(entryInputs(1))).rejects.toSatisfy(broken)
    await store.delete(TAIL)
    await expect(log.append(entryInputs(1))).rejects.toSatisfy(broken)
  })
})

describe('a crash at any step', () => {
  it.each([0, 0.5])('loses nothing that resolved (torn share %d)', async (tornShare) => {
    const base = await logWith(254)
    let steps = 0
    for (let n = 1; ; n++) {
      const inner = await restore(base)
      const plan = crashAtStep(n, tornShare)
      const store = createFaultStore(inner, plan.hook)
      let durable = 254
      const work = async () => {
        const log = await openTestLog(store)
        durable = (await log.append(entryInputs(1))).size
        durable = (await log.append(entryInputs(4))).size
        await log.checkpoint()
      }
      await work().catch(() => undefined)
      const again = await openTestLog(inner)
      expect(again.size, `step ${n}`).toBeGreaterThanOrEqual(durable)
      const next = await again.append(entryInputs(1))
      await again.checkpoint()
      await expectSound(inner, next.size)
      const keys = [...(await dump(inner)).keys()]
      expect(keys.filter((key) => key.includes('/tail/')).length).toBeLessThanOrEqual(1)
      if (plan.struck() === undefined) break
      steps = n
    }
    expect(steps).toBeGreaterThan(8)
  })

  it('goes on after a full disk at any step', async () => {
    const base = await logWith(254)
    for (let n = 1; ; n++) {
      const inner = await restore(base)
      let full = true
      const plan = fullDiskAtStep(n, () => full)
      const log = await openTestLog(createFaultStore(inner, plan.hook)).catch(() => undefined)
      for (const count of [1, 4]) {
        await log?.append(entryInputs(count)).catch((error) => {
          expect(hasCode(error, 'NO_SPACE')).toBe(true)
        })
      }
      full = false
      const writer = log ?? (await openTestLog(inner))
      await writer.append(entryInputs(2))
      await writer.checkpoint()
      await expectSound(inner, writer.size)
      if (plan.struck() === undefined) break
    }
  })
})
