import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { OpenedStore } from '../../src/db/store.ts'
import { exportBundle, exportKey, importBundle, trustKey } from '../../src/index.ts'
import { lines, opened, tempStore } from '../support/temp-store.ts'

export const noPassphrase = (): Promise<string> => Promise.reject(new Error('no key is locked'))

/** Two stores; the second trusts the first's key. */
export interface Sites {
  readonly from: OpenedStore
  readonly to: OpenedStore
  /** Folder for bundles and inputs. */
  readonly folder: string
}

/** Two stores of their own, the first with a collection `docs` of 40 records. */
export async function twoSites(): Promise<Sites> {
  const from = await tempStore()
  const to = await tempStore()
  const folder = join(dirname(from.url), 'carried')
  await mkdir(folder)
  await take(from, folder, 'a', lines('r', 40))
  await trusts(to, from, folder)
  return { from, to, folder }
}

/** Ingests lines of JSON into a collection. */
export async function take(
  store: OpenedStore,
  folder: string,
  name: string,
  text: string,
  collection = 'docs',
): Promise<void> {
  const path = join(folder, `${name}.jsonl`)
  await writeFile(path, text)
  await store.prospect(collection).ingest({ inputs: [path], textColumns: ['tag'] })
}

export async function trusts(
  store: OpenedStore,
  other: OpenedStore,
  folder: string,
): Promise<void> {
  const { pem } = await exportKey({ url: other.url, name: 'default' })
  const path = join(folder, `${other.id}.pub`)
  await writeFile(path, pem)
  await trustKey({ url: store.url, input: path })
}

export interface CarryOptions {
  readonly collections?: readonly string[]
  readonly since?: string
  readonly snapshot?: string
  readonly noIndex?: boolean
  readonly key?: string
  readonly passphrase?: () => Promise<string>
  readonly signal?: AbortSignal
}

/** Exports to a file of the given name. @returns its path, and what export said */
export async function pack(
  store: OpenedStore,
  folder: string,
  name: string,
  options: CarryOptions = {},
) {
  const path = join(folder, `${name}.akipkg`)
  const result = await exportBundle({
    url: store.url,
    collections: ['docs'],
    output: { path, force: false },
    key: 'default',
    passphrase: noPassphrase,
    ...options,
  })
  return { path, result }
}

export const unpack = (
  store: OpenedStore,
  path: string,
  options: { as?: string; diverge?: boolean; dryRun?: boolean } = {},
) => importBundle({ url: store.url, input: { path }, ...options })

/** Answers to a few searches: what must be equal at both sites. */
export async function answers(store: OpenedStore, name = 'docs'): Promise<unknown> {
  const docs = await store.collection(name)
  const request = { k: 7, withSource: true, withVector: true } as const
  const found = [
    await docs.search({ vector: Float32Array.of(1, 9, 0.5, -1), ...request }),
    await docs.search({ text: 'odd', ...request }),
    await docs.search({ id: 'r3', filter: { tag: 'even' }, ...request }),
  ]
  return found.map(({ hits, stateRoot }) => ({ hits, stateRoot }))
}

/** The same store in a new process's eyes. */
export const reopened = async (store: OpenedStore): Promise<OpenedStore> => {
  await store.close()
  return await opened(store.url)
}

/** A copy of a file with one bit turned. */
export async function damaged(path: string, offset: number, copy: string): Promise<string> {
  const bytes = await readFile(path)
  bytes[offset] = (bytes[offset] ?? 0) ^ 1
  await writeFile(copy, bytes)
  return copy
}
