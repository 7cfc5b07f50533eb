import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { eachAtOnce } from '../../src/core/slots.ts'
import type { SealedStore } from '../../src/storage/object-store.ts'
import type { Fault } from '../support/fault-proxy.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import {
  accessTo,
  bodyOf,
  type CountedBody,
  gather,
  noPauses,
  openBucket,
  patternOf,
} from '../support/s3.ts'

/** What goes wrong with one try, and not with the next. */
const FAULTS: readonly Fault[] = [
  { kind: 'cut-before' },
  { kind: 'cut-after' },
  { kind: 'cut-body', bytes: 0 },
  { kind: 'cut-body', bytes: 100 },
  { kind: 'short-body', bytes: 200 },
  { kind: 'status', status: 503 },
  { kind: 'status', status: 500 },
  { kind: 'status', status: 400, code: 'RequestTimeout' },
  { kind: 'delay', delayMs: 5 },
]

const content = patternOf(5_000)
const [one, two] = [bodyOf(content), bodyOf('somebody else')]

/** Something that a store does, and what comes of it however its requests fail. */
interface Operation {
  /** What is there before, put by somebody else. */
  readonly before?: (direct: SealedStore, key: string) => Promise<unknown>
  readonly run: (store: SealedStore, key: string) => Promise<unknown>
  readonly gives: unknown
  /** What is there afterwards: the versions' lengths. */
  readonly leaves?: readonly number[]
}

const isThere = (direct: SealedStore, key: string) => direct.put(key, content)
const isOther = (direct: SealedStore, key: string) => direct.seal(key, two, {})

const textOf = async (pieces: AsyncIterable<Uint8Array>): Promise<string> =>
  Buffer.concat(await gather(pieces)).toString('latin1')

/** Each piece is taken late, and gone when it was taken. */
async function streamed(store: SealedStore, key: string, versionId = '', bytes = content.length) {
  const pieces: string[] = []
  let taking = 0
  await store.streamVersion(key, versionId, bytes, (piece) => {
    expect(taking).toBe(0)
    if (pieces.length % 2 === 0) return void pieces.push(Buffer.from(piece).toString('latin1'))
    taking++
    return setImmediate().then(() => {
      pieces.push(Buffer.from(piece).toString('latin1'))
      taking--
    })
  })
  return pieces.join('')
}

const OPERATIONS: Readonly<Record<string, Operation>> = {
  'put what is not there': {
    run: (store, key) => store.put(key, content),
    gives: 'created',
    leaves: [content.length],
  },
  'put where somebody put something else': {
    before: isOther,
    run: (store, key) => store.put(key, content),
    gives: 'exists',
    leaves: [two.bytes],
  },
  'seal what is not there': {
    run: async (store, key) => {
      const made = await store.seal(key, one, { legalHold: true })
      const [found] = await gather(store.versions(key))
      await store.setLegalHold(key, made ?? '', false)
      return made !== undefined && made === found?.versionId
    },
    gives: true,
    leaves: [one.bytes],
  },
  'seal where somebody put the same': {
    before: isThere,
    run: (store, key) => store.seal(key, one, {}),
    gives: undefined,
    leaves: [one.bytes],
  },
  'get all': {
    before: isThere,
    run: async (store, key) => content.equals(await store.get(key)),
    gives: true,
  },
  'get a range': {
    before: isThere,
    run: async (store, key) => Buffer.from(await store.get(key, { offset: 4_096, bytes: 900 })),
    gives: content.subarray(4_096, 4_996),
  },
  'get what is not there': {
    run: (store, key) => store.get(key).catch(({ code }) => code),
    gives: 'NOT_FOUND',
  },
  'read pieces': {
    before: isThere,
    run: (store, key) => textOf(store.read(key, { offset: 10 })),
    gives: content.subarray(10).toString('latin1'),
  },
  'stream a version': {
    before: isThere,
    run: async (store, key) => {
      const [version] = await gather(store.versions(key))
      return await streamed(store, key, version?.versionId)
    },
    gives: content.toString('latin1'),
  },
  'look at one': {
    before: isThere,
    run: async (store, key) => (await store.head(key))?.bytes,
    gives: content.length,
  },
  'look at none': { run: (store, key) => store.head(key), gives: undefined },
  'list pages': {
    run: async (store) => (await gather(store.list('many/'))).length,
    gives: 1_050,
  },
  'list pages of versions': {
    run: async (store) => (await gather(store.versions('many/'))).length,
    gives: 1_050,
  },
  'delete one': {
    before: isThere,
    run: (store, key) => store.delete(key),
    gives: true,
    leaves: [],
  },
  'delete none': { run: (store, key) => store.delete(key), gives: false, leaves: [] },
  'look at the locks': {
    run: async (store) => (await store.lockState()).locked,
    gives: true,
  },
  'ask for the time': {
    run: async (store) => Math.abs((await store.nowMs()) - Date.now()) < 60_000,
    gives: true,
  },
}

describeMinio('a bucket behind a bad network', () => {
  const { server, proxy, through } = minioScene({ locked: ['locked'] })
  let direct: SealedStore
  let store: SealedStore
  let keys = 0
  beforeAll(async () => {
    direct = await openBucket('s3://locked/p', accessTo(server))
    store = await openBucket('s3://locked/p', accessTo(through), noPauses)
    const many = Array.from({ length: 1_050 }, (_, i) => `many/${i}`)
    await eachAtOnce(many, 16, async (key) => void (await direct.put(key, Buffer.from('x'))))
  })
  afterAll(async () => {
    await store?.close()
    await direct?.close()
  })

  /** The n-th request from here on goes wrong, and so many after it. */
  function inject(fault: Fault, index: number, times = 1): void {
    let count = 0
    proxy.onRequest = ({ method }) => {
      const isChosen = count >= index && count < index + times
      count++
      // An answer to HEAD has no body: there 400 says nothing.
      const isMute = method === 'HEAD' && fault.kind === 'status' && fault.status === 400
      return isChosen && !isMute ? fault : undefined
    }
  }

  async function runOnce({ before, run, gives, leaves }: Operation, why: string): Promise<number> {
    const key = `k${keys++}`
    await before?.(direct, key)
    proxy.requests.length = 0
    expect(await run(store, key), why).toEqual(gives)
    const requests = proxy.requests.length
    if (leaves !== undefined) {
      const versions = await gather(direct.versions(key))
      expect(
        versions.map(({ bytes }) => bytes),
        why,
      ).toEqual(leaves)
    }
    return requests
  }

  describe.each(Object.entries(OPERATIONS))('does %s', (_, operation) => {
    it('at every fault of every request', async () => {
      const requests = await runOnce(operation, 'without a fault')
      expect(requests).toBeGreaterThan(0)
      for (let index = 0; index < requests; index++) {
        for (const fault of FAULTS) {
          inject(fault, index)
          await runOnce(operation, `${JSON.stringify(fault)} at request ${index}`)
        }
      }
    })

    it('at two faults in a row', async () => {
      for (const fault of FAULTS) {
        inject(fault, 0, 2)
        await runOnce(operation, JSON.stringify(fault))
      }
    })
  })

  it('never takes flipped bytes of a whole object for its own', async () => {
    await direct.put('flipped', content)
    inject({ kind: 'wrong-body' }, 0)
    expect(content.equals(await store.get('flipped'))).toBe(true)
    proxy.onRequest = () => ({ kind: 'wrong-body' })
    await expect(store.get('flipped')).rejects.toMatchObject({ code: 'INTEGRITY', exitCode: 24 })
    proxy.onRequest = () => ({ kind: 'short-body', bytes: 4_999 })
    await expect(store.get('flipped')).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('goes on where a large object was cut', async () => {
    const body = patternOf(2.5 * limits.s3ReadBytes)
    await direct.put('cut', body)
    const cuts: readonly Fault[] = [
      { kind: 'cut-body', bytes: limits.s3ReadBytes - 1 },
      { kind: 'short-body', bytes: limits.s3ReadBytes - 1 },
    ]
    for (const fault of cuts) {
      inject(fault, 2)
      proxy.requests.length = 0
      expect(body.equals(Buffer.concat(await gather(store.read('cut'))))).toBe(true)
      const ranges = proxy.requests.map(({ headers }) => headers.range).filter(Boolean)
      // One part of three was asked for twice, and nothing else.
      expect(ranges).toHaveLength(4)
      expect(new Set(ranges).size).toBe(3)
    }
    await direct.delete('cut')
  })

  it('goes on where a stream was cut, as often as it brings something', async () => {
    const body = patternOf(5 * 2 ** 20)
    await direct.put('stream', body)
    const [version] = await gather(direct.versions('stream'))
    let count = 0
    // More often than one request is tried.
    const cuts = limits.s3TriesMax + 3
    proxy.requests.length = 0
    proxy.onRequest = ({ headers }) =>
      headers.range !== undefined && count++ < cuts
        ? { kind: 'cut-body', bytes: 70_000 }
        : undefined
    expect(await streamed(store, 'stream', version?.versionId, body.length)).toBe(
      body.toString('latin1'),
    )
    const starts = proxy.requests.flatMap(({ headers }) => /=(\d+)-/.exec(headers.range ?? '')?.[1])
    expect(starts.filter(Boolean).map(Number)).toEqual(
      Array.from({ length: cuts + 1 }, (_, i) => i * 70_000),
    )
    await direct.delete('stream')
  })

  describe('in parts', () => {
    const STEPS = ['HEAD', 'POST uploads', 'PUT partNumber', 'POST uploadId'] as const
    let large: CountedBody
    beforeAll(() => {
      large = bodyOf(patternOf(limits.s3PutBytesMax + 1))
    })

    /** The first request of a kind goes wrong. */
    function injectAt(step: string, fault: Fault): void {
      let count = 0
      proxy.onRequest = ({ method, query }) =>
        `${method} ${[...query.keys()].join(' ')}`.startsWith(step) && count++ === 0
          ? fault
          : undefined
    }

    const kinds = FAULTS.filter(({ kind }) => /cut-before|cut-after|short-body/.test(kind))
    const faults: readonly Fault[] = [...kinds, { kind: 'status', status: 500 }]

    it.each(STEPS)('makes one object at every fault of %s', async (step) => {
      for (const fault of faults) {
        const key = `parts-${keys++}`
        injectAt(step, fault)
        const made = await store.seal(key, large, {})
        const versions = await gather(direct.versions(key))
        expect(versions, JSON.stringify(fault)).toMatchObject([
          { versionId: made, bytes: large.bytes },
        ])
        const info = await direct.headVersion(key, made ?? '')
        expect(info?.checksum).toBe(await direct.checksumOf(large))
        await direct.delete(key)
      }
    })

    it('stays away where somebody was faster, whatever fails at the end', async () => {
      const known = await gather(server.client.listIncompleteUploads('locked', '', true))
      for (const fault of faults) {
        const key = `parts-${keys++}`
        const open = async function* () {
          yield* large.open(0)
          await direct.put(key, content)
        }
        injectAt('POST uploadId', fault)
        expect(await store.seal(key, { ...large, open }, {})).toBeUndefined()
        expect(await gather(direct.versions(key))).toMatchObject([{ bytes: content.length }])
      }
      const left = await gather(server.client.listIncompleteUploads('locked', '', true))
      expect(left).toEqual(known)
    })

    it('is given up at any request', async () => {
      for (const step of STEPS) {
        const key = `parts-${keys++}`
        const control = new AbortController()
        const reason = new Error(`given up at ${step}`)
        proxy.onRequest = ({ method, query }) => {
          if (!`${method} ${[...query.keys()].join(' ')}`.startsWith(step)) return undefined
          control.abort(reason)
          return { kind: 'hang' }
        }
        const sealing = store.seal(key, large, { signal: control.signal })
        await expect(sealing).rejects.toBe(reason)
        expect(await gather(direct.versions(key))).toEqual([])
      }
    })
  })
})
