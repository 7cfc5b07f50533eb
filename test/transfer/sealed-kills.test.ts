import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { SealedStore } from '../../src/storage/object-store.ts'
import { sealedStatus } from '../../src/transfer/worm/status.ts'
import { createFaultStore, fullDiskAtStep, type StepHook } from '../support/fault-store.ts'
import { createBucket, describeMinio, startMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { opened } from '../support/temp-store.ts'
import { dropBlobs, snapshotStore, withFaults } from './fault-runs.ts'
import {
  COMPLIANCE,
  newPlace,
  originStore,
  placeAt,
  problemsOf,
  pull,
  push,
  readerOf,
  rootOf,
  verify,
  versionsOf,
} from './sealed-sites.ts'

const PROGRAM = fileURLToPath(new URL('./push-program.ts', import.meta.url))
/** No try but the first. */
const ONCE = { retryForMs: 0 }

describeMinio('push and pull, where something ends', () => {
  const { server, proxy, through } = minioScene({ locked: ['evidence'], plain: ['plain'] })

  /** Numbers of requests near the beginning, the middle and the end of some work. */
  async function moments(work: (target: SealedStore) => Promise<unknown>, url = newPlace()) {
    const target = await placeAt(through, url)
    const { count } = await withFaults(
      proxy,
      () => undefined,
      () => work(target),
    )
    return [0.1, 0.5, 0.85].map((share) => Math.ceil(count * share))
  }

  /** Runs some work, and kills the server at its n-th request: it comes back at once. */
  async function withRestart(n: number, work: () => Promise<unknown>): Promise<void> {
    let back: Promise<void> | undefined
    const { failure } = await withFaults(
      proxy,
      (number) => {
        if (number === n) back = server.restart()
        return undefined
      },
      work,
    )
    expect(back, `request ${n}`).toBeDefined()
    await back
    expect(failure, `request ${n}`).toBeUndefined()
  }

  describe('a push', () => {
    it('goes on where its server was killed and came back', async () => {
      const store = await snapshotStore()
      const sealing = (target: SealedStore) => push(store, target, { retain: COMPLIANCE })
      for (const n of await moments(sealing)) {
        const url = newPlace()
        const target = await placeAt(through, url, { retryForMs: 30_000 })
        await withRestart(n, () => sealing(target))
        // What was acknowledged outlives the server.
        await server.restart()
        expect(await problemsOf(store, await placeAt(server, url)), `request ${n}`).toEqual([])
      }
    })

    it('whose process is killed goes on when it is run again', async () => {
      const first = await snapshotStore()
      for (const n of await moments((target) => push(first, target, { retain: COMPLIANCE }))) {
        const store = await snapshotStore()
        await store.close()
        const url = newPlace()
        let child: ChildProcess | undefined
        const { count } = await withFaults(
          proxy,
          (number) => {
            if (number === n) child?.kill('SIGKILL')
            return number < n ? undefined : { kind: number % 2 === 0 ? 'cut-after' : 'cut-before' }
          },
          async () => {
            child = spawn(process.execPath, [PROGRAM, store.url, url, proxy.url], {
              env: { AWS_ACCESS_KEY_ID: server.accessKey, AWS_SECRET_ACCESS_KEY: server.secretKey },
              stdio: ['ignore', 'inherit', 'inherit'],
            })
            expect(await once(child, 'exit')).toEqual([null, 'SIGKILL'])
          },
        )
        expect(count).toBeGreaterThanOrEqual(n)
        const again = await opened(store.url)
        const target = await placeAt(server, url)
        await push(again, target, { retain: COMPLIANCE })
        const { problems, objects } = await verify(again, target)
        expect([problems, objects], `request ${n}`).toEqual([[], 3])
        await again.close()
      }
    })
  })

  describe('a pull', () => {
    it('goes on where its server was killed and came back', async () => {
      const store = await snapshotStore()
      const url = newPlace()
      await push(store, await placeAt(server, url))
      const first = await readerOf(store)
      for (const n of await moments((target) => pull(first, target), url)) {
        const reader = await readerOf(store)
        const target = await placeAt(through, url, { retryForMs: 30_000 })
        await withRestart(n, () => pull(reader, target))
        expect(await rootOf(reader)).toBe(await rootOf(store))
      }
    })

    it('onto a full disk changes nothing, and goes on when there is room', async () => {
      const store = await snapshotStore()
      const target = await placeAt(server)
      await push(store, target)
      const reader = await readerOf(store)
      const { environment } = reader
      let hook: StepHook = () => undefined
      Object.assign(environment, {
        store: createFaultStore(environment.store, (step) => hook(step)),
      })
      for (let n = 1; ; n++) {
        hook = fullDiskAtStep(n).hook
        const failure = await pull(reader, target).then(
          () => undefined,
          (error: unknown) => error,
        )
        hook = () => undefined
        if (failure === undefined) {
          expect(n).toBeGreaterThan(3)
          break
        }
        expect(failure, `step ${n}`).toMatchObject({ code: 'NO_SPACE' })
        expect(await reader.list()).toEqual([])
        await dropBlobs(reader)
      }
      await pull(reader, target)
      expect(await rootOf(reader)).toBe(await rootOf(store))
      expect((await reader.check({ readData: true })).problems).toEqual([])
    })
  })

  describe('is refused with a reason, and leaves nothing that names anything:', () => {
    const manifests = async (url: string): Promise<string[]> => {
      const found = await versionsOf(await placeAt(server, url))
      return found.map(({ key }) => key).filter((key) => !key.startsWith('blobs/'))
    }

    it('a wrong secret, a bucket that is not there, a server that is down', async () => {
      const store = await originStore()
      const url = newPlace()
      const wrong = await placeAt(server, url, { secretKey: 'wrong' })
      await expect(push(store, wrong)).rejects.toMatchObject({ code: 'AUTH' })
      await expect(pull(store, wrong)).rejects.toMatchObject({ code: 'AUTH' })
      await expect(verify(store, wrong)).rejects.toMatchObject({ code: 'AUTH' })
      const nowhere = await placeAt(server, newPlace('nowhere'))
      await expect(push(store, nowhere)).rejects.toMatchObject({ code: 'NOT_FOUND' })
      const down = await placeAt(server, url, { endpoint: 'http://127.0.0.1:1', ...ONCE })
      await expect(push(store, down)).rejects.toMatchObject({ code: 'UNREACHABLE' })
      expect(await manifests(url)).toEqual([])
    })

    it('a lock in a bucket without object lock, and a key that the KMS does not have', async () => {
      const store = await originStore()
      const url = newPlace('plain')
      const target = await placeAt(server, url)
      const unlockable = { code: 'RETENTION' }
      await expect(push(store, target, { retain: COMPLIANCE })).rejects.toMatchObject(unlockable)
      await expect(push(store, target, { legalHold: true })).rejects.toMatchObject(unlockable)
      const keyless = { code: 'NOT_FOUND' }
      await expect(push(store, target, { kmsKey: 'none' })).rejects.toMatchObject(keyless)
      expect(await manifests(url)).toEqual([])
      // Without a lock it works there, too.
      await push(store, target, { kmsKey: 'site-a' })
      expect(await problemsOf(store, target)).toEqual([])
      const reader = await readerOf(store)
      await pull(reader, target)
      expect(await rootOf(reader)).toBe(await rootOf(store))
    })

    it('a local blob that is damaged, cut or gone', async () => {
      for (const damage of ['changed', 'cut', 'gone'] as const) {
        const store = await originStore()
        const [path = ''] = await readdir(join(store.url, 'blobs'), { recursive: true }).then(
          (names) => names.filter((name) => name.length > 60),
        )
        const blob = join(store.url, 'blobs', path)
        if (damage === 'changed') await writeFile(blob, Buffer.alloc(1), { flag: 'r+' })
        else if (damage === 'cut') await truncate(blob, 100)
        else await rm(blob)
        const url = newPlace()
        const outcome = push(store, await placeAt(server, url), { retain: COMPLIANCE })
        await expect(outcome, damage).rejects.toMatchObject({ code: 'INTEGRITY' })
        expect(await manifests(url), damage).toEqual(['akidb.json'])
      }
    })
  })

  it('is not lost with the key of a KMS, but unreadable, and verify says so', async () => {
    const folder = join(dirname((await originStore()).url), 'server')
    const env = { MINIO_ROOT_USER: server.accessKey, MINIO_ROOT_PASSWORD: server.secretKey }
    const key = { MINIO_KMS_SECRET_KEY: `site-a:${Buffer.alloc(32, 7).toString('base64')}` }
    const other = { MINIO_KMS_SECRET_KEY: `site-a:${Buffer.alloc(32, 8).toString('base64')}` }
    const store = await originStore()
    const url = newPlace()
    const run = async (keys: Readonly<Record<string, string>>) => {
      const keyed = await startMinio({ folder, env: { ...env, ...keys } })
      onTestFinished(() => keyed.stop())
      return keyed
    }
    const before = await run(key)
    await createBucket(before, 'evidence', { objectLock: true })
    await push(store, await placeAt(before, url), { kmsKey: 'site-a' })
    const mixed = newPlace()
    await push(store, await placeAt(before, mixed))
    await push(store, await placeAt(before, mixed), { kmsKey: 'site-a' })
    await before.kill()
    const without = await run(other)
    const target = await placeAt(without, url)
    const reader = await readerOf(store)
    const message = expect.stringMatching(/under another key .*; its key is "site-a"$/)
    const unreadable = { code: 'INTEGRITY', message, details: { kmsKey: 'site-a' } }
    await expect(pull(reader, target)).rejects.toMatchObject(unreadable)
    await expect(push(store, target)).rejects.toMatchObject(unreadable)
    await expect(verify(store, target)).rejects.toMatchObject(unreadable)
    // What is under no key vouches for what it did; of the rest no key of anybody is missed.
    const half = await verify(store, await placeAt(without, mixed))
    expect(new Set(half.problems.map(({ code }) => code))).toEqual(new Set(['UNREADABLE']))
    expect(half.problems[0]?.message).toContain('its key is "site-a" (kms:')
    const trusted = await store.environment.keys.trusted()
    const status = await sealedStatus(await placeAt(without, mixed), trusted)
    expect(status).toMatchObject({ seals: 1, unproven: 1, unreadable: 1 })
    await without.kill()
    const none = await run({ MINIO_KMS_SECRET_KEY: key.MINIO_KMS_SECRET_KEY.replace('a:', 'b:') })
    const gone = { ...unreadable, message: expect.stringContaining('the KMS does not have') }
    await expect(verify(store, await placeAt(none, url))).rejects.toMatchObject(gone)
    await none.kill()
    const back = await run(key)
    expect(await problemsOf(store, await placeAt(back, url))).toEqual([])
  })
})
