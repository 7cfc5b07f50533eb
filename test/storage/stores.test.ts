import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFsStore } from '../../src/storage/fs-store.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import { storeConformance } from './conformance.ts'

storeConformance('memory', async () => ({
  store: createMemoryStore({ clock: { nowMs: () => 1_000 } }),
  dispose: async () => undefined,
}))

storeConformance('folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'akidb-store-'))
  return {
    store: openFsStore(join(folder, 'new', 'store'), { mode: 'write' }),
    dispose: () => rm(folder, { recursive: true, force: true }),
  }
})
