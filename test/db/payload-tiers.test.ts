import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { checkStore } from '../../src/db/check/check.ts'
import { repairStore } from '../../src/db/check/repair.ts'
import type { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { createCollection } from '../../src/db/collection/lifecycle.ts'
import { buildIndexes } from '../../src/db/rebuild/index-build.ts'
import { mergeSegments } from '../../src/db/rebuild/merge.ts'
import { runSearch } from '../../src/db/search/search-run.ts'
import { blobKey, decodeBlob } from '../../src/format/blob.ts'
import type { BlobRef } from '../../src/format/manifest.ts'
import { PAYLOAD_LEVELS } from '../../src/format/payload-section.ts'
import { randomOf, seedOf } from '../search/random.ts'
import { createTestMachine, type TestMachine } from '../support/memory-environment.ts'
import { ingestRows, recordsOf, type TestRow } from '../support/records.ts'

const PARTS = 3
const PART_ROWS = 900
const WORDS = 'river stone light house north winter bread song iron bird'.split(' ')
/** Sections that an index build may change; the others hold the rows. */
const INDEX_SECTIONS = ['codes', 'graph']

const random = randomOf(seedOf())
const rows: readonly TestRow[] = Array.from({ length: PARTS * PART_ROWS }, (_, i) => ({
  id: `r${i}`,
  vector: Array.from({ length: 4 }, () => random.whole(-1_000, 1_000)),
  n: random.whole(0, 10_000),
  text: Array.from({ length: 12 }, () => random.pick(WORDS)).join(' '),
}))

const real = { packBytesMax: limits.packBytesMax, graphRowsMin: limits.graphRowsMin }
beforeAll(() => void Object.assign(limits, { graphRowsMin: 100 }))
afterAll(() => void Object.assign(limits, real))

/** Rows ingested in so many parts. */
async function ingested(parts: number, seed = 1): Promise<TestMachine> {
  const machine = createTestMachine({ seed })
  const docs = machine.start().core('docs')
  const index = { m: 4, efConstruction: 16 }
  await createCollection(docs, { dimension: 4, metric: 'l2', textFields: ['text'], index })
  const size = rows.length / parts
  for (let part = 0; part < parts; part++) {
    await ingestRows(docs, rows.slice(part * size, (part + 1) * size))
  }
  return machine
}

/** The same, merged into one segment. */
async function merged(kind: 'compact' | 'tail' = 'compact', seed = 1): Promise<TestMachine> {
  const machine = await ingested(PARTS, seed)
  expect(await mergeSegments(machine.start().core('docs'), { kind })).toBe(1)
  return machine
}

/** The same, merged by a version that had one level for all pages. */
async function mergedBefore(): Promise<TestMachine> {
  const { merged: level, written } = PAYLOAD_LEVELS
  Object.assign(PAYLOAD_LEVELS, { merged: written })
  try {
    return await merged()
  } finally {
    Object.assign(PAYLOAD_LEVELS, { merged: level })
  }
}

/** Blobs of the one segment. */
async function blobsOf(machine: TestMachine): Promise<readonly BlobRef[]> {
  const { state } = await machine.start().core('docs').head()
  expect(state.segments).toHaveLength(1)
  return state.segments[0]?.blobs ?? []
}

async function sectionsOf(machine: TestMachine): Promise<Map<string, Buffer>> {
  const sections = new Map<string, Buffer>()
  for (const ref of await blobsOf(machine)) {
    const blob = decodeBlob(await machine.store.get(blobKey(ref.digest)), ref)
    for (const [name, bytes] of blob.sections) sections.set(name, Buffer.from(bytes))
  }
  return sections
}

const hitsOf = async (core: CollectionCore): Promise<unknown> => {
  const { hits } = await runSearch(core, { vector: Float32Array.of(1, 2, 3, 4), exact: true })
  const { hits: byText } = await runSearch(core, { text: 'river bread' })
  return [hits, byText].map((found) => found.map(({ id, score, payload }) => [id, score, payload]))
}

/** Turns a bit of a section. @returns the blob's key, and what it was */
async function flip(machine: TestMachine, ref: BlobRef, section: string, bit = 0x10) {
  const key = blobKey(ref.digest)
  const body = await machine.store.get(key)
  const bytes = decodeBlob(body, ref).sections.get(section)
  if (bytes === undefined) throw new Error(`no section ${section}`)
  // Byte 4 of a zstd frame describes it; of the others any byte will do.
  const at = bytes.byteOffset - body.byteOffset + 4
  const whole = Uint8Array.from(body)
  body[at] = (body[at] ?? 0) ^ bit
  await machine.store.put(key, body, { mode: 'replace' })
  return { key, whole }
}

describe.each([
  ['a pack', real.packBytesMax, ['compact', 'tail']],
  ['a blob for each role', 1, ['compact']],
] as const)('a merged segment in %s', (_form, packBytesMax, kinds) => {
  beforeAll(() => void Object.assign(limits, { packBytesMax }))
  afterAll(() => void Object.assign(limits, real, { graphRowsMin: 100 }))

  it.each(kinds)('has smaller payloads by %s, and the same rows', async (kind) => {
    const [many, one] = [await merged(kind), await ingested(1)]
    const [found, wanted] = [await sectionsOf(many), await sectionsOf(one)]
    const bytes = (sections: typeof found): number => sections.get('pages')?.length ?? 0
    expect(bytes(wanted)).toBeGreaterThan(20_000)
    expect(bytes(found)).toBeLessThan(bytes(wanted) * 0.97)
    for (const name of ['pages', 'pagedir', 'orgsrc', 'orgrow']) {
      expect(wanted.delete(name) && found.delete(name), name).toBe(true)
    }
    expect([...found.keys()]).toEqual([...wanted.keys()])
    for (const [name, body] of wanted) expect(found.get(name)?.equals(body), name).toBe(true)
    const cores = [many, one].map((machine) => machine.start().core('docs')) as [
      CollectionCore,
      CollectionCore,
    ]
    expect(await recordsOf(cores[0])).toEqual(await recordsOf(cores[1]))
    expect(await hitsOf(cores[0])).toEqual(await hitsOf(cores[1]))
  })

  it('comes out the same in two stores', async () => {
    const stores = [await merged('compact', 1), await merged('compact', 2)]
    const [one, two] = await Promise.all(stores.map(blobsOf))
    expect(one).toEqual(two)
  })

  describe.each([
    ['this version', merged],
    ['one that had one level', mergedBefore],
  ])('by %s', (_version, make) => {
    it('keeps its payload in an index build', async () => {
      const machine = await make()
      const core = machine.start().core('docs')
      const [blobs, before] = [await blobsOf(machine), await sectionsOf(machine)]
      await buildIndexes(core, { again: true })
      expect(await blobsOf(machine)).toEqual(blobs)
      const index = { m: 5, efConstruction: 16, quantization: 'int8' } as const
      expect((await buildIndexes(core, { index })).segments).toBe(1)
      const after = await sectionsOf(machine)
      expect([...after.keys()]).toEqual([...before.keys()])
      const changed = [...after].filter(([name, body]) => !before.get(name)?.equals(body))
      expect(changed.map(([name]) => name)).toContain('graph')
      expect(INDEX_SECTIONS).toEqual(expect.arrayContaining(changed.map(([name]) => name)))
      const rowBlobs = (all: readonly BlobRef[]) =>
        all.filter(({ role }) => !['pack', ...INDEX_SECTIONS].includes(role))
      expect(rowBlobs(await blobsOf(machine))).toEqual(rowBlobs(blobs))
    })

    it.each(['codes', 'graph', 'fields', 'text'])('is repaired: %s', async (name) => {
      const machine = await make()
      const blobs = await blobsOf(machine)
      const ref = blobs.find(({ role }) => role === name || role === 'pack') as BlobRef
      const { key, whole } = await flip(machine, ref, name)
      const { environment } = machine.start()
      const keys = { trusted: async () => [machine.logKey] }
      const check = () => checkStore({ ...environment, keys }, { readData: true })
      expect((await check()).problems.map((problem) => problem.key)).toContain(key)
      expect(await repairStore(environment)).toEqual({ repaired: [key], missing: [] })
      expect(Buffer.compare(await machine.store.get(key), whole)).toBe(0)
      expect((await check()).problems.every(({ code }) => code === 'UNTRUSTED')).toBe(true)
    })

    it('is lost where its pages are, unless all can still be read', async () => {
      const machine = await make()
      const blobs = await blobsOf(machine)
      const ref = blobs.find(({ role }) => role === 'payload' || role === 'pack') as BlobRef
      const { key, whole } = await flip(machine, ref, 'pages', 0x08)
      const result = await repairStore(machine.start().environment)
      expect(result).toEqual({ repaired: [], missing: [key] })
      await machine.store.put(key, whole, { mode: 'replace' })
      // A bit that decoders do not look at (RFC 8878, section 3.1.1.1.1.3).
      await flip(machine, ref, 'pages', 0x10)
      expect(await repairStore(machine.start().environment)).toEqual({
        repaired: [key],
        missing: [],
      })
      expect(Buffer.compare(await machine.store.get(key), whole)).toBe(0)
    })
  })
})
