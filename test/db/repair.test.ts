import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { checkStore } from '../../src/db/check/check.ts'
import { repairStore } from '../../src/db/check/repair.ts'
import { commitAppend } from '../../src/db/collection/append.ts'
import type { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { deleteRecords } from '../../src/db/collection/delete.ts'
import { createCollection } from '../../src/db/collection/lifecycle.ts'
import { SegmentBuilder } from '../../src/db/segment/segment-builder.ts'
import { runAct } from '../../src/db/states/acts.ts'
import { manifestKey } from '../../src/db/states/manifest-store.ts'
import { createWriterPin } from '../../src/db/states/pins.ts'
import { blobKey, decodeBlob } from '../../src/format/blob.ts'
import { closureOf } from '../../src/format/closure.ts'
import type { BlobRef, BlobRole } from '../../src/format/manifest.ts'
import { NO_SOURCE } from '../../src/format/origin-section.ts'
import { openFsStore } from '../../src/storage/fs-store.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { crashAtStep } from '../support/fault-store.ts'
import {
  cloneMachine,
  contentsOf,
  createTestMachine,
  type TestMachine,
} from '../support/memory-environment.ts'
import { idsOf, ingestRows, testRows } from '../support/records.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A copy of a machine's store in a folder. */
async function copyOf(machine: TestMachine): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'akidb-repair-'))
  folders.push(folder)
  const store = openFsStore(folder, { mode: 'write' })
  for (const [key, body] of await contentsOf(machine.store)) await store.put(key, body)
  return folder
}

/** Two packs and a tombstone blob. */
async function withPacks(): Promise<TestMachine> {
  const machine = createTestMachine()
  const { core } = machine.start()
  await ingestRows(core('docs'), testRows('a', 40), { textColumns: ['text'] })
  await ingestRows(core('docs'), testRows('b', 3))
  await deleteRecords(core('docs'), { ids: ['a1'] })
  return machine
}

const damage = async (store: ObjectStore, key: string, at: number): Promise<void> => {
  const body = await store.get(key)
  body[at] = (body[at] ?? 0) ^ 0x10
  await store.put(key, body, { mode: 'replace' })
}

async function isWhole(machine: TestMachine): Promise<boolean> {
  const { environment } = machine.start({ mode: 'read' })
  const keys = { trusted: async () => [machine.logKey] }
  const found = await checkStore({ ...environment, keys }, { readData: true })
  return found.problems.every(({ code }) => code === 'UNTRUSTED')
}

const headBlobs = async (machine: TestMachine): Promise<BlobRef[]> => [
  ...closureOf(await machine.start().core('docs').head()).values(),
]

const keyOfRole = (blobs: readonly BlobRef[], role: BlobRole): string =>
  blobKey(blobs.find((ref) => ref.role === role)?.digest ?? '')

describe('from a copy', () => {
  it('takes lost and damaged blobs by digest', async () => {
    const machine = await withPacks()
    const from = await copyOf(machine)
    const before = await contentsOf(machine.store)
    const [lost, damaged] = (await headBlobs(machine)).map(({ digest }) => blobKey(digest))
    await machine.store.delete(lost ?? '')
    await damage(machine.store, damaged ?? '', 70)
    expect(await isWhole(machine)).toBe(false)
    const { repaired, missing } = await repairStore(machine.start().environment, { from })
    expect([...repaired].sort()).toEqual([lost, damaged].sort())
    expect(missing).toEqual([])
    for (const [key, body] of before) {
      if (key.startsWith('blobs/')) expect(await machine.store.get(key)).toEqual(body)
    }
    expect(await isWhole(machine)).toBe(true)
  })

  it('takes nothing that is damaged there too', async () => {
    const machine = await withPacks()
    const from = await copyOf(machine)
    const key = keyOfRole(await headBlobs(machine), 'tombstones')
    await machine.store.delete(key)
    await damage(openFsStore(from, { mode: 'write' }), key, 100)
    const result = await repairStore(machine.start().environment, { from })
    expect(result).toEqual({ repaired: [], missing: [key] })
    expect(await machine.store.head(key)).toBeUndefined()
  })

  it('refuses a folder that holds no store, and a file', async () => {
    const machine = await withPacks()
    await machine.store.delete(keyOfRole(await headBlobs(machine), 'pack'))
    const { environment } = machine.start()
    const folder = mkdtempSync(join(tmpdir(), 'akidb-repair-'))
    folders.push(folder)
    await expect(repairStore(environment, { from: folder })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    const file = join(folder, 'some.akipkg')
    writeFileSync(file, 'no store')
    await expect(repairStore(environment, { from: file })).rejects.toMatchObject({ code: 'USAGE' })
  })

  it('leaves a store that can be repaired wherever it is killed', async () => {
    const base = await withPacks()
    const from = await copyOf(base)
    const keys = (await headBlobs(base)).map(({ digest }) => blobKey(digest))
    await base.store.delete(keys[0] ?? '')
    await damage(base.store, keys[1] ?? '', 70)
    let step = 1
    for (let ended = false; !ended; step++) {
      const machine = await cloneMachine(base)
      const crash = crashAtStep(step)
      const { environment } = machine.start({ hook: crash.hook })
      await repairStore(environment, { from }).catch(() => undefined)
      ended = crash.struck() === undefined
      const { missing } = await repairStore(machine.start().environment, { from })
      expect(missing).toEqual([])
      expect(await isWhole(machine)).toBe(true)
    }
    expect(step).toBeGreaterThan(10)
  })
})

describe('from the rest of a pack', () => {
  const FIRST = 70

  it.each([
    ['codes', true],
    ['fields', true],
    ['text', true],
    ['vec', false],
    ['idbytes', false],
    ['pages', false],
    ['orgrow', false],
  ])('a flipped byte in section %s is mended: %s', async (name, mended) => {
    const machine = await withPacks()
    const [ref] = await headBlobs(machine)
    if (ref === undefined) throw new Error('no blob')
    const key = blobKey(ref.digest)
    const body = await machine.store.get(key)
    const section = decodeBlob(body, ref).sections.get(name)
    expect(section?.byteLength, name).toBeGreaterThan(0)
    await damage(machine.store, key, (section?.byteOffset ?? 0) - body.byteOffset)
    const result = await repairStore(machine.start().environment)
    expect(result).toEqual(
      mended ? { repaired: [key], missing: [] } : { repaired: [], missing: [key] },
    )
    if (mended) expect(await machine.store.get(key)).toEqual(body)
  })

  it('mends the chunk list and the tail', async () => {
    const machine = await withPacks()
    const [ref] = await headBlobs(machine)
    const key = blobKey(ref?.digest ?? '')
    for (const fromEnd of [1, 20, 40, 64]) {
      await damage(machine.store, key, (ref?.bytes ?? 0) - fromEnd)
      const result = await repairStore(machine.start().environment)
      expect(result).toEqual({ repaired: [key], missing: [] })
    }
  })

  it('changes nothing in a dry run, and says what it would do', async () => {
    const machine = await withPacks()
    const [pack, second] = await headBlobs(machine)
    const key = blobKey(pack?.digest ?? '')
    await damage(machine.store, key, (pack?.bytes ?? 0) - 1)
    await damage(machine.store, blobKey(second?.digest ?? ''), FIRST)
    const before = await contentsOf(machine.store)
    const dry = await repairStore(machine.start().environment, { dryRun: true })
    expect(await contentsOf(machine.store)).toEqual(before)
    expect(await repairStore(machine.start().environment)).toEqual(dry)
    expect(dry.repaired).toContain(key)
  })

  it('does nothing to a store that is whole', async () => {
    const machine = await withPacks()
    const before = await contentsOf(machine.store)
    const result = await repairStore(machine.start().environment)
    expect(result).toEqual({ repaired: [], missing: [] })
    expect(await contentsOf(machine.store)).toEqual(before)
  })

  it('names a damaged manifest, which nothing here can bring back', async () => {
    const machine = await withPacks()
    const key = manifestKey('docs', 2)
    await damage(machine.store, key, 10)
    const { missing } = await repairStore(machine.start().environment)
    expect(missing).toEqual([key])
  })
})

describe('a large segment, each role a blob of its own', () => {
  const ROWS = 10_000
  const DIMENSION = 416
  let machine: TestMachine
  let blobs: BlobRef[]

  beforeAll(async () => {
    machine = createTestMachine()
    const docs = machine.start().core('docs')
    await createCollection(docs, {
      dimension: DIMENSION,
      metric: 'l2',
      textFields: ['text'],
      index: { m: 2, efConstruction: 4 },
    })
    await appendRows(docs)
    blobs = await headBlobs(machine)
  })

  async function appendRows(core: CollectionCore): Promise<void> {
    const { environment } = core
    const head = await core.head()
    const { schema, index } = head.state
    const builder = new SegmentBuilder({ schema, index, withGraph: true, tier: 'written' })
    const vector = new Float32Array(DIMENSION)
    for (let row = 0; row < ROWS; row++) {
      for (let i = 0; i < DIMENSION; i++) vector[i] = Math.sin(row * 31 + i * 7)
      const payload = new Map([['text', `row ${row % 97}`]])
      builder.add({ id: `r${row}`, vector, payload, source: NO_SOURCE, position: row })
    }
    const pin = createWriterPin(environment)
    await runAct(environment, { act: 'ingest', collection: core.name }, async (act) => {
      const segment = await builder.finish({ ...environment, pin })
      const manifest = await commitAppend(core, act, pin, {
        kind: 'ingest',
        collection: head.commit.collection,
        schema,
        index,
        segments: [{ ...segment, sources: [] }],
        sources: [],
      })
      const { version } = manifest.commit
      return { result: undefined, outcome: { version, manifest: manifest.digest } }
    })
    await pin.release()
  }

  it('is split', () => {
    expect(blobs.map(({ role }) => role).sort()).toEqual(
      ['codes', 'fields', 'graph', 'ids', 'origin', 'payload', 'text', 'vectors'].sort(),
    )
  })

  it('gets its derived blobs anew from the others, byte for byte', async () => {
    const derived = (['codes', 'graph', 'fields', 'text'] as const).map((role) =>
      keyOfRole(blobs, role),
    )
    const before = await contentsOf(machine.store)
    for (const [i, key] of derived.entries()) {
      if (i % 2 === 0) await machine.store.delete(key)
      else await damage(machine.store, key, 1_000)
    }
    const { repaired, missing } = await repairStore(machine.start().environment)
    expect([...repaired].sort()).toEqual([...derived].sort())
    expect(missing).toEqual([])
    for (const key of derived) {
      const body = await machine.store.get(key)
      expect(Buffer.compare(body, before.get(key) ?? Buffer.alloc(0)), key).toBe(0)
    }
  })

  it('cannot make up vectors, ids, payloads and origins', async () => {
    const roles = ['vectors', 'ids', 'payload', 'origin'] as const
    for (const key of roles.map((role) => keyOfRole(blobs, role))) {
      const body = await machine.store.get(key)
      await machine.store.delete(key)
      const result = await repairStore(machine.start().environment, { dryRun: true })
      expect(result).toEqual({ repaired: [], missing: [key] })
      await machine.store.put(key, body)
    }
    expect(await idsOf(machine.start().core('docs'))).toHaveLength(ROWS)
  })
})
