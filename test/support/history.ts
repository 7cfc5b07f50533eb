import { expect } from 'vitest'
import type { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { mergeSegments } from '../../src/db/rebuild/merge.ts'
import { blobKey } from '../../src/format/blob.ts'
import { closureOf } from '../../src/format/closure.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { contentsOf, type TestMachine, type TestProcess } from './memory-environment.ts'
import { ingestRows, testRows } from './records.ts'

/** A day, in milliseconds. */
export const DAY_MS = 24 * 3_600_000

/** Versions of a collection that are kept, newest first. */
export const versionsOf = async (core: CollectionCore): Promise<number[]> => {
  const versions: number[] = []
  for await (const version of core.manifests.versions()) versions.push(version)
  return versions
}

/** Keys of all blobs. */
export const blobsIn = async (store: ObjectStore): Promise<string[]> =>
  [...(await contentsOf(store)).keys()].filter((key) => key.startsWith('blobs/'))

/** Every manifest that can be seen has all its blobs. */
export async function expectWhole(core: CollectionCore): Promise<void> {
  for await (const manifest of core.manifests.history()) {
    for (const digest of closureOf(manifest).keys()) {
      expect(await core.environment.store.head(blobKey(digest)), digest).toBeDefined()
    }
  }
}

/** Five commits a day apart: create, a0–a3, b0–b2, a1 deleted, all merged. */
export async function withHistory(machine: TestMachine): Promise<TestProcess> {
  const process = machine.start()
  const docs = process.core('docs')
  await ingestRows(docs, testRows('a', 4), { textColumns: ['text'] })
  machine.clock.advance(DAY_MS)
  await ingestRows(docs, testRows('b', 3))
  machine.clock.advance(DAY_MS)
  await deleteRecords(docs, { ids: ['a1'] })
  machine.clock.advance(DAY_MS)
  await mergeSegments(docs, { kind: 'compact' })
  machine.clock.advance(DAY_MS)
  return process
}

/** Live ids of that history. */
export const LIVE = ['a0', 'a2', 'a3', 'b0', 'b1', 'b2']
