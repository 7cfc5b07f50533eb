import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { sha256Hex } from '../../src/core/digest.ts'
import type { CheckResult } from '../../src/db/api/api.ts'
import { checkStore } from '../../src/db/check/check.ts'
import type { CheckEnvironment } from '../../src/db/check/check-audit.ts'
import { readWholeBlob } from '../../src/db/check/check-blobs.ts'
import { CHECK_PROBLEMS_MAX, CheckProblems } from '../../src/db/check/check-problems.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { buildIndexes } from '../../src/db/rebuild/index-build.ts'
import { mergeSegments } from '../../src/db/rebuild/merge.ts'
import { runAct } from '../../src/db/states/acts.ts'
import type { Environment } from '../../src/db/states/environment.ts'
import { manifestKey, manifestKeyIn } from '../../src/db/states/manifest-store.ts'
import { replayFolder } from '../../src/db/states/replays.ts'
import { createSnapshot } from '../../src/db/states/snapshots.ts'
import { blobKey, encodeBlob, section } from '../../src/format/blob.ts'
import { closureOf } from '../../src/format/closure.ts'
import { openFsStore } from '../../src/storage/fs-store.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { contentsOf, createTestMachine, type TestMachine } from '../support/memory-environment.ts'
import { ingestRows, testRows } from '../support/records.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/**
 * Every kind of object: several manifests, packs, tombstones, a snapshot, a replay, a signed log.
 */
async function fill(machine: TestMachine): Promise<void> {
  const { environment, core } = machine.start()
  const docs = core('docs')
  await ingestRows(docs, testRows('a', 5), { textColumns: ['text'] })
  await ingestRows(docs, testRows('b', 3))
  await createSnapshot(docs, 'friday')
  await deleteRecords(docs, { ids: ['a1'] })
  await mergeSegments(docs, { kind: 'compact' })
  await buildIndexes(docs, { index: { m: 8 } })
  await replay(machine, environment)
  await (await environment.audit()).checkpoint()
}

/** As an opened bundle leaves it: a first version under the name of its head. */
async function replay(machine: TestMachine, environment: Environment): Promise<void> {
  const file = await machine.store.get(manifestKey('docs', 1))
  const name = 'docs@0123456789ab'
  await runAct(environment, { act: 'replay' }, async () => {
    await machine.store.put(REPLAY, file)
    return { result: undefined, outcome: { replays: [{ name, manifest: sha256Hex(file) }] } }
  })
}

const REPLAY = manifestKeyIn(replayFolder({ name: 'docs', head: '0123456789ab' }), 1)

const checkable = (machine: TestMachine): CheckEnvironment => ({
  ...machine.start({ mode: 'read' }).environment,
  keys: { trusted: async () => [machine.logKey] },
})

const check = (machine: TestMachine, readData = true): Promise<CheckResult> =>
  checkStore(checkable(machine), { readData })

async function filled(): Promise<TestMachine> {
  const machine = createTestMachine()
  await fill(machine)
  return machine
}

const replace = (store: ObjectStore, key: string, body: Uint8Array): Promise<unknown> =>
  store.put(key, body, { mode: 'replace' })

const flipped = (body: Uint8Array, at: number): Uint8Array => {
  const copy = Uint8Array.from(body)
  copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8))
  return copy
}

/** A problem of an audit log names the log's folder. */
const names = ({ problems }: CheckResult, key: string): boolean =>
  problems.some((problem) =>
    problem.key.startsWith('audit/') ? key.startsWith(`${problem.key}/`) : problem.key === key,
  )

const kindOf = (key: string): string => key.split('/')[key.startsWith('audit/') ? 2 : 0] ?? ''

describe('a store that is whole', () => {
  it('has no problems, whether its data is read or not', async () => {
    const machine = await filled()
    const before = await contentsOf(machine.store)
    const result = await check(machine)
    expect(result).toMatchObject({ ok: true, problems: [] })
    expect(await check(machine, false)).toEqual(result)
    expect(await contentsOf(machine.store)).toEqual(before)
    const blobs = [...before].filter(([key]) => key.startsWith('blobs/'))
    expect(result.blobs).toBe(blobs.length)
    expect(result.bytes).toBe(blobs.reduce((sum, [, body]) => sum + body.byteLength, 0))
  })

  it('has none after a garbage collection left gaps in its history', async () => {
    const machine = await filled()
    await collectGarbage(machine.start().environment, { keepMs: 0 })
    expect((await check(machine)).problems).toEqual([])
  })

  it('has none when it is empty', async () => {
    expect(await check(createTestMachine())).toEqual({ ok: true, problems: [], blobs: 0, bytes: 0 })
  })

  it('tells its progress in bytes', async () => {
    const machine = await filled()
    const seen: number[] = []
    let total: number | undefined
    const { bytes } = await checkStore(checkable(machine), {
      readData: true,
      onProgress: (progress) => {
        seen.push(progress.done)
        total = progress.total
      },
    })
    expect(seen.at(-1)).toBe(bytes)
    expect(total).toBe(bytes)
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
  })

  it('can be interrupted', async () => {
    const machine = await filled()
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(checkStore(checkable(machine), { signal })).rejects.toThrow('enough')
  })
})

describe('flipped bits', () => {
  it('names the blob, manifest, snapshot or log that holds one', async () => {
    const machine = await filled()
    const tried = new Map<string, number>()
    for (const [key, body] of await contentsOf(machine.store)) {
      if (key === 'akidb.json' || key.startsWith('pins/')) continue
      const stride = Math.max(1, Math.floor(body.byteLength / 50))
      for (let at = 0; at < body.byteLength; at += stride) {
        await replace(machine.store, key, flipped(body, at))
        const result = await check(machine)
        expect(names(result, key), `byte ${at} of ${key}`).toBe(true)
        tried.set(kindOf(key), (tried.get(kindOf(key)) ?? 0) + 1)
      }
      await replace(machine.store, key, body)
    }
    expect([...tried.keys()].sort()).toEqual(
      ['blobs', 'checkpoint', 'collections', 'key.pem', 'replays', 'tail'].sort(),
    )
    expect((await check(machine)).ok).toBe(true)
  })

  it('are found at every byte of every blob', async () => {
    const machine = await filled()
    const head = await machine.start().core('docs').manifests.read(4)
    let found = 0
    for (const ref of closureOf(head).values()) {
      const key = blobKey(ref.digest)
      const body = await machine.store.get(key)
      for (let at = 0; at < body.byteLength; at++) {
        await replace(machine.store, key, flipped(body, at))
        const fault = await readWholeBlob(machine.store, ref, () => undefined)
        expect(fault, `byte ${at} of ${ref.role}`).toMatchObject({ code: 'INTEGRITY' })
        found++
      }
      await replace(machine.store, key, body)
    }
    expect(found).toBeGreaterThan(4_000)
  })

  it('are found in files on a disk', async () => {
    const machine = await filled()
    const folder = mkdtempSync(join(tmpdir(), 'akidb-check-'))
    folders.push(folder)
    const store = openFsStore(folder, { mode: 'write' })
    const contents = await contentsOf(machine.store)
    for (const [key, body] of contents) await store.put(key, body)
    const { state } = machine
    const onDisk = { ...checkable(machine), store, state }
    expect((await checkStore(onDisk, { readData: true })).problems).toEqual([])
    for (const [key, body] of contents) {
      if (key === 'akidb.json' || key.startsWith('pins/')) continue
      for (const share of [0, 0.5, 1]) {
        const at = Math.floor(share * (body.byteLength - 1))
        await replace(store, key, flipped(body, at))
        const result = await checkStore(onDisk, { readData: true })
        expect(names(result, key), `byte ${at} of ${key}`).toBe(true)
      }
      await replace(store, key, body)
    }
  })
})

describe('without reading data', () => {
  it('still reads small blobs, and finds one that is cut or gone', async () => {
    const machine = await filled()
    const head = await machine.start().core('docs').head()
    const [ref] = closureOf(head).values()
    const key = blobKey(ref?.digest ?? '')
    const body = await machine.store.get(key)
    for (const [code, bad] of [
      ['INTEGRITY', flipped(body, 100)],
      ['INTEGRITY', body.subarray(0, -1)],
      ['INTEGRITY', new Uint8Array(0)],
    ] as const) {
      await replace(machine.store, key, bad)
      expect((await check(machine, false)).problems).toMatchObject([{ code, key }])
    }
    await machine.store.delete(key)
    expect((await check(machine, false)).problems).toMatchObject([{ code: 'MISSING', key }])
  })
})

describe('what is missing or in another place', () => {
  it('truncates every object at every byte and is told', async () => {
    const machine = await filled()
    for (const [key, body] of await contentsOf(machine.store)) {
      if (key === 'akidb.json' || key.startsWith('pins/')) continue
      const stride = Math.max(1, Math.floor(body.byteLength / 25))
      for (let at = 0; at < body.byteLength; at += stride) {
        await replace(machine.store, key, body.subarray(0, at))
        expect(names(await check(machine), key), `${key} cut at ${at}`).toBe(true)
      }
      await replace(machine.store, key, body)
    }
  })

  it('misses a removed head, since the audit log remembers it', async () => {
    const machine = await filled()
    const head = await machine.start().core('docs').head()
    const key = manifestKey('docs', head.commit.version)
    await machine.store.delete(key)
    expect((await check(machine)).problems).toMatchObject([{ code: 'AUDIT_BROKEN', key }])
  })

  it('misses a collection that is gone without a trace', async () => {
    const machine = await filled()
    for (const key of (await contentsOf(machine.store)).keys()) {
      if (key.startsWith('collections/')) await machine.store.delete(key)
    }
    const { problems } = await check(machine)
    expect(problems).toContainEqual(
      expect.objectContaining({ code: 'AUDIT_BROKEN', key: manifestKey('docs', 2) }),
    )
  })

  it('misses the state of a snapshot', async () => {
    const machine = await filled()
    await machine.store.delete(manifestKey('docs', 3))
    const key = 'collections/docs/snapshots/friday.json'
    expect((await check(machine)).problems).toMatchObject([{ code: 'MISSING', key }])
  })

  it('finds a manifest that was put under another number', async () => {
    const machine = await filled()
    const file = await machine.store.get(manifestKey('docs', 2))
    await replace(machine.store, manifestKey('docs', 3), file)
    const { problems } = await check(machine)
    expect(problems).toContainEqual({
      code: 'INTEGRITY',
      key: manifestKey('docs', 3),
      message: expect.stringContaining('it says that it is version 2'),
    })
  })

  it('finds two blobs that changed places', async () => {
    const machine = await filled()
    const keys = [...(await contentsOf(machine.store)).keys()].filter((key) => /^blobs/.test(key))
    const [a = '', b = ''] = keys
    const [bodyA, bodyB] = [await machine.store.get(a), await machine.store.get(b)]
    await replace(machine.store, a, bodyB)
    await replace(machine.store, b, bodyA)
    const { problems } = await check(machine)
    expect(problems.map(({ key }) => key).sort()).toEqual([a, b].sort())
  })

  it('finds a state folder of another store', async () => {
    const machine = await filled()
    const place = Buffer.from(JSON.stringify({ storeId: 'f'.repeat(32), inode: '1' }))
    await machine.state.put('store.json', place)
    expect((await check(machine)).problems).toMatchObject([
      { code: 'INTEGRITY', key: 'akidb.json' },
    ])
  })

  it('says where no trusted key signed the log', async () => {
    const machine = await filled()
    const environment = { ...checkable(machine), keys: { trusted: async () => [] } }
    const { problems } = await checkStore(environment, {})
    expect(problems.map(({ code }) => code)).toEqual(['UNTRUSTED'])
  })
})

describe('blobs that are intact but lie', () => {
  it('finds a segment whose sections are not what its role says', async () => {
    const machine = await filled()
    const core = machine.start().core('docs')
    const { commit, state } = await core.head()
    const [entry] = state.segments
    const pieces: Uint8Array[] = []
    const sections = [section('idoff', new Uint8Array(8))]
    const ref = await encodeBlob(
      { role: 'pack', records: entry?.rows ?? 0, dimension: 4, sections },
      async (bytes) => void pieces.push(Uint8Array.from(bytes)),
    )
    await machine.store.put(blobKey(ref.digest), Buffer.concat(pieces))
    const before = Buffer.from(await machine.store.get(manifestKey('docs', commit.version)))
    const former = entry?.blobs[0]
    expect(former?.role).toBe('pack')
    const text = before.toString('utf8').split('\n')
    const line2 = (text[1] ?? '').replace(JSON.stringify(former), JSON.stringify(ref))
    const line1 = (text[0] ?? '').replace(commit.stateRoot, sha256Hex(Buffer.from(line2)))
    await replace(
      machine.store,
      manifestKey('docs', commit.version),
      Buffer.from(`${line1}\n${line2}\n`),
    )
    const { problems } = await check(machine)
    expect(problems.filter(({ key }) => key === blobKey(ref.digest))).not.toEqual([])
  })
})

it('lists a bounded number of problems and counts the rest', () => {
  const problems = new CheckProblems()
  for (let i = 0; i <= CHECK_PROBLEMS_MAX; i++) problems.add('MISSING', `blob ${i}`, 'gone')
  problems.add('MISSING', 'blob 0', 'gone')
  expect(problems.list).toHaveLength(CHECK_PROBLEMS_MAX + 1)
  expect(problems.list.at(-1)).toMatchObject({ message: '1 more problems are not listed' })
})
