// Stores and sets under bench/.data, made once and used by several parts.

import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { akidb, data, labse, root, run } from './measure.mjs'

/** A fresh store. */
export async function freshStore(name) {
  const store = join(data, name)
  rmSync(store, { recursive: true, force: true })
  mkdirSync(data, { recursive: true })
  await run(akidb, ['--store', store, 'init'])
  return store
}

/** Ingests LaBSE into a fresh store; resolves to the store and what the command took. */
export async function ingestLabse() {
  const store = await freshStore('labse')
  const file = join(labse, 'labse-public.parquet')
  const taken = await run(akidb, ['--store', store, '--json', 'ingest', 'labse', file])
  return { store, ...taken }
}

/** The LaBSE store of an earlier part, or a new one. */
export async function labseStore() {
  const store = join(data, 'labse')
  if (existsSync(join(store, 'collections', 'labse'))) return store
  return (await ingestLabse()).store
}

/** A generated set of 768-d vectors, as Parquet. */
export async function generated(rows) {
  const file = join(data, `generated-${rows}x768.parquet`)
  if (!existsSync(file)) {
    await run(process.execPath, [join(root, 'bench', 'generate.mjs'), String(rows), '768', file])
  }
  return file
}
