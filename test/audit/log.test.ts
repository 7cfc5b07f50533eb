import { describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../src/audit/checkpoint.ts'
import type { AuditEntryInput } from '../../src/audit/entry.ts'
import { splitFrames } from '../../src/audit/frames.ts'
import { verifyProof } from '../../src/audit/proof.ts'
import { limits } from '../../src/core/limits.ts'
import { leafHash, merkleRoot } from '../../src/core/merkle.ts'
import { verifyConsistency } from '../../src/core/merkle-proofs.ts'
import { hasCode } from '../../src/errors/errors.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import {
  dump,
  entryInput,
  entryInputs,
  memoryStore,
  openReader,
  openTestLog,
  prefixOf,
  testLock,
  testSigner,
} from './support.ts'

const signer = testSigner()
const prefix = prefixOf(signer)

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const value of values) all.push(value)
  return all
}

/** The exact bytes of all entries in order: closed batches first, then the tail. */
async function entryBytes(store: ObjectStore): Promise<Uint8Array[]> {
  const files = await dump(store)
  const batches = [...files.keys()].filter((key) => key.includes('/tile/entries/'))
  const tails = [...files.keys()].filter((key) => key.includes('/tail/'))
  return [...batches, ...tails].flatMap((key) => [
    ...splitFrames(files.get(key) ?? new Uint8Array(0)).entries,
  ])
}

describe('an audit log', () => {
  it('starts empty', async () => {
    const log = await openTestLog(memoryStore())
    expect(log.size).toBe(0)
    expect(log.root).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(log.warnings).toEqual([])
    expect(await collect(log.read())).toEqual([])
    expect(await collect(log.newestFirst())).toEqual([])
  })

  it.each([1, 255, 256, 257, 511, 512, 513])('keeps %i entries over a restart', async (count) => {
    const store = memoryStore()
    const log = await openTestLog(store)
    const appended = await log.append(entryInputs(count))
    expect(appended).toEqual({ seq: 0, size: count, root: log.root })
    await log.checkpoint()
    const again = await openTestLog(store)
    expect(again.position()).toEqual({ logId: signer.key.keyId, size: count, root: log.root })
    const seqs = (await collect(again.read())).map(({ seq }) => seq)
    expect(seqs).toEqual(Array.from({ length: count }, (_, i) => i))
    const tiles = [...(await dump(store)).keys()].filter((key) => key.includes('/tile/0/'))
    expect(tiles.length).toBe(Math.floor(count / 256))
    await again.append([entryInput(count)])
    const leaves = (await entryBytes(store)).map(leafHash)
    expect(leaves.length).toBe(count + 1)
    expect(again.root).toBe(Buffer.from(merkleRoot(leaves)).toString('hex'))
  })

  it('signs checkpoints over everything, and the same one twice as the same bytes', async () => {
    const store = memoryStore()
    const log = await openTestLog(store)
    await log.append(entryInputs(3))
    const { note, size, root } = await log.checkpoint()
    expect([size, root]).toEqual([3, log.root])
    expect(await store.get(`${prefix}/checkpoint`)).toEqual(note)
    expect(openCheckpoint(note, [signer.key]).size).toBe(3)
    expect((await log.checkpoint()).note).toEqual(note)
    expect(() => openCheckpoint(note, [testSigner(8).key])).toThrow(/no known key/)
  })

  it('proves entries and growth to a reader without the private key', async () => {
    const store = memoryStore()
    const log = await openTestLog(store)
    await log.append(entryInputs(700))
    await log.checkpoint()
    const reader = await openReader(store)
    for (const seq of [0, 1, 255, 256, 511, 512, 699]) {
      const proved = verifyProof(await reader.prove(seq), [signer.key])
      expect([proved.seq, proved.entry.details?.n, proved.root]).toEqual([seq, seq, log.root])
    }
    const rootAt = async (size: number) => Buffer.from(await log.rootAt(size), 'hex')
    for (const oldSize of [0, 1, 255, 256, 257, 512, 699, 700]) {
      for (const newSize of [257, 513, 699, 700]) {
        if (oldSize > newSize) continue
        const path = await reader.consistency(oldSize, newSize)
        const [oldRoot, newRoot] = [await rootAt(oldSize), await rootAt(newSize)]
        expect(verifyConsistency({ oldSize, newSize, oldRoot, newRoot, path })).toBe(true)
      }
    }
    await expect(reader.prove(700)).rejects.toSatisfy((e) => hasCode(e, 'NOT_FOUND'))
    await expect(reader.append(entryInputs(1))).rejects.toSatisfy((e) => hasCode(e, 'AUTH'))
    await expect(reader.checkpoint()).rejects.toSatisfy((e) => hasCode(e, 'AUTH'))
  })

  it('signs first where the newest checkpoint does not cover what is to be proved', async () => {
    const log = await openTestLog(memoryStore())
    await log.append(entryInputs(2))
    await log.checkpoint()
    await log.append(entryInputs(2))
    expect(verifyProof(await log.prove(3), [signer.key]).size).toBe(4)
  })

  it('interleaves two writers without losing or forking an entry', async () => {
    const store = memoryStore()
    const lock = testLock()
    const a = await openTestLog(store, { lock })
    const b = await openTestLog(store, { lock })
    for (let i = 0; i < 40; i++) {
      const [first] = await Promise.all([
        a.append(entryInputs(13, 100 * i)),
        b.append(entryInputs(19)),
        ...(i % 7 === 0 ? [a.checkpoint(), b.checkpoint()] : []),
      ])
      const [entry] = await collect(a.read({ from: first.seq, limit: 1 }))
      expect(entry?.details?.n).toBe(100 * i)
    }
    await a.refresh()
    await b.refresh()
    expect(a.position()).toEqual(b.position())
    expect(a.size).toBe(40 * 32)
    expect((await openTestLog(store)).root).toBe(a.root)
  })

  it('lets a reader follow a writer over the end of a batch', async () => {
    const store = memoryStore()
    const log = await openTestLog(store)
    await log.append(entryInputs(250))
    const reader = await openReader(store)
    for (const count of [5, 1, 1, 300]) {
      await log.append(entryInputs(count))
      await reader.refresh()
      expect(reader.position()).toEqual(log.position())
    }
  })

  it('puts appends that wait together into one write', async () => {
    const store = memoryStore()
    let locked = 0
    const lock = testLock()
    const log = await openTestLog(store, {
      lock: () => {
        locked += 1
        return lock()
      },
    })
    const before = locked
    const calls = Array.from({ length: 50 }, (_, i) => log.append([entryInput(i)]))
    const results = await Promise.all(calls)
    expect(results.map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, i) => i))
    expect(locked - before).toBeLessThanOrEqual(2)
  })

  it('filters what it reads and stops at the limit', async () => {
    const store = memoryStore()
    const log = await openTestLog(store)
    const acts = Array.from({ length: 600 }, (_, n) =>
      entryInput(n, {
        act: n % 3 === 0 ? 'export' : 'ingest',
        collection: n % 2 === 0 ? 'a' : 'b',
        actor: { user: 'root', sudoUser: n < 300 ? 'eve' : 'bob', host: 'h' },
      }),
    )
    await log.append(acts)
    const numbers = async (options: Parameters<typeof log.read>[0]) =>
      (await collect(log.read(options))).map(({ seq }) => seq)
    expect(await numbers({ from: 598 })).toEqual([598, 599])
    expect(await numbers({ from: 600 })).toEqual([])
    expect(await numbers({ limit: 2, from: 255 })).toEqual([255, 256])
    expect(await numbers({ act: 'export', collection: 'a', limit: 3 })).toEqual([0, 6, 12])
    expect((await numbers({ actor: 'bob' })).length).toBe(300)
    expect((await numbers({ actor: 'root' })).length).toBe(600)
    const [, , third] = await collect(log.read({ limit: 3 }))
    const sinceMs = Date.parse(third?.time ?? '')
    expect((await numbers({ sinceMs })).at(0)).toBe(2)
    expect(await numbers({ untilMs: sinceMs })).toEqual([0, 1])
    expect((await collect(log.newestFirst())).map(({ seq }) => seq)).toEqual(
      Array.from({ length: 600 }, (_, i) => 599 - i),
    )
  })

  it('finds the intents and outcomes of acts', async () => {
    const log = await openTestLog(memoryStore())
    const act = (actId: string, phase: AuditEntryInput['phase']) => entryInput(0, { actId, phase })
    await log.append([act('a', 'intent'), act('b', 'intent'), act('a', 'outcome')])
    await log.append(entryInputs(400))
    const found = await log.findActs(['a', 'b', 'c'])
    expect(found.get('a')?.intent?.seq).toBe(0)
    expect(found.get('a')?.outcome?.seq).toBe(2)
    expect(found.get('b')?.outcome).toBeUndefined()
    expect(found.has('c')).toBe(false)
  })

  it('takes an entry of the largest size and refuses the next larger one untouched', async () => {
    const log = await openTestLog(memoryStore())
    await log.append([entryInput(0)])
    const [entry] = await collect(log.read())
    const spare = limits.auditEntryBytesMax - Buffer.byteLength(JSON.stringify(entry))
    // The seq is counted as the longest that there can be.
    const digits = String(limits.auditEntriesMax).length - 1
    const fits = 'x'.repeat(spare - ',"reason":""'.length - digits)
    await log.append([entryInput(0, { reason: fits })])
    const tooLong = log.append([entryInput(0), entryInput(0, { reason: `${fits}x` })])
    await expect(tooLong).rejects.toSatisfy((e) => hasCode(e, 'LIMIT'))
    expect(log.size).toBe(2)
    const many = log.append(entryInputs(limits.auditQueueMax + 1))
    await expect(many).rejects.toSatisfy((e) => hasCode(e, 'LIMIT'))
    await log.append(entryInputs(limits.auditQueueMax))
    expect(log.size).toBe(2 + limits.auditQueueMax)
  })

  it('refuses the key of another log', async () => {
    const store = memoryStore()
    const opening = openTestLog(store, { prefix, signer: testSigner(9) })
    await expect(opening).rejects.toSatisfy((e) => hasCode(e, 'AUTH'))
  })

  it('goes on after a lock that was not to be had', async () => {
    const lock = testLock()
    let refuse = false
    const log = await openTestLog(memoryStore(), {
      lock: () => (refuse ? Promise.reject(new Error('held')) : lock()),
    })
    refuse = true
    await expect(log.append(entryInputs(1))).rejects.toThrow('held')
    refuse = false
    expect((await log.append(entryInputs(1))).seq).toBe(0)
  })
})
