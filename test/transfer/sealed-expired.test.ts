import { expect, it } from 'vitest'
import type { SealedStore } from '../../src/storage/object-store.ts'
import { Attacker } from '../support/attacker.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { arrives, sealedScene } from './sealed-scene.ts'
import {
  addRows,
  GOVERNANCE,
  originStore,
  placeAt,
  pull,
  push,
  readerOf,
  verify,
  YEAR_MS,
} from './sealed-sites.ts'

describeMinio('what was sealed, when its retention has ended', () => {
  const { server } = minioScene({ locked: ['evidence'] })

  /** The same place at a later time. */
  const later = (target: SealedStore, byMs: number): SealedStore =>
    new Proxy(target, {
      get(of, name) {
        if (name === 'nowMs') return async () => (await of.nowMs()) + byMs
        const value: unknown = Reflect.get(of, name, of)
        return typeof value === 'function' ? value.bind(of) : value
      },
    })

  it('may go: it is counted, is no alarm, and what is left arrives', async () => {
    const scene = await sealedScene(server, { retain: GOVERNANCE })
    const { store, target, attacker } = scene
    const then = later(target, 2 * YEAR_MS)
    const before = await verify(store, then)
    expect(before).toMatchObject({ ok: true, expired: 0 })
    await arrives({ ...scene, target: then })
    const gone = await attacker.destroyAll(target, /^(blobs|collections)/)
    expect(await verify(store, target)).toMatchObject({ ok: false, expired: 0 })
    const after = await verify(store, then)
    expect(after).toMatchObject({ ok: true, objects: 0, expired: gone.length, problems: [] })
    const reader = await readerOf(store)
    await expect(pull(reader, then)).rejects.toMatchObject({ exitCode: 24 })
    expect(await reader.list()).toEqual([])
  })

  it('is sealed anew by a push, whatever of it has gone', async () => {
    for (const keys of [/^blobs/, /^collections/, /^(blobs|collections)/]) {
      const store = await originStore()
      const target = await placeAt(server)
      await push(store, target, { retain: GOVERNANCE })
      const then = later(target, 2 * YEAR_MS)
      await new Attacker(server, target).destroyAll(target, keys)
      await push(store, then, { retain: GOVERNANCE })
      const found = await verify(store, then)
      expect(found.problems, String(keys)).toEqual([])
      const reader = await readerOf(store)
      await pull(reader, then)
      expect((await reader.check({ readData: true })).problems).toEqual([])
      await addRows(store, 'more', 2)
      await push(store, then, { retain: GOVERNANCE })
      expect((await verify(store, then)).problems, String(keys)).toEqual([])
    }
  })
})
