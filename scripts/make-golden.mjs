// Makes fixtures/format-v1: a store, a bundle, one blob of every role, a piece of write-ahead log
// and what must be read from them. Clock, ids and keys are fixed, so the same sources give the same
// bytes. Once a version is released, its folder is never made again: it must open for ever.
//
//   node_modules/.bin/node scripts/make-golden.mjs [folder]

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { buildIndexSync } from '../src/ann/build-index.ts'
import { certificateKey } from '../src/audit/layout.ts'
import { openAuditLog } from '../src/audit/log.ts'
import { stringifyJson } from '../src/core/json.ts'
import { CollectionCore } from '../src/db/collection/collection-core.ts'
import { deleteRecords } from '../src/db/collection/delete.ts'
import { logEntries, revertTo } from '../src/db/collection/history.ts'
import { createCollection, dropCollection } from '../src/db/collection/lifecycle.ts'
import { getRecord } from '../src/db/collection/records.ts'
import { runIngest } from '../src/db/ingest/ingest-run.ts'
import { namedPositions } from '../src/db/open/open-environment.ts'
import { runSearch } from '../src/db/search/search-run.ts'
import { createSnapshot } from '../src/db/states/snapshots.ts'
import { STORE_FILE } from '../src/db/states/store-file.ts'
import { encodeGroupRecord, encodeLogEntry } from '../src/db/wal/log-entry.ts'
import { encodeBlob, section } from '../src/format/blob.ts'
import { encodeIds } from '../src/format/ids-section.ts'
import { encodeOrigin, NO_SOURCE } from '../src/format/origin-section.ts'
import { createPayloadPageWriter } from '../src/format/payload-section.ts'
import { tombstoneBlob } from '../src/format/tombstones.ts'
import { bytesOf } from '../src/format/views.ts'
import { createFieldIndexBuilder } from '../src/search/field-index-builder.ts'
import { createSparseIndexBuilder } from '../src/search/sparse-index-builder.ts'
import { createTextIndexBuilder } from '../src/search/text-index-builder.ts'
import { createMemoryLocks } from '../src/storage/memory-locks.ts'
import { createMemoryStore } from '../src/storage/memory-store.ts'
import { exportBundle } from '../src/transfer/export.ts'
import { openKeyStore } from '../src/trust/key-store.ts'
import { certifyLogKey } from '../src/trust/log-key.ts'

const STORE_ID = '00112233445566778899aabbccddeeff'
const VERSION = '0.1.0'
const DIMENSION = 16
const LANGUAGES = ['fi', 'sv', 'de', 'en']
const WORDS = 'river stone light house north winter bread song iron bird'.split(' ')
const VECTOR = Array.from({ length: DIMENSION }, (_, i) => (i % 5) / 4 - 0.5)
const QUERIES = {
  docs: [
    { vector: VECTOR, k: 10 },
    { vector: VECTOR, k: 5, exact: true, filter: { lang: 'fi' } },
    { vector: VECTOR, k: 5, asOf: 'friday' },
    { vector: VECTOR, k: 9, filter: { must: [{ key: 'big', match: { value: 9 } }] } },
    { vector: VECTOR, k: 4, filter: { must: [{ is_null: { key: 'author' } }] } },
    {
      vector: VECTOR,
      k: 7,
      filter: {
        should: [
          { key: 'year', range: { gte: 1960, lt: 1970 } },
          { key: 'at', range: { gt: '2025-03-01T02:00:00+02:00' } },
        ],
        must_not: [{ key: 'author.name', match: { any: ['Author 1', 'Author 2'] } }],
      },
    },
    { text: 'river stone', k: 10 },
    { text: 'älä', k: 3 },
    { vector: VECTOR, text: 'winter bread', k: 10 },
    { id: 'r10', k: 3 },
  ],
  points: [{ vector: [1, 1, 1], k: 5 }],
  notes: [{ text: 'stone', k: 5 }],
}

const out = resolve(process.argv[2] ?? join(import.meta.dirname, '..', 'fixtures', 'format-v1'))
const random = randomOf(20260101)
const files = new Map()
const expected = { zstd: process.versions.zstd, dimension: DIMENSION }

const environment = await makeEnvironment()
await makeStore(environment)
await makeBundle(environment)
await makeBlobs()
makeLog()
// Line ends count: git must leave them alone everywhere.
files.set('.gitattributes', Buffer.from('* -text\n'))
files.set('expected.json', Buffer.from(`${JSON.stringify(expected, undefined, 1)}\n`))
rmSync(out, { recursive: true, force: true })
for (const [path, bytes] of files) {
  mkdirSync(dirname(join(out, path)), { recursive: true })
  writeFileSync(join(out, path), bytes)
}

/** Numbers in 0…1 that depend on the seed alone (mulberry32). */
function randomOf(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

function randomBytes(bytes) {
  return Uint8Array.from({ length: bytes }, () => random() * 256)
}

function makeClock() {
  let now = Date.UTC(2026, 0, 1)
  const nowMs = () => {
    now += 1
    return now
  }
  const sleep = async (ms) => {
    now += ms
  }
  return { nowMs, sleep }
}

/** Keys in memory. */
function makeKeys(clock) {
  const kept = new Map()
  const keyFiles = {
    read: async (name) => kept.get(name),
    write: async (name, bytes) => {
      kept.set(name, bytes)
      return 'created'
    },
    list: async () => [...kept.keys()].sort(),
    remove: async (name) => kept.delete(name),
  }
  return openKeyStore(keyFiles, { random: randomBytes, clock })
}

async function makeEnvironment() {
  const clock = makeClock()
  const store = createMemoryStore({ clock })
  const state = createMemoryStore({ clock })
  const holder = {
    host: 'golden',
    pid: 1,
    command: 'golden',
    startedAt: '2026-01-01T00:00:00.000Z',
  }
  const locks = createMemoryLocks({ clock }).forProcess('golden', holder)
  const keys = makeKeys(clock)
  const logKey = await keys.generate('log')
  await keys.generate('default')
  const signer = await keys.load('log')
  let audit
  const openLog = async () =>
    openAuditLog({
      store,
      prefix: `audit/${logKey.keyId}`,
      origin: `akidb/${STORE_ID}`,
      signer,
      lock: () => locks.acquire('audit', 10_000),
      clock,
      named: await namedPositions({ store }, logKey.keyId),
    })
  return {
    ...{ mode: 'write', store, state, locks, clock, keys, logKey, random: randomBytes },
    ...{ actor: { user: 'aki', uid: 1000, host: 'golden' }, command: 'golden' },
    ...{ reason: undefined, lockWaitMs: 10_000, headAgeMaxMs: 0, warn: () => undefined },
    audit: () => {
      audit ??= openLog()
      return audit
    },
    builder: () => ({
      build: async (vectors, parameters) => buildIndexSync(vectors, parameters),
      close: async () => undefined,
    }),
  }
}

/** Rows that depend on nothing but their numbers. */
function makeRows(from, count) {
  const random = randomOf(from * 1_000 + count)
  return Array.from({ length: count }, (_, i) => {
    const n = from + i
    return {
      id: `r${n}`,
      vector: Array.from({ length: DIMENSION }, () => Math.fround(random() * 2 - 1)),
      lang: LANGUAGES[n % LANGUAGES.length],
      year: 1950 + ((n * 7) % 70),
      big: n % 9 === 0 ? 9007199254740993n : n,
      at: new Date(Date.UTC(2025, 0, 1 + n)).toISOString(),
      tags: n % 3 === 0 ? [] : [WORDS[n % 10], WORDS[(n * 3) % 10]],
      author: n % 5 === 0 ? null : { name: `Author ${n % 7}` },
      text: `The ${WORDS[n % 10]} and the ${WORDS[(n * 3 + 1) % 10]}, number ${n}. Älä pelkää.`,
    }
  })
}

async function makeStore(environment) {
  const { store, keys, logKey } = environment
  const file = { format: 'akidb-store/1', id: STORE_ID, kind: 'working' }
  const json = JSON.stringify({ ...file, createdAt: '2026-01-01T00:00:00.000Z' })
  await store.put(STORE_FILE, Buffer.from(`${json}\n`))
  const certificate = certifyLogKey(logKey, [await keys.load('default')])
  await store.put(certificateKey(logKey.keyId), certificate)
  await (await environment.audit()).append([
    { act: 'init', phase: 'event', actor: environment.actor, details: { store: STORE_ID } },
  ])
  const docs = new CollectionCore({ environment, name: 'docs' })
  await ingest(docs, 'first.jsonl', makeRows(0, 60), { textColumns: ['text'] })
  await createSnapshot(docs, 'friday')
  await ingest(docs, 'second.jsonl', makeRows(50, 30), { textColumns: ['text'] })
  await deleteRecords(docs, { ids: ['r3', 'r77'] })
  const points = new CollectionCore({ environment, name: 'points' })
  await createCollection(points, { dimension: 3, metric: 'l2' })
  const near = [0, 1, 2, 3, 4].map((n) => ({ id: String(n), vector: [n, n / 2, -n] }))
  await ingest(points, 'points.jsonl', near, {})
  await deleteRecords(points, { ids: ['4'] })
  await revertTo(points, '2', false)
  const notes = new CollectionCore({ environment, name: 'notes' })
  await createCollection(notes, { textFields: ['text'] })
  await ingest(notes, 'notes.jsonl', [{ id: 'ä', text: 'Stone, stone and bread' }], {})
  const gone = new CollectionCore({ environment, name: 'gone' })
  await createCollection(gone, { dimension: 2, metric: 'dot' })
  await dropCollection(gone)
  await (await environment.audit()).checkpoint()
  expected.collections = {}
  for (const core of [docs, points, notes]) {
    expected.collections[core.name] = await answersOf(core)
  }
  for (const core of [docs, points, notes, gone]) await core.close()
}

async function ingest(core, name, rows, options) {
  const folder = mkdtempSync(join(tmpdir(), 'akidb-golden-'))
  try {
    const path = join(folder, name)
    writeFileSync(path, rows.map((row) => `${stringifyJson(row)}\n`).join(''))
    await runIngest(core, { inputs: [path], ...options })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function answersOf(core) {
  const { view } = await core.hold()
  const searches = []
  for (const { vector, ...query } of QUERIES[core.name]) {
    const request = { ...query, ...(vector ? { vector: Float32Array.from(vector) } : {}) }
    const { hits, plan, stateRoot } = await runSearch(core, request)
    const found = hits.map(({ id, score, distance }) => ({ id, score, distance }))
    searches.push({ query: { ...query, vector }, stateRoot, kind: plan.kind, hits: found })
  }
  const parts = { payload: true, vector: true, source: true }
  const records = {}
  for (const id of ['r0', 'r9', 'r55', 'r3', '4', 'ä']) {
    const record = await getRecord(core, view, id, parts)
    if (record === undefined) continue
    const { payload, vector, source } = record
    records[id] = { payload: stringifyJson(payload), vector: vector && [...vector], source }
  }
  const log = []
  for await (const entry of logEntries(core, 100)) log.push(entry)
  return { stateRoot: view.manifest.commit.stateRoot, searches, records, log }
}

async function makeBundle(environment) {
  const pieces = []
  const cores = new Map()
  const store = {
    environment,
    flush: async () => undefined,
    core: (name) => {
      if (!cores.has(name)) cores.set(name, new CollectionCore({ environment, name }))
      return cores.get(name)
    },
  }
  const { bytes, headDigest, stateRoots, sequence, keyId } = await exportBundle(store, {
    collections: ['docs', 'notes'],
    output: { write: async (piece) => void pieces.push(Uint8Array.from(piece)) },
    signer: await environment.keys.load('default'),
    akidbVersion: VERSION,
    to: 'site-b',
  })
  for (const core of cores.values()) await core.close()
  expected.bundle = { bytes, headDigest, stateRoots, sequence, keyId }
  files.set('docs.akipkg', Buffer.concat(pieces))
  files.set('default.pem', Buffer.from(await environment.keys.exportPublic('default')))
  await (await environment.audit()).checkpoint()
  const log = await environment.audit()
  expected.audit = { logId: environment.logKey.keyId, entries: log.size }
  expected.store = {}
  for await (const { key, bytes: length } of environment.store.list('')) {
    const body = await environment.store.get(key)
    expected.store[key] = length
    files.set(`store/${key}`, body)
  }
}

/** One blob of every role: a segment of 300 rows with a graph, tombstones and sources. */
async function makeBlobs() {
  const count = 300
  const rows = makeRows(0, count)
  const vectors = Float32Array.from(rows.flatMap((row) => row.vector))
  const shape = { rows: count, dimension: DIMENSION, metric: 'cosine', pieces: [vectors] }
  const index = { type: 'hnsw', m: 8, efConstruction: 40 }
  const { codes, graph } = buildIndexSync(shape, index, { graphRowsMin: 1 })
  const pages = createPayloadPageWriter('written')
  const fields = createFieldIndexBuilder()
  const text = createTextIndexBuilder(['text'])
  const sparse = createSparseIndexBuilder()
  let sparseRow = 0
  for (const { id, vector, ...payload } of rows) {
    pages.add(stringifyJson(payload))
    const { author, ...flat } = payload
    const nested = author === null ? null : new Map(Object.entries(author))
    const map = new Map([...Object.entries(flat), ['author', nested]])
    fields.add(map)
    text.add(map)
    sparse.add(sparseOf(sparseRow++))
  }
  const origin = {
    sources: Uint32Array.from(rows, (_, i) => (i === 7 ? NO_SOURCE : i % 2)),
    rows: BigUint64Array.from(rows, (_, i) => BigInt(i) + (i === 8 ? 2n ** 40n : 0n)),
  }
  const sources = [{ ordinal: 0, name: 'a.csv', sha256: 'a'.repeat(64), options: 'b'.repeat(64) }]
  const json = JSON.stringify(sources.map((source) => ({ ...source, rows: 300, rejected: 1 })))
  const dead = new Map([
    [2, Uint32Array.of(0, 5, 299)],
    [9, Uint32Array.of(1)],
  ])
  const blobs = [
    { role: 'vectors', sections: [section('vec', bytesOf(vectors))] },
    { role: 'codes', sections: [section('codes', codes)] },
    { role: 'ids', sections: encodeIds(rows.map(({ id }) => id)) },
    { role: 'payload', sections: pages.finish().sections },
    { role: 'origin', sections: encodeOrigin(origin) },
    { role: 'fields', sections: [section('fields', fields.encode())] },
    { role: 'text', sections: [section('text', text.encode())] },
    { role: 'graph', sections: [section('graph', graph)] },
    { ...tombstoneBlob(dead) },
    { role: 'sparse', sections: [section('sparse0', sparse.encode())] },
    { role: 'sources', records: 1, dimension: 0, sections: [section('json', Buffer.from(json))] },
  ]
  expected.blobs = {}
  for (const blob of blobs) {
    const pieces = []
    const input = { records: count, dimension: DIMENSION, ...blob }
    const ref = await encodeBlob(input, async (piece) => void pieces.push(Uint8Array.from(piece)))
    expected.blobs[blob.role] = ref
    files.set(`blobs/${blob.role}.seg`, Buffer.concat(pieces))
  }
}

/** Every third row has none; dimension 3 has enough rows for a full block of postings. */
function sparseOf(row) {
  if (row % 3 === 0) return undefined
  const indices = Uint32Array.of(3, 100 + (row % 7), 4_000_000_000)
  return { indices, values: Float32Array.of(row / 4, -0.5, 2 - (row % 2)) }
}

/** Two groups: an upsert with and one without a vector, then a delete. */
function makeLog() {
  const row = (id, vector) => ({ id, vector, payload: new Map([['n', 2n ** 63n]]) })
  const upserts = [
    encodeLogEntry({ kind: 'upsert', row: row('a', Float32Array.of(1, -0.5)) }),
    encodeLogEntry({ kind: 'upsert', row: row('ä', undefined) }),
  ]
  const first = [encodeGroupRecord(0, upserts), ...upserts]
  const end = first.reduce((sum, record) => sum + record.byteLength, 0)
  const deletes = [encodeLogEntry({ kind: 'delete', id: 'a' })]
  files.set('log.wal', Buffer.concat([...first, encodeGroupRecord(end, deletes), ...deletes]))
}
