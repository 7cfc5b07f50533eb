import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { sha256Hex } from '../../src/core/digest.ts'
import { limits } from '../../src/core/limits.ts'
import type { Ledger, SealedState } from '../../src/db/sealed/ledger.ts'
import type { SealedObject } from '../../src/db/sealed/seal-record.ts'
import { lookHere } from '../../src/db/states/look-thread.ts'
import { manifestKey } from '../../src/db/states/manifest-store.ts'
import type { WriterPin } from '../../src/db/states/pins.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { blobKey } from '../../src/format/blob.ts'
import type { BlobRef, Manifest } from '../../src/format/manifest.ts'
import { decodeManifest } from '../../src/format/manifest-codec.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { PieceSink, SealedStore } from '../../src/storage/object-store.ts'
import { systemClock } from '../../src/storage/system-clock.ts'
import {
  type ReceiveOptions,
  receiveSealed,
  sealedManifest,
} from '../../src/transfer/pull/receive-sealed.ts'
import { fullCommit, manifestFile } from '../format/sample-manifest.ts'
import { createFaultStore } from '../support/fault-store.ts'

const KIB = 1024

/** What a target holds of a state of some blobs, and what was done to it and to the store. */
function scene(count: number) {
  const contents = Array.from({ length: count }, (_, i) => Buffer.alloc(64 * KIB, i + 1))
  const refs = contents.map((content): BlobRef => {
    const digest = sha256Hex(content)
    return { digest, role: 'payload', bytes: content.length, chunkBytes: KIB, chunkRoot: '' }
  })
  const expected = new Map<string, { object: SealedObject }>()
  for (const { digest, bytes } of refs) {
    const key = blobKey(digest)
    expected.set(key, { object: { key, versionId: 'v', sha256: digest, bytes } })
  }
  const events: string[] = []
  let streams = 0
  let streamsMost = 0
  const send = async (content: Buffer, sink: PieceSink): Promise<void> => {
    for (let at = 0; at < content.length; at += 10_000) {
      await setImmediate()
      await sink(content.subarray(at, at + 10_000))
    }
  }
  const target = {
    async streamVersion(key: string, _versionId: string, _bytes: number, sink: PieceSink) {
      events.push(`stream ${key}`)
      streamsMost = Math.max(streamsMost, ++streams)
      const number = refs.findIndex(({ digest }) => blobKey(digest) === key)
      await (changes[number] ?? send)(contents[number] as Buffer, sink).finally(() => streams--)
    },
  }
  const changes: ((content: Buffer, sink: PieceSink) => Promise<void>)[] = []
  const memory = createMemoryStore({ clock: systemClock })
  const staged = { open: 0 }
  const store = createFaultStore(memory, ({ operation, phase, key }) => {
    if (phase === 'before') events.push(`${operation} ${key}`)
    else if (operation === 'stage') staged.open++
    else if (operation === 'commit' || operation === 'abort') staged.open--
  })
  const pin = { add: async () => void events.push('pin') } as unknown as WriterPin
  const manifest = { state: { segments: [{ blobs: refs }] } } as unknown as Manifest
  const receive = (more: Partial<ReceiveOptions> = {}) =>
    receiveSealed(target as unknown as SealedStore, store, [{ manifest, domain: '0' }], {
      ...{ ledger: { expected } as unknown as Ledger, pin, beginLook: lookHere },
      ...{ onArrived: () => undefined, ...more },
    })
  const stored = async () => (await Array.fromAsync(memory.list('blobs/'))).length
  const most = () => streamsMost
  return { refs, contents, expected, events, changes, send, memory, staged, receive, stored, most }
}

it('takes so many blobs at once, pinned before it is asked which are there', async () => {
  const { receive, refs, events, memory, contents, stored, staged, most } = scene(12)
  await memory.put(blobKey(refs[3]?.digest ?? ''), contents[3] as Buffer)
  const arrived: unknown[] = []
  const onArrived: ReceiveOptions['onArrived'] = (ref, seen) => void arrived.push([ref, seen])
  const counts = await receive({ onArrived })
  expect(counts).toEqual({ present: 1, copied: 11, bytes: 11 * 64 * KIB })
  expect(events[0]).toBe('pin')
  expect(most()).toBe(limits.s3TransfersMax)
  expect(await stored()).toBe(12)
  expect(staged.open).toBe(0)
  expect(arrived).toHaveLength(12)
  expect(arrived).toContainEqual([refs[3], undefined])
})

it('begins no other when it is stopped, and cuts those off that are under way', async () => {
  const { receive, changes, send, events, stored, staged } = scene(12)
  const stop = new AbortController()
  const wrong = new AkidbError('INTEGRITY', 'a segment does not fit')
  let late = 0
  for (let number = 1; number < limits.s3TransfersMax; number++) {
    changes[number] = async (content, sink) => {
      while (!stop.signal.aborted) await setImmediate()
      late++
      await send(content, sink)
    }
  }
  const onArrived = () => stop.abort(wrong)
  await expect(receive({ signal: stop.signal, onArrived })).rejects.toBe(wrong)
  expect(late).toBe(limits.s3TransfersMax - 1)
  const begun = events.filter((event) => event.startsWith('stream')).length
  expect(begun).toBe(limits.s3TransfersMax)
  expect(await stored()).toBe(1)
  expect(staged.open).toBe(0)
})

it('tells what failed, and leaves nothing of that', async () => {
  const failure = new AkidbError('UNREACHABLE', 'the server is gone')
  const changes: [string, (content: Buffer, sink: PieceSink) => Promise<void>][] = [
    ['UNREACHABLE', () => Promise.reject(failure)],
    ['INTEGRITY', () => Promise.reject(new AkidbError('NOT_FOUND', 'no such version'))],
    ['INTEGRITY', async (content, sink) => void (await sink(content.subarray(1)))],
    ['INTEGRITY', async (content, sink) => void (await sink(Buffer.alloc(content.length)))],
  ]
  for (const [code, change] of changes) {
    const { receive, changes, events, stored, staged, memory, refs } = scene(12)
    changes[1] = change
    await expect(receive()).rejects.toMatchObject({ code })
    expect(await memory.head(blobKey(refs[1]?.digest ?? ''))).toBeUndefined()
    expect(await stored()).toBeLessThan(2 * limits.s3TransfersMax)
    expect(events.filter((event) => event.startsWith('stream')).length).toBeLessThan(12)
    expect(staged.open).toBe(0)
    // What had come is there.
    changes.length = 0
    const { present } = await receive()
    expect(present).toBeGreaterThan(0)
    expect(await stored()).toBe(12)
  }
})

it('asks for nothing that was sealed as something else', async () => {
  const { receive, expected, refs, events } = scene(1)
  const key = blobKey(refs[0]?.digest ?? '')
  const { object } = expected.get(key) as { object: SealedObject }
  const envelope = { keyId: 'k', bytes: object.bytes + 1 }
  for (const other of [
    { ...object, sha256: '0'.repeat(64) },
    { ...object, bytes: object.bytes + 1 },
    { ...object, sha256: '0'.repeat(64), envelope },
  ]) {
    expected.set(key, { object: other })
    await expect(receive()).rejects.toMatchObject({ code: 'INTEGRITY', exitCode: 24 })
  }
  expected.delete(key)
  await expect(receive()).rejects.toMatchObject({ code: 'INTEGRITY' })
  expect(events.filter((event) => event.startsWith('stream'))).toEqual([])
})

describe('the manifest of a sealed state', () => {
  const bytes = manifestFile()
  const { stateRoot } = decodeManifest(bytes, 'k').commit
  const digest = sha256Hex(bytes)
  const state = { name: 'docs', version: 3, manifest: digest, stateRoot } as SealedState
  const key = manifestKey('docs', 3)

  const read = (content: Uint8Array, sealed: Partial<SealedObject> = {}, of = state) => {
    const object = { key, versionId: 'v', sha256: digest, bytes: bytes.length, ...sealed }
    let isRead = false
    const target = {
      async *readVersion() {
        isRead = true
        yield content
      },
    } as unknown as SealedStore
    const ledger = { expected: new Map([[key, { object }]]) } as unknown as Ledger
    const manifest = sealedManifest(target, ledger, of)
    return { manifest, isRead: () => isRead }
  }

  it('is what was sealed, byte for byte, and of the state that was told', async () => {
    expect((await read(bytes).manifest).commit.stateRoot).toBe(stateRoot)
    const altered = { code: 'INTEGRITY', exitCode: 24 }
    const other = Buffer.from(bytes)
    other[10] = (other[10] ?? 0) ^ 1
    await expect(read(other).manifest).rejects.toMatchObject(altered)
    await expect(read(bytes.subarray(1)).manifest).rejects.toMatchObject(altered)
    // Valid, and another: the commit of the same state at another time.
    const later = manifestFile({}, { ...fullCommit(), committedAt: '2026-01-02T03:04:05.679Z' })
    await expect(read(later).manifest).rejects.toMatchObject(altered)
    const told = { ...state, stateRoot: '9'.repeat(64) }
    await expect(read(bytes, {}, told).manifest).rejects.toMatchObject(altered)
  })

  it('is not even read where it was sealed as another one, or is too long', async () => {
    const tooLong = { bytes: limits.manifestBytesMax + 1 }
    for (const sealed of [{ sha256: '9'.repeat(64) }, tooLong]) {
      const { manifest, isRead } = read(bytes, sealed)
      await expect(manifest).rejects.toMatchObject({ code: 'INTEGRITY' })
      expect(isRead()).toBe(false)
    }
  })
})
