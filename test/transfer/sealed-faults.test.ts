import { describe, expect, it } from 'vitest'
import { AkidbError } from '../../src/errors/errors.ts'
import type { Fault, ProxiedRequest } from '../support/fault-proxy.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { dropBlobs, snapshotStore, withFaults } from './fault-runs.ts'
import {
  addRows,
  COMPLIANCE,
  newPlace,
  placeAt,
  problemsOf,
  pull,
  push,
  readerOf,
  rootOf,
  verify,
  versionsOf,
} from './sealed-sites.ts'

/** No try but the first. */
const ONCE = { retryForMs: 0 }

describeMinio('push and pull, with faults', () => {
  const { server, proxy, through } = minioScene({ locked: ['evidence'] })

  /** Spoils every request at its first try, and none at its second. */
  function firstTries(
    fault: Fault,
  ): (number: number, request: ProxiedRequest) => Fault | undefined {
    const spoilt = new Set<string>()
    return (_, { method, path, query }) => {
      const name = `${method} ${path} ${query}`
      if (spoilt.delete(name)) return undefined
      spoilt.add(name)
      return fault
    }
  }

  /** The n-th request is answered with `last`, and nothing after it reaches the server. */
  const deadAfter = (n: number, last: Fault) => (number: number) =>
    number < n ? undefined : number === n ? last : ({ kind: 'cut-before' } as const)

  const PASSING: readonly Fault[] = [
    { kind: 'cut-before' },
    { kind: 'cut-after' },
    { kind: 'cut-body', bytes: 1 },
    { kind: 'short-body', bytes: 120 },
    { kind: 'status', status: 503 },
    { kind: 'status', status: 500 },
    { kind: 'delay', delayMs: 5 },
  ]
  const WRONG: readonly Fault[] = [
    { kind: 'wrong-body' },
    { kind: 'wrong-body', offset: 0 },
    { kind: 'short-body', bytes: 20 },
  ]

  describe('a push', () => {
    for (const fault of PASSING) {
      it(`does not notice ${JSON.stringify(fault)} at each of its requests`, async () => {
        const store = await snapshotStore()
        const url = newPlace()
        const target = await placeAt(through, url)
        const options = { retain: COMPLIANCE, kmsKey: 'site-a', legalHold: true }
        const { failure, count } = await withFaults(proxy, firstTries(fault), () =>
          push(store, target, options),
        )
        expect(failure).toBeUndefined()
        expect(count).toBeGreaterThan(20)
        const all = await versionsOf(target)
        expect(new Set(all.map(({ key }) => key)).size).toBe(all.length)
        expect(await problemsOf(store, await placeAt(server, url))).toEqual([])
      })
    }

    it('that extends and adds does not notice lost answers either', async () => {
      const store = await snapshotStore()
      const url = newPlace()
      const target = await placeAt(through, url)
      await push(store, target, { retain: COMPLIANCE })
      await addRows(store, 'more', 2)
      const retain = { ...COMPLIANCE, forMs: 2 * COMPLIANCE.forMs }
      const { failure } = await withFaults(proxy, firstTries({ kind: 'cut-after' }), () =>
        push(store, target, { retain }),
      )
      expect(failure).toBeUndefined()
      expect(await problemsOf(store, await placeAt(server, url))).toEqual([])
    })

    it('that ends at any of its requests goes on when it is run again', async () => {
      const store = await snapshotStore()
      const ends: readonly Fault[] = [{ kind: 'cut-after' }, { kind: 'status', status: 503 }]
      for (let n = 1; ; n++) {
        const url = newPlace()
        const target = await placeAt(through, url, ONCE)
        const end = ends[n % ends.length] as Fault
        const { failure } = await withFaults(proxy, deadAfter(n, end), () =>
          push(store, target, { retain: COMPLIANCE }),
        )
        if (failure === undefined) {
          expect(n).toBeGreaterThan(20)
          break
        }
        expect(failure, `request ${n}`).toMatchObject({ code: 'UNREACHABLE' })
        await push(store, target, { retain: COMPLIANCE })
        const { ok, objects, problems } = await verify(store, target)
        expect([ok, objects], `request ${n}: ${JSON.stringify(problems)}`).toEqual([true, 3])
      }
    })

    it('is not led astray by listings that lack what is there', async () => {
      const store = await snapshotStore()
      const drops = [
        () => true,
        (key: string) => /seals|audit/.test(key),
        /blobs/.test.bind(/blobs/),
      ]
      for (const drop of drops) {
        const url = newPlace()
        const target = await placeAt(through, url)
        await push(store, target, { retain: COMPLIANCE })
        await addRows(store, `more${drops.indexOf(drop)}`, 2)
        const { failure } = await withFaults(
          proxy,
          () => ({ kind: 'stale-list', drop }),
          () => push(store, target, { retain: COMPLIANCE }),
        )
        if (failure !== undefined) expect(failure).toMatchObject({ code: 'CONFLICT' })
        await push(store, target, { retain: COMPLIANCE })
        expect(await problemsOf(store, target)).toEqual([])
      }
    })

    it('is not led astray by a wrong answer to any of its requests', async () => {
      const store = await snapshotStore()
      let n = 0
      for (let last = false; !last; ) {
        n++
        const url = newPlace()
        // There is something to read.
        await push(store, await placeAt(server, url), { retain: COMPLIANCE })
        await addRows(store, `more${n}`, 1)
        const target = await placeAt(through, url, { retryForMs: 300 })
        const fault = WRONG[n % WRONG.length] as Fault
        // Other answers have no body.
        let answers = 0
        const { failure } = await withFaults(
          proxy,
          (_, { method }) => (method === 'GET' && ++answers === n ? fault : undefined),
          () => push(store, target, { retain: COMPLIANCE }),
        )
        last = answers < n
        if (failure !== undefined) {
          expect(failure, `answer ${n}`).toBeInstanceOf(AkidbError)
          expect(failure, `answer ${n}`).not.toMatchObject({ code: 'INTERNAL' })
          await push(store, target, { retain: COMPLIANCE })
        }
        expect(await problemsOf(store, target), `answer ${n}`).toEqual([])
      }
      expect(n).toBeGreaterThan(10)
    })
  })

  describe('a pull', () => {
    for (const fault of PASSING) {
      it(`does not notice ${JSON.stringify(fault)} at each of its requests`, async () => {
        const store = await snapshotStore()
        const url = newPlace()
        await push(store, await placeAt(server, url))
        const reader = await readerOf(store)
        const target = await placeAt(through, url)
        const { failure, count } = await withFaults(proxy, firstTries(fault), () =>
          pull(reader, target),
        )
        expect(failure).toBeUndefined()
        expect(count).toBeGreaterThan(10)
        expect(await rootOf(reader)).toBe(await rootOf(store))
        expect((await reader.check({ readData: true })).problems).toEqual([])
      })
    }

    it('that ends at any of its requests changes nothing, and goes on', async () => {
      const store = await snapshotStore()
      const url = newPlace()
      await push(store, await placeAt(server, url))
      const reader = await readerOf(store)
      const target = await placeAt(through, url, ONCE)
      for (let n = 1; ; n++) {
        const { failure } = await withFaults(proxy, deadAfter(n, { kind: 'cut-after' }), () =>
          pull(reader, target),
        )
        if (failure === undefined) {
          expect(n).toBeGreaterThan(10)
          break
        }
        expect(failure, `request ${n}`).toMatchObject({ code: 'UNREACHABLE' })
        expect(await reader.list()).toEqual([])
        await dropBlobs(reader)
      }
      expect(await rootOf(reader)).toBe(await rootOf(store))
    })

    it('of a listing that lacks the newest seal takes an older state, or none', async () => {
      const store = await snapshotStore()
      const older = await rootOf(store)
      const url = newPlace()
      const target = await placeAt(server, url)
      await push(store, target)
      const before = new Set((await versionsOf(target)).map(({ key }) => key))
      await addRows(store, 'more', 2)
      await push(store, target)
      const stale = () => ({ kind: 'stale-list', drop: isNewer }) as const
      const isNewer = (key: string) => !before.has(key.replace(/^place-\d+\//, ''))
      const [reader, late] = [await readerOf(store), await readerOf(store)]
      const seen = await placeAt(through, url)
      expect(await withFaults(proxy, stale, () => pull(reader, seen))).not.toHaveProperty('failure')
      expect(await rootOf(reader)).toBe(older)
      await pull(reader, seen)
      expect(await rootOf(reader)).toBe(await rootOf(store))
      const again = await withFaults(proxy, stale, () => pull(reader, seen))
      expect(again.failure).toMatchObject({ code: 'ROLLBACK' })
      const nothing = { kind: 'stale-list', drop: () => true } as const
      const empty = await withFaults(
        proxy,
        () => nothing,
        () => pull(late, seen),
      )
      expect(empty.failure).toMatchObject({ code: 'NOT_FOUND' })
    })

    it('never takes a wrong byte, whichever answer it is in', async () => {
      const store = await snapshotStore()
      const url = newPlace()
      await push(store, await placeAt(server, url))
      const target = await placeAt(through, url, { retryForMs: 300 })
      let reader = await readerOf(store)
      for (const fault of WRONG) {
        let n = 0
        for (let last = false; !last; ) {
          n++
          const { count, failure } = await withFaults(
            proxy,
            (number) => (number === n ? fault : undefined),
            () => pull(reader, target),
          )
          last = count < n
          const what = `${JSON.stringify(fault)} at request ${n}`
          if (failure === undefined) {
            expect(await rootOf(reader), what).toBe(await rootOf(store))
            expect((await reader.check({ readData: true })).problems, what).toEqual([])
            reader = await readerOf(store)
          } else {
            expect(failure, what).toBeInstanceOf(AkidbError)
            expect(failure, what).not.toMatchObject({ code: 'INTERNAL' })
            expect(await reader.list(), what).toEqual([])
            await dropBlobs(reader)
          }
        }
      }
    })
  })
})
