import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  globSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openVectorIndex } from '../../src/ann/open-index.ts'
import { stringifyJson } from '../../src/core/json.ts'
import { decodeGroups } from '../../src/db/wal/log-entry.ts'
import { checkBlob, decodeBlob } from '../../src/format/blob.ts'
import { decodeIds } from '../../src/format/ids-section.ts'
import { BLOB_ROLES, type BlobRef, type BlobRole } from '../../src/format/manifest.ts'
import { decodeOrigin, NO_SOURCE } from '../../src/format/origin-section.ts'
import { decodePage, decodePageDirectory } from '../../src/format/payload-section.ts'
import { decodeTombstones } from '../../src/format/tombstones.ts'
import { asFloat32 } from '../../src/format/views.ts'
import {
  importBundle,
  initStore,
  inspectBundle,
  openStore,
  trustKey,
  verifyAudit,
  verifyBundle,
} from '../../src/index.ts'
import { openFieldIndex } from '../../src/search/field-index.ts'
import { parseFilter } from '../../src/search/filter.ts'
import { openSparseIndex } from '../../src/search/sparse-index.ts'
import { searchSparse } from '../../src/search/sparse-search.ts'
import { openTextIndex } from '../../src/search/text-index.ts'
import { ROOT } from '../support/sources.ts'

const GOLDEN = join(ROOT, 'fixtures', 'format-v1')

interface ExpectedSearch {
  readonly query: { readonly vector?: readonly number[]; readonly [name: string]: unknown }
  readonly stateRoot: string
  readonly kind: string
  readonly hits: readonly { readonly id: string; readonly score: number; distance?: number }[]
}
interface ExpectedCollection {
  readonly stateRoot: string
  readonly searches: readonly ExpectedSearch[]
  readonly records: Readonly<
    Record<string, { payload: string; vector?: number[]; source: { file: string; row: number } }>
  >
  readonly log: readonly { readonly version: number }[]
}
interface Expected {
  readonly zstd: string
  readonly dimension: number
  readonly collections: Readonly<Record<string, ExpectedCollection>>
  readonly bundle: { bytes: number; headDigest: string; stateRoots: object; keyId: string }
  readonly audit: { logId: string; entries: number }
  readonly store: Readonly<Record<string, number>>
  readonly blobs: Readonly<Record<string, BlobRef>>
}

const read = (path: string): Buffer => readFileSync(join(GOLDEN, path))
const expected: Expected = JSON.parse(read('expected.json').toString('utf8'))
const collections = Object.entries(expected.collections)

let folder: string
let url: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'akidb-compat-'))
  url = join(folder, 'store')
  cpSync(join(GOLDEN, 'store'), url, { recursive: true })
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Everything below a folder with its length and content. */
const contents = (root: string): [string, string][] =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(root, path)).isFile())
    .sort()
    .map((path) => [path, readFileSync(join(root, path), 'latin1')])

describe('a store of format 1', () => {
  it('is complete', () => {
    const files = contents(url).map(([path, text]) => [path, text.length])
    expect(Object.fromEntries(files)).toEqual(expected.store)
  })

  it.each(collections)('answers every search of "%s" to the last bit', async (name, wanted) => {
    await using store = await openStore({ url, mode: 'read' })
    const collection = await store.collection(name)
    expect((await collection.info()).stateRoot).toBe(wanted.stateRoot)
    for (const { query, stateRoot, hits, kind } of wanted.searches) {
      const { vector, ...rest } = query
      const request = { ...rest, ...(vector ? { vector: Float32Array.from(vector) } : {}) }
      const found = await collection.search(request)
      expect(found.stateRoot).toBe(stateRoot)
      expect(found.plan.kind, JSON.stringify(rest)).toBe(kind)
      expect(found.hits.map(({ id, score, distance }) => ({ id, score, distance }))).toEqual(
        hits.map((hit) => ({ ...hit, distance: hit.distance })),
      )
    }
    expect(wanted.searches.flatMap(({ hits }) => hits)).not.toEqual([])
  })

  it.each(collections)('gives every record of "%s"', async (name, wanted) => {
    await using store = await openStore({ url, mode: 'read' })
    const collection = await store.collection(name)
    for (const [id, { payload, vector, source }] of Object.entries(wanted.records)) {
      const [record] = await collection.get([id], { withVector: true })
      expect(stringifyJson(record?.payload)).toBe(payload)
      expect(record?.vector && [...record.vector]).toEqual(vector)
      expect(record?.source).toEqual(source)
    }
    const ids = ['r0', 'r9', 'r55', 'r3', '4', 'ä']
    const records = await collection.get(ids)
    const present = ids.filter((_, i) => records[i] !== undefined)
    expect(present).toEqual(
      Object.keys(wanted.records).sort((a, b) => ids.indexOf(a) - ids.indexOf(b)),
    )
  })

  it.each(collections)('tells the history of "%s"', async (name, wanted) => {
    await using store = await openStore({ url, mode: 'read' })
    const collection = await store.collection(name)
    expect(await Array.fromAsync(collection.log())).toEqual(wanted.log)
  })

  it('passes the check of all its bytes and of its audit log', async () => {
    await using store = await openStore({ url, mode: 'read' })
    const checked = await store.check({ readData: true })
    // The store on its own has nobody who vouches for the log's key; the golden key does.
    const ofData = checked.problems.filter(({ key }) => !key.startsWith('audit/'))
    expect([ofData, checked.blobs]).toEqual([[], 7])
    const { logId, entries } = expected.audit
    const target = join(url, 'audit', logId)
    const audit = await verifyAudit({ target, keyFiles: [join(GOLDEN, 'default.pem')] })
    expect([audit.ok, audit.entries, audit.problems]).toEqual([true, entries, []])
  })

  it('is not changed by reading it', () => {
    expect(contents(url)).toEqual(contents(join(GOLDEN, 'store')))
  })
})

describe('a bundle of format 1', () => {
  const input = { path: join(GOLDEN, 'docs.akipkg') }

  it('verifies with its key, and with no other', async () => {
    const keyFiles = [join(GOLDEN, 'default.pem')]
    const report = await verifyBundle({ input, keyFiles })
    expect(report.problems).toEqual([])
    expect([report.ok, report.bytes]).toEqual([true, expected.bundle.bytes])
    expect(report.stateRoots).toEqual(expected.bundle.stateRoots)
    expect(report.signers.map(({ keyId, trusted }) => [keyId, trusted])).toEqual([
      [expected.bundle.keyId, true],
    ])
    const untrusted = await verifyBundle({ input, keyFiles: [] })
    expect(untrusted.problems.map(({ code }) => code)).toEqual(['UNTRUSTED'])
    const head = await inspectBundle({ input, keyFiles })
    expect([head.headDigest, head.to]).toEqual([expected.bundle.headDigest, 'site-b'])
  })
})

describe('this version', () => {
  it('goes on with a store of format 1', async () => {
    const copy = join(folder, 'copy')
    cpSync(join(GOLDEN, 'store'), copy, { recursive: true })
    await initStore({ url: copy })
    await trustKey({ url: copy, input: join(GOLDEN, 'default.pem') })
    await using store = await openStore({ url: copy, mode: 'write' })
    const docs = await store.collection('docs')
    const vector = new Float32Array(expected.dimension).fill(1)
    await docs.upsert([{ id: 'r0', vector, payload: { lang: 'fi' } }])
    await docs.flush()
    expect((await docs.search({ vector, k: 1 })).hits[0]?.id).toBe('r0')
    expect((await docs.info({ asOf: 'friday' })).count).toBe(60)
    expect((await store.check({ readData: true })).problems).toEqual([])
  })

  it('imports a bundle of format 1', async () => {
    const other = join(folder, 'other')
    await initStore({ url: other })
    await trustKey({ url: other, input: join(GOLDEN, 'default.pem') })
    await importBundle({ url: other, input: { path: join(GOLDEN, 'docs.akipkg') } })
    await using store = await openStore({ url: other, mode: 'read' })
    const { stateRoot, searches } = expected.collections.docs as ExpectedCollection
    const docs = await store.collection('docs')
    expect((await docs.info()).stateRoot).toBe(stateRoot)
    const { query, hits } = searches[0] as ExpectedSearch
    const found = await docs.search({ k: 10, vector: Float32Array.from(query.vector ?? []) })
    expect(found.hits.map(({ id, score }) => [id, score])).toEqual(
      hits.map(({ id, score }) => [id, score]),
    )
  })

  it('still writes format 1: the same rows give the same states and blobs', () => {
    const again = join(folder, 'again')
    const script = join(ROOT, 'scripts', 'make-golden.mjs')
    const run = spawnSync(process.execPath, [script, again], { encoding: 'utf8' })
    expect(run.status, run.stderr).toBe(0)
    const made: Expected = JSON.parse(readFileSync(join(again, 'expected.json'), 'utf8'))
    if (made.zstd !== expected.zstd) {
      process.stderr.write(`zstd ${made.zstd}, not ${expected.zstd}: pages differ, not compared\n`)
      return
    }
    expect(made.collections).toMatchObject(rootsOf(expected))
    expect(made.blobs).toEqual(expected.blobs)
    const blobs = globSync('store/blobs/**', { cwd: GOLDEN }).filter((path) =>
      statSync(join(GOLDEN, path)).isFile(),
    )
    expect(blobs.length).toBeGreaterThan(5)
    expect(blobs.filter((path) => !existsSync(join(again, path)))).toEqual([])
    expect(readFileSync(join(again, 'log.wal')).equals(read('log.wal'))).toBe(true)
  })
})

const rootsOf = ({ collections }: Expected): object =>
  Object.fromEntries(
    Object.entries(collections).map(([name, { stateRoot }]) => [name, { stateRoot }]),
  )

describe('a blob of format 1', () => {
  const open = (role: BlobRole) => {
    const ref = expected.blobs[role]
    if (ref === undefined) throw new Error(`no golden blob of role ${role}`)
    const bytes = read(`blobs/${role}.seg`)
    checkBlob(bytes, ref)
    return decodeBlob(bytes, ref)
  }
  const sectionOf = (role: BlobRole, name: string): Uint8Array =>
    open(role).sections.get(name) ?? new Uint8Array()
  const rows = 300

  it('is there for every role', () => {
    expect(['pack', ...Object.keys(expected.blobs)].sort()).toEqual([...BLOB_ROLES].sort())
  })

  it('holds ids', () => {
    const ids = decodeIds(open('ids').sections, rows)
    expect([ids.id(0), ids.id(299), ids.rowsOf(Buffer.from('r17'))]).toEqual(['r0', 'r299', [17]])
  })

  it('holds vectors, codes and a graph', () => {
    const vectors = asFloat32(sectionOf('vectors', 'vec'))
    const parameters = { type: 'hnsw', m: 8, efConstruction: 40 } as const
    const index = openVectorIndex({
      ...{ rows, dimension: expected.dimension, metric: 'cosine', pieces: [vectors], parameters },
      codes: sectionOf('codes', 'codes'),
      graph: sectionOf('graph', 'graph'),
    })
    const query = vectors.slice(5 * expected.dimension, 6 * expected.dimension)
    for (const kind of ['graph', 'scan-int8', 'scan-f32'] as const) {
      expect([...index.search({ query, k: 1, ef: 64, kind }).rows]).toEqual([5])
    }
    index.close()
  })

  it('holds payload pages', () => {
    const pages = sectionOf('payload', 'pages')
    const directory = decodePageDirectory(sectionOf('payload', 'pagedir'), rows, pages.length)
    const texts = directory.flatMap((page) =>
      decodePage(pages.subarray(page.offset, page.offset + page.storedBytes), page),
    )
    expect(texts).toHaveLength(rows)
    expect(texts[9]).toContain('"big":9007199254740993,')
  })

  it('holds origins', () => {
    const { sources, rows: lines } = decodeOrigin(open('origin').sections, rows)
    expect([sources[6], sources[7], sources[9]]).toEqual([0, NO_SOURCE, 1])
    expect([lines[7], lines[8]]).toEqual([7n, 8n + 2n ** 40n])
  })

  it('holds a field index and a text index', () => {
    const fields = openFieldIndex(sectionOf('fields', 'fields'), rows)
    const filter = parseFilter({ lang: 'fi', 'author.name': 'Author 1' })
    const { sure, exact } = fields.select(filter, () => [])
    expect([exact, [...sure].slice(0, 2)]).toEqual([true, [8, 36]])
    expect(openTextIndex(sectionOf('text', 'text'), rows).rows).toBe(rows)
  })

  it('holds sparse vectors', () => {
    const index = openSparseIndex(sectionOf('sparse', 'sparse0'), rows)
    expect(index.vector(0)).toBeUndefined()
    expect([...(index.vector(299)?.values ?? [])]).toEqual([74.75, -0.5, 1])
    const query = { indices: Uint32Array.of(3), values: Float32Array.of(1) }
    const { hits } = searchSparse({ segments: [{ index }], query, k: 2 })
    expect(hits.map(({ row, score }) => [row, score])).toEqual([
      [299, 74.75],
      [298, 74.5],
    ])
  })

  it('holds tombstones and sources', () => {
    const blob = open('tombstones')
    expect([...decodeTombstones(blob, 2, 3, rows)]).toEqual([0, 5, 299])
    expect([...decodeTombstones(blob, 9, 1, 2)]).toEqual([1])
    const sources = JSON.parse(Buffer.from(sectionOf('sources', 'json')).toString('utf8'))
    expect(sources).toMatchObject([{ ordinal: 0, name: 'a.csv', rows: 300, rejected: 1 }])
  })
})

describe('a write-ahead log of format 1', () => {
  it('has its groups and entries', () => {
    const groups = decodeGroups(read('log.wal'), 0)
    const shown = groups.map(({ entries }) =>
      entries.map(({ entry }) => (entry.kind === 'delete' ? entry.id : entry.row)),
    )
    const payload = new Map([['n', 2n ** 63n]])
    expect(shown).toEqual([
      [
        { id: 'a', vector: Float32Array.of(1, -0.5), payload },
        { id: 'ä', vector: undefined, payload },
      ],
      ['a'],
    ])
    expect(groups[1]?.after).toBe(groups[0]?.end)
  })
})
