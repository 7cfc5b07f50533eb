import { expect } from 'vitest'
import type { OpenedStore } from '../../src/db/store.ts'
import type { SealedStore } from '../../src/storage/object-store.ts'
import type { PushOptions } from '../../src/transfer/push/push.ts'
import { Attacker } from '../support/attacker.ts'
import type { MinioServer } from '../support/minio.ts'
import {
  addRows,
  originStore,
  placeAt,
  problemsOf,
  pull,
  push,
  readerOf,
  rootOf,
  verify,
  versionsOf,
} from './sealed-sites.ts'

/** A sealed store, and who attacks it. */
export interface Scene {
  readonly store: OpenedStore
  readonly target: SealedStore
  readonly attacker: Attacker
  /** All keys, each with its one version. */
  readonly versions: ReadonlyMap<string, string>
}

/** A store with a snapshot, pushed twice. */
export async function sealedScene(server: MinioServer, options: PushOptions = {}): Promise<Scene> {
  const store = await originStore()
  await (await store.collection('docs')).snapshots.create('friday')
  const target = await placeAt(server)
  await push(store, target, options)
  await addRows(store, 'more', 3)
  await push(store, target, options)
  const found = await versionsOf(target)
  const versions = new Map(found.map(({ key, versionId }) => [key, versionId]))
  expect(await problemsOf(store, target)).toEqual([])
  return { store, target, attacker: new Attacker(server, target), versions }
}

/** At another site the sealed state arrives, every byte of it right. */
export async function arrives({ store, target }: Scene): Promise<void> {
  const reader = await readerOf(store)
  await pull(reader, target)
  expect(await rootOf(reader)).toBe(await rootOf(store))
  expect((await reader.check({ readData: true })).problems).toEqual([])
}

/** `CODE key` of every object. */
export const onEach = (code: string, { versions }: Scene): string[] =>
  [...versions.keys()].map((key) => `${code} ${key}`).sort()

/** Each problem tells the time of the version or marker that it is about. */
export async function tellsTimes({ store, target }: Scene): Promise<void> {
  const times = new Map<string, string[]>()
  for (const { key, modifiedMs } of await versionsOf(target)) {
    times.set(key, [...(times.get(key) ?? []), new Date(modifiedMs).toISOString()])
  }
  for (const { key, message } of (await verify(store, target)).problems) {
    expect(
      times.get(key)?.some((time) => message.includes(time)),
      message,
    ).toBe(true)
  }
}
