import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { openKeys } from '../../src/db/open/state-keys.ts'
import { initStore, type OpenedStore, openStore, trustKey } from '../../src/index.ts'
import type { S3Access } from '../../src/storage/s3/s3-access.ts'
import { accessTo, type BucketServer } from '../support/s3.ts'
import { tempFolder } from '../support/temp-store.ts'

/** One machine that comes to a working store in a bucket: its keys, logs and cache. */
export interface Machine {
  /** What a request to the store needs. */
  readonly at: { readonly url: string; readonly s3: S3Access; readonly stateHome: string }
  /** Its state folder, once it was there. */
  readonly stateFolder: string
  open(mode?: 'read' | 'write'): Promise<OpenedStore>
}

let places = 0

/** An address in a bucket where nothing lies. */
export const newPlace = (bucket = 'plain'): string => `s3://${bucket}/work-${places++}`

/** A machine that has come to the store, which it makes where there is none. */
export async function newMachine(
  server: BucketServer,
  url: string,
  s3: S3Access = {},
): Promise<Machine> {
  const stateHome = await tempFolder()
  const at = { url, s3: accessTo(server, s3), stateHome }
  const { state } = await initStore(at)
  return {
    at,
    stateFolder: state,
    open: async (mode = 'write') => {
      const store = await openStore({ ...at, mode })
      onTestFinished(() => store.close().catch(() => undefined))
      return store
    },
  }
}

/** Two machines at one store, with an empty collection `docs`; each trusts the other's keys. */
export async function twoMachines(
  server: BucketServer,
  url = newPlace(),
  s3: S3Access = {},
): Promise<readonly [Machine, Machine]> {
  const a = await newMachine(server, url, s3)
  const b = await newMachine(server, url, s3)
  await trusts(a, b)
  await trusts(b, a)
  const store = await a.open()
  await store.createCollection('docs', { dimension: 4 })
  await store.close()
  return [a, b]
}

async function trusts(one: Machine, other: Machine): Promise<void> {
  const pem = join(one.at.stateHome, `${other.stateFolder.length}-${places++}.pem`)
  await writeFile(pem, await openKeys(other.stateFolder).exportPublic('default'))
  await trustKey({ ...one.at, input: pem, name: 'other' })
}

/** A record whose vector and payload follow from its number. */
export const record = (id: string, n = 0) => ({
  id,
  vector: Float32Array.from([1, n, 0.5, -1]),
  payload: { n },
})
