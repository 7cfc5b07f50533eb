import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { runAct } from '../../src/db/states/acts.ts'
import { readBlob, writeBlob } from '../../src/db/states/blob-store.ts'
import { commitManifest } from '../../src/db/states/commit.ts'
import { LookThread } from '../../src/db/states/look-thread.ts'
import { createWriterPin } from '../../src/db/states/pins.ts'
import type { OpenedStore } from '../../src/db/store.ts'
import { blobKey, section } from '../../src/format/blob.ts'
import { closureOf } from '../../src/format/closure.ts'
import type { BlobRole } from '../../src/format/manifest.ts'
import { largeCollection } from '../support/large-collection.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { tempStore } from '../support/temp-store.ts'
import { addRows, originStore, placeAt, pull, push, readerOf } from './sealed-sites.ts'

/** Where the rows begin in a blob of nothing else: behind its head, aligned. */
const ROWS_AT = 128

/** Commits a state whose first segment has a blob of this role with one section changed. */
async function lie(
  store: OpenedStore,
  [role, name]: readonly [BlobRole, string],
  change: (bytes: Buffer) => void,
): Promise<void> {
  const { environment } = store
  const { manifests } = store.core('docs')
  const pin = createWriterPin(environment)
  await runAct(environment, { act: 'ingest', details: {} }, async (act) => {
    const next = async () => {
      const { state } = await store.core('docs').head()
      const [segment, ...others] = state.segments
      const old = segment?.blobs.find((blob) => blob.role === role)
      if (segment === undefined || old === undefined) throw new Error(`no blob of role ${role}`)
      const decoded = await readBlob(environment.store, old)
      const sections = [...decoded.sections].map(([key, bytes]) => {
        const copy = Buffer.from(bytes)
        if (key === name) change(copy)
        return section(key, copy)
      })
      const made = await writeBlob(environment.store, pin, { ...decoded, sections })
      const blobs = segment.blobs.map((blob) => (blob === old ? made : blob))
      const changed = { inserted: 0, updated: 0, deleted: 0 }
      return { state: { ...state, segments: [{ ...segment, blobs }, ...others] }, changed }
    }
    await commitManifest(environment, {
      ...{ manifests, name: 'docs', lock: 'test', kind: 'merge', act, pin, next },
    })
    return { result: undefined, outcome: {} }
  })
  await pin.release()
}

describeMinio('a state that was sealed by a trusted site, and does not fit its blobs,', () => {
  const packBytesMax = limits.packBytesMax
  const { server } = minioScene({ locked: ['evidence'] })
  beforeAll(() => {
    Object.assign(limits, { packBytesMax: 1 })
  })
  afterAll(() => {
    Object.assign(limits, { packBytesMax })
  })

  it.each([
    ['vectors', 'vec', (bytes: Buffer) => bytes.writeFloatLE(Number.NaN, 16), /row 1|finite/],
    ['payload', 'pages', (bytes: Buffer) => bytes.fill(0x20), /payload|page/],
  ] as const)('is not taken: %s', async (role, name, change, message) => {
    const store = await originStore(40)
    await addRows(store, 'more', 40)
    const target = await placeAt(server)
    await lie(store, [role, name], change)
    await push(store, target)
    const reader = await readerOf(store)
    const wrong = { code: 'INTEGRITY', exitCode: 24, message: expect.stringMatching(message) }
    await expect(pull(reader, target)).rejects.toMatchObject(wrong)
    expect(await reader.list()).toEqual([])
  })

  it.each([
    [260, 1_024, 'by the thread that receives them', 0],
    [1_030, 16_384, 'by one of their own, from 64 MiB on', 1],
  ])('is not taken, nor when its blobs are there: %i rows of %i, looked at %s', async (...of) => {
    const [rows, dimension, , threads] = of
    const ended = vi.spyOn(LookThread.prototype, 'close')
    onTestFinished(() => ended.mockRestore())
    const store = await tempStore()
    // Rows that may stay on disk are looked at while they come, and, where they are there, on disk.
    await largeCollection(store, 'docs', { segments: [rows], dimension, metric: 'l2', seed: 1 })
    const target = await placeAt(server)
    await lie(
      store,
      ['vectors', 'vec'],
      (bytes) =>
        // The first component of the second piece that is looked at.
        void bytes.writeFloatLE(Number.POSITIVE_INFINITY, 2 ** 20 - ROWS_AT),
    )
    await push(store, target)
    const reader = await readerOf(store)
    const wrong = { code: 'INTEGRITY', exitCode: 24, message: expect.stringMatching(/not finite/) }
    await expect(pull(reader, target)).rejects.toMatchObject(wrong)
    expect(ended).toHaveBeenCalledTimes(threads)
    await expect(pull(reader, target)).rejects.toMatchObject(wrong)
    expect(await reader.list()).toEqual([])
  })

  it('ends the pull of all that comes with it', async () => {
    const store = await originStore(3)
    await lie(store, ['payload', 'pages'], (bytes) => bytes.fill(0x20))
    await addRows(store, 'r', 1, 'later')
    const target = await placeAt(server)
    await push(store, target)
    const reader = await readerOf(store)
    const other = await store.core('later').head()
    const keys = new Set([...closureOf(other).keys()].map((digest) => blobKey(digest)))
    expect(keys.size).toBeGreaterThan(limits.s3TransfersMax)
    // What is behind it waits until somebody says that it need not come.
    const stopped = vi.spyOn(AbortController.prototype, 'abort')
    onTestFinished(() => stopped.mockRestore())
    let begun = 0
    const stream = target.streamVersion.bind(target)
    vi.spyOn(target, 'streamVersion').mockImplementation(async (key, ...others) => {
      if (keys.has(key)) {
        begun++
        const isStopped = () =>
          expect(stopped).toHaveBeenCalledWith(expect.objectContaining({ code: 'INTEGRITY' }))
        await vi.waitFor(isStopped, { timeout: 5_000 }).catch(() => undefined)
      }
      await stream(key, ...others)
    })
    await expect(pull(reader, target)).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(begun).toBeGreaterThan(0)
    expect(begun).toBeLessThanOrEqual(limits.s3TransfersMax)
  })
})
