// The public library, as `buildEngine` compiled it.

import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { engine } from './measure.mjs'

export const library = () => import(join(engine, 'dist', 'lib', 'index.js'))

/** A new store in a folder of its own, open for writing with two threads; {store, url}. */
export async function newStore(folder) {
  const { initStore, openStore } = await library()
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const url = join(folder, 'store')
  await initStore({ url, noKey: true })
  return { url, store: await openStore({ url, mode: 'write', threads: 2, resultCacheBytes: 0 }) }
}
