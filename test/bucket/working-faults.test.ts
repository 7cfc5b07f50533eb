import { expect, it } from 'vitest'
import { AkidbError } from '../../src/errors/errors.ts'
import type { OpenedStore } from '../../src/index.ts'
import type { Fault } from '../support/fault-proxy.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { idsOf, ingestRows, testRows } from '../support/records.ts'
import { type Machine, newPlace, record, twoMachines } from './machines.ts'

/** One after the other, so that every kind meets every sort of request. */
const FAULTS: readonly Fault[] = [
  { kind: 'cut-before' },
  { kind: 'cut-after' },
  { kind: 'status', status: 503 },
  { kind: 'cut-body', bytes: 10 },
]
/** What a network may do to a command. */
const CODES = ['UNREACHABLE', 'TIMEOUT', 'INTEGRITY', 'CONFLICT']

/** What a machine does with its store, and the ids that are there when it is done. */
interface Work {
  readonly name: string
  readonly ids: readonly string[]
  run(store: OpenedStore): Promise<unknown>
}

const works = (turn: string): readonly Work[] => [
  {
    name: 'ingest',
    ids: [`i${turn}0`, `i${turn}1`],
    run: (store) => ingestRows(store.core('docs'), testRows(`i${turn}`, 2)),
  },
  {
    name: 'upsert',
    ids: [`u${turn}`],
    run: async (store) => await (await store.collection('docs')).upsert([record(`u${turn}`)]),
  },
  { name: 'gc', ids: [], run: (store) => store.gc({ keepMs: 0 }) },
]

describeMinio('a working store whose server fails', () => {
  const { server, proxy, through } = minioScene({ plain: ['plain'] })

  /** Opens, works and closes; the fault meets the request of that number. */
  const attempt = async (machine: Machine, work: Work, at: number) => {
    let count = 0
    proxy.onRequest = () => (++count === at ? FAULTS[at % FAULTS.length] : undefined)
    try {
      const store = await machine.open()
      try {
        await work.run(store)
      } finally {
        await store.close()
      }
      return { count }
    } catch (failure) {
      return { count, failure }
    } finally {
      proxy.onRequest = () => undefined
    }
  }

  const expectWhole = async (machine: Machine, ids: Iterable<string>): Promise<void> => {
    const store = await machine.open()
    expect(await idsOf(store.core('docs'))).toEqual([...ids].sort())
    expect((await store.check({ readData: true })).problems).toEqual([])
    await store.close()
  }

  it('says so at every request, loses nothing, and goes on with the next command', async () => {
    const [a, b] = await twoMachines(through, newPlace(), { retryForMs: 0 })
    const ids = new Set<string>()
    let failures = 0
    for (const kind of works('').map(({ name }) => name)) {
      for (let at = 1; ; at += 9) {
        const work = works(`${at}-`).find(({ name }) => name === kind) as Work
        const { count, failure } = await attempt(a, work, at)
        if (failure !== undefined) {
          failures++
          expect(failure, `${kind} at ${at}`).toBeInstanceOf(AkidbError)
          expect(CODES, String(failure)).toContain((failure as AkidbError).code)
          const again = await attempt(a, work, 0)
          expect(again.failure, `${kind} again after ${at}`).toBeUndefined()
        }
        for (const id of work.ids) ids.add(id)
        if (count < at) break
      }
    }
    expect(failures).toBeGreaterThan(6)
    await expectWhole(b, ids)
    await expectWhole(a, ids)
  }, 240_000)

  it('is not noticed where a request is tried again', async () => {
    const [a, b] = await twoMachines(through, newPlace())
    const ids = new Set<string>()
    for (const kind of ['ingest', 'upsert']) {
      for (let at = 1; ; at += 11) {
        const work = works(`${at}-`).find(({ name }) => name === kind) as Work
        const { count, failure } = await attempt(a, work, at)
        if (failure !== undefined) throw new Error(`${kind} at ${at}`, { cause: failure })
        for (const id of work.ids) ids.add(id)
        if (count < at) break
      }
    }
    await expectWhole(b, ids)
  }, 240_000)

  it('is killed and started again in the middle of everything', async () => {
    const [a, b] = await twoMachines(through, newPlace())
    const ids = new Set<string>()
    for (const at of [3, 14, 25]) {
      const work = works(`k${at}-`)[at % 2] as Work
      let count = 0
      let restarted: Promise<void> | undefined
      proxy.onRequest = () => {
        if (++count === at) restarted = server.restart()
        return undefined
      }
      const store = await a.open()
      await work.run(store)
      await store.close()
      proxy.onRequest = () => undefined
      await restarted
      for (const id of work.ids) ids.add(id)
    }
    await expectWhole(b, ids)
  }, 240_000)
})
