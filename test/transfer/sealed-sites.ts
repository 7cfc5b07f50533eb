import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { sha256Hex } from '../../src/core/digest.ts'
import type { OpenedStore } from '../../src/db/store.ts'
import type { ObjectVersion, SealedStore } from '../../src/storage/object-store.ts'
import type { S3Access } from '../../src/storage/s3/s3-access.ts'
import { type PullOptions, pullCollections } from '../../src/transfer/pull/pull.ts'
import { type PushOptions, pushCollections } from '../../src/transfer/push/push.ts'
import { verifySealed, type WormVerification } from '../../src/transfer/worm/verify.ts'
import { accessTo, type BucketServer, openBucket } from '../support/s3.ts'
import { lines, pipe, tempStore } from '../support/temp-store.ts'
import { trusts } from './sites.ts'

export const YEAR_MS = 365 * 86_400_000
export const COMPLIANCE = { mode: 'COMPLIANCE', forMs: YEAR_MS } as const
export const GOVERNANCE = { mode: 'GOVERNANCE', forMs: YEAR_MS } as const

let places = 0

/** An address in a bucket where nothing lies. */
export const newPlace = (bucket = 'evidence'): string => `s3://${bucket}/place-${places++}`

/** What lies at an address; closed when the test ends. */
export async function placeAt(
  server: BucketServer,
  url = newPlace(),
  access: S3Access = {},
): Promise<SealedStore> {
  const target = await openBucket(url, accessTo(server, access))
  onTestFinished(() => target.close())
  return target
}

/** A store whose collection `docs` has some rows of 4-d vectors, a number and a tag. */
export async function originStore(rows = 12): Promise<OpenedStore> {
  const store = await tempStore()
  await addRows(store, 'r', rows)
  return store
}

/** Ingests rows whose ids begin with `prefix`. Words would take ten times as long to index. */
export async function addRows(
  store: OpenedStore,
  prefix: string,
  count: number,
  collection = 'docs',
): Promise<void> {
  const stdin = pipe(lines(prefix, count))
  await store.prospect(collection).ingest({ inputs: ['-'], stdin, format: 'jsonl' })
}

/** A new store that trusts the key `default` of another. */
export async function readerOf(origin: OpenedStore): Promise<OpenedStore> {
  const reader = await tempStore()
  await trusts(reader, origin, dirname(reader.url))
  return reader
}

export const push = (store: OpenedStore, target: SealedStore, options: PushOptions = {}) =>
  pushCollections(store, target, options)

export const pull = (store: OpenedStore, target: SealedStore, options: PullOptions = {}) =>
  pullCollections(store, target, options)

/** Verifies with the keys of a store, and reads every byte. */
export const verify = async (store: OpenedStore, target: SealedStore): Promise<WormVerification> =>
  await verifySealed(target, await store.environment.keys.trusted(), { readData: true })

/** What is wrong, as `CODE key`. */
export const problemsOf = async (store: OpenedStore, target: SealedStore): Promise<string[]> =>
  (await verify(store, target)).problems.map(({ code, key }) => `${code} ${key}`).sort()

export const rootOf = async (store: OpenedStore, name = 'docs'): Promise<string> =>
  (await store.core(name).head()).commit.stateRoot

/** All versions and markers below an address. */
export const versionsOf = (target: SealedStore, prefix = ''): Promise<ObjectVersion[]> =>
  Array.fromAsync(target.versions(prefix))

/** Keys that are under a legal hold. */
export async function heldIn(target: SealedStore): Promise<string[]> {
  const found: string[] = []
  for (const { key, versionId } of await versionsOf(target)) {
    if ((await target.headVersion(key, versionId))?.legalHold === true) found.push(key)
  }
  return found
}

/** All versions with their locks, as text: what a look may not change. */
export async function inventory(target: SealedStore): Promise<string[]> {
  const found: string[] = []
  for (const { key, versionId, isDeleteMarker } of await versionsOf(target)) {
    const info = isDeleteMarker ? undefined : await target.headVersion(key, versionId)
    found.push(JSON.stringify([key, versionId, info]))
  }
  return found
}

/** Digests of the files below a folder, but for locks and readers' pins: any look makes those. */
export async function filesBelow(folder: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile() && !/\/(locks|pins)\//.test(path))
      files.set(path, sha256Hex(await readFile(path)))
  }
  return files
}
