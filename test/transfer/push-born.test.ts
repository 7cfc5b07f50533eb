import { expect, it } from 'vitest'
import type { SealedStore, SealOptions } from '../../src/storage/object-store.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { addRows, COMPLIANCE, originStore, placeAt, push, versionsOf } from './sealed-sites.ts'

/** A server that passes over what it is asked for some objects, without a word. */
function deafTo(
  target: SealedStore,
  isIt: (key: string) => boolean,
  heard: (options: SealOptions) => SealOptions,
): SealedStore {
  return new Proxy(target, {
    get: (store, name) => {
      if (name === 'seal') {
        const seal: SealedStore['seal'] = (key, body, options) =>
          store.seal(key, body, isIt(key) ? heard(options) : options)
        return seal
      }
      const value: unknown = Reflect.get(store, name, store)
      return typeof value === 'function' ? value.bind(store) : value
    },
  })
}

const withoutLock = ({ retention: _, ...options }: SealOptions): SealOptions => options
const withoutHold = ({ legalHold: _, ...options }: SealOptions): SealOptions => options
const shorter = ({ retention, ...options }: SealOptions): SealOptions => ({
  ...options,
  ...(retention && { retention: { ...retention, untilMs: retention.untilMs - 5_000 } }),
})
const softer = ({ retention, ...options }: SealOptions): SealOptions => ({
  ...options,
  ...(retention && { retention: { ...retention, mode: 'GOVERNANCE' } }),
})

const isFirst = (key: string): boolean => key === 'akidb.json'
const isManifest = (key: string): boolean => key.includes('/manifests/')

describeMinio('a push to a server that does not know a header', () => {
  const { server } = minioScene({ locked: ['evidence'] })

  const options = { retain: COMPLIANCE, legalHold: true }
  const proofs = async (target: SealedStore): Promise<number> =>
    (await versionsOf(target, 'seals/')).filter(({ key }) => key.endsWith('.proof')).length

  it('ends before it counts, wherever that is', async () => {
    const store = await originStore(2)
    for (const isIt of [isFirst, isManifest]) {
      for (const heard of [withoutLock, withoutHold, shorter, softer]) {
        const target = await placeAt(server)
        const pushed = push(store, deafTo(target, isIt, heard), options)
        const what = `${isIt === isFirst ? 'first' : 'last'} ${heard.name}`
        await expect(pushed, what).rejects.toMatchObject({ code: 'RETENTION' })
        expect(await proofs(target), what).toBe(0)
        if (isIt === isFirst) expect(await versionsOf(target, 'blobs/'), what).toEqual([])
      }
    }
    const target = await placeAt(server)
    await push(store, target, options)
    expect(await proofs(target)).toBe(1)
    await addRows(store, 'more', 1)
    const later = push(store, deafTo(target, isManifest, withoutLock), options)
    await expect(later).rejects.toMatchObject({ code: 'RETENTION' })
    expect(await proofs(target)).toBe(1)
  })
})
