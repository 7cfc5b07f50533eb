import type { AuditEntryInput } from '../../src/audit/entry.ts'
import { type AuditLog, type AuditLogOptions, openAuditLog } from '../../src/audit/log.ts'
import { sha256Hex } from '../../src/core/digest.ts'
import type { LockHandle } from '../../src/storage/locks.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { createSigner, keyPairOfSeed } from '../../src/trust/key-pair.ts'
import type { Signer } from '../../src/trust/signer.ts'

export const ORIGIN = 'akidb.test/log'

export const testSigner = (seed = 7): Signer =>
  createSigner(keyPairOfSeed(new Uint8Array(32).fill(seed)), { implementation: 'node' })

/** Ticks one millisecond a call. */
export function testClock(): { nowMs(): number } {
  let now = Date.UTC(2026, 0, 1)
  return {
    nowMs: () => {
      now += 1
      return now
    },
  }
}

/** A fair lock within this process. */
export function testLock(): () => Promise<LockHandle> {
  let last = Promise.resolve()
  return async () => {
    const before = last
    let release = () => {}
    last = new Promise((resolve) => {
      release = resolve
    })
    await before
    return { name: 'audit', release: async () => release() }
  }
}

export const memoryStore = (): ObjectStore => createMemoryStore({ clock: testClock() })

export const prefixOf = (signer: Signer): string => `audit/${signer.key.keyId}`

export const openTestLog = (
  store: ObjectStore,
  options: Partial<AuditLogOptions> = {},
): Promise<AuditLog> => {
  const signer = options.signer ?? testSigner()
  return openAuditLog({
    ...{ store, prefix: prefixOf(signer), origin: ORIGIN, signer },
    ...{ lock: testLock(), clock: testClock(), ...options },
  })
}

/** Opens for reading only. */
export const openReader = (store: ObjectStore, signer = testSigner()): Promise<AuditLog> =>
  openAuditLog({
    ...{ store, prefix: prefixOf(signer), origin: ORIGIN, key: signer.key },
    ...{ lock: testLock(), clock: testClock() },
  })

export const entryInput = (n: number, more: Partial<AuditEntryInput> = {}): AuditEntryInput => ({
  act: 'ingest',
  phase: 'event',
  actor: { user: 'aki', uid: 1000, host: 'station-3' },
  collection: 'docs',
  details: { n },
  ...more,
})

export const entryInputs = (count: number, from = 0): AuditEntryInput[] =>
  Array.from({ length: count }, (_, i) => entryInput(from + i))

/** Every object of a store, by key. */
export async function dump(store: ObjectStore): Promise<Map<string, Uint8Array>> {
  const objects = new Map<string, Uint8Array>()
  for await (const { key } of store.list('')) {
    objects.set(key, new Uint8Array(await store.get(key)))
  }
  return objects
}

/** One line an object, to compare whole stores quickly. */
export const digestOf = (objects: ReadonlyMap<string, Uint8Array>): string =>
  [...objects].map(([key, bytes]) => `${key} ${sha256Hex(bytes)}`).join('\n')

/** A fresh memory store with these objects. */
export async function restore(objects: ReadonlyMap<string, Uint8Array>): Promise<ObjectStore> {
  const store = memoryStore()
  for (const [key, bytes] of objects) await store.put(key, bytes)
  return store
}
