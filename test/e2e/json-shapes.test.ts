import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { jsonLines } from '../cli/support/run.ts'
import { openPlace, QUERIES, RECORDS } from './support/cli.ts'

const place = openPlace()
afterAll(() => place.remove())

const digest = expect.stringMatching(/^[0-9a-f]{64}$/)
const text = expect.any(String)
const count = expect.any(Number)
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
const source = { file: 'labse-small.parquet', sha256: digest, row: count }

const a = (...argv: string[]) => place.json('--store', 'a', ...argv)
/** `type` and `version` come first in every document. */
const expectType = (document: Record<string, unknown>, type: string): void => {
  expect(Object.entries(document).slice(0, 2)).toEqual([
    ['type', type],
    ['version', 1],
  ])
}

beforeAll(async () => {
  await a('init')
  await a('ingest', 'notes', RECORDS, '--text-column', 'text')
  writeFileSync('bad.jsonl', '{"id":"x","text":"a"}\n{"text":7}\nno json\n')
})

describe('the JSON result', () => {
  it('of init and adopt', async () => {
    const init = await a('init')
    expectType(init, 'init')
    const keys = [
      { name: 'default', keyId: digest },
      { name: 'log', keyId: digest },
    ]
    expect(init).toMatchObject({ store: text, id: text, state: text, created: false, keys })
  })

  it('of ingest', async () => {
    const ingest = await a('ingest', 'fresh', RECORDS, '--text-column', 'text')
    expectType(ingest, 'ingest')
    const counts = { inserted: 306, updated: 0, rejected: 0 }
    expect(ingest).toMatchObject({
      ...{ collection: 'fresh', store: text, created: true, warnings: [], ...counts },
      files: [{ path: RECORDS, sha256: digest, rows: 306, ...counts, skipped: false }],
      ...{ manifestVersion: 2, stateRoot: digest, elapsedMs: count },
    })
    expect(ingest).not.toHaveProperty('rejectsFile')
  })

  it('of ingest with rejects, beside the error', async () => {
    const argv = ['--store', 'a', 'ingest', 'bad', 'bad.jsonl', '--text-column', 'text', '--json']
    const ran = await place.run(argv)
    expect(ran.code).toBe(20)
    expect(JSON.parse(ran.stdout)).toMatchObject({
      ...{ type: 'ingest', inserted: 1, rejected: 2, rejectsFile: text },
    })
    const error = jsonLines(ran.stderr).find(({ type }) => type === 'error')
    expect(error).toMatchObject({
      version: 1,
      code: 'PARTIAL',
      exit: 20,
      message: text,
      hint: text,
    })
  })

  it('of search, and of each way to ask', async () => {
    const search = await a('search', 'notes', '--id', 'FI-017', '-k', '2', '--with-source')
    expectType(search, 'search')
    const hit = { id: text, score: count, distance: count, payload: { lang: text }, source }
    expect(search).toMatchObject({
      ...{ collection: 'notes', stateRoot: digest, k: 2, hits: [hit, hit], elapsedMs: count },
      plan: { kind: 'vector' },
    })
    const words = await a('search', 'notes', '--text', 'kello', '--with-vector')
    expect(words).toMatchObject({ plan: { kind: 'text' }, hits: [{ score: count }] })
    const [first] = words.hits as { vector: number[]; distance?: number }[]
    expect(first?.vector).toHaveLength(768)
    expect(first).not.toHaveProperty('distance')
  })

  it('of search --queries: exactly three members a line, and no times', async () => {
    const argv = ['--store', 'a', 'search', 'notes', '--queries', QUERIES, '-k', '1', '--json']
    const ran = await place.run(argv)
    const lines = jsonLines(ran.stdout)
    expect(lines).toHaveLength(20)
    for (const line of lines) {
      expect(Object.keys(line)).toEqual(['query', 'stateRoot', 'hits'])
      expect(Object.keys((line.hits as object[])[0] ?? {})).toEqual(['id', 'score', 'distance'])
    }
  })

  it('of search with groups and of a tree, and of count and facet', async () => {
    const grouped = await a('search', 'notes', '--text', 'kello', '--group-by', 'lang', '-k', '2')
    expectType(grouped, 'search')
    expect(grouped).toMatchObject({ groups: [{ value: text, ids: [text] }], hits: [{ id: text }] })
    const query = JSON.stringify({
      prefetch: [
        { query: { id: 'FI-017' }, k: 50 },
        { query: { text: 'kello' }, k: 50 },
      ],
      query: { fusion: 'dbsf' },
      filter: { lang: 'FI' },
      k: 3,
    })
    const tree = await a('search', 'notes', '--query', query)
    expect(tree).toMatchObject({
      hits: [{ payload: { lang: 'FI' } }, { id: text }, { id: text }],
      plan: { kind: 'fusion', prefetch: [{ kind: 'vector' }, { kind: 'text' }] },
    })
    const sample = ['search', 'notes', '--sample', '5', '--seed', '9'] as const
    expect((await a(...sample)).hits).toEqual((await a(...sample)).hits)
    const all = await a('count', 'notes')
    expectType(all, 'count')
    expect(all).toMatchObject({ collection: 'notes', stateRoot: digest, count: 306 })
    const facet = await a('facet', 'notes', 'lang', '--limit', '2')
    expectType(facet, 'facet')
    const [most] = facet.values as { value: string; count: number }[]
    expect(facet).toMatchObject({ key: 'lang', distinct: count, count: 306 })
    const one = await a('count', 'notes', '--filter', JSON.stringify({ lang: most?.value }))
    expect(one.count).toBe(most?.count)
  })

  it('of show and list', async () => {
    const show = await a('show', 'notes')
    expectType(show, 'show')
    const members = {
      ...{ collection: 'notes', dimension: 768, metric: 'cosine', count: 306 },
      ...{ manifestVersion: 2, stateRoot: digest, bytes: count, segments: [{}] },
      sources: [{ name: 'labse-small.parquet', sha256: digest, rows: 306, rejected: 0 }],
      schema: { fields: { lang: 'string' } },
    }
    expect(show).toMatchObject(members)
    const list = await a('list')
    expectType(list, 'list')
    expect(list.collections).toContainEqual(expect.objectContaining({ collection: 'notes' }))
  })

  it('of get, with and without the vector', async () => {
    const get = await a('get', 'notes', 'FI-017')
    expectType(get, 'get')
    expect(Object.keys(get)).toEqual(['type', 'version', 'id', 'payload', 'source'])
    expect(get).toMatchObject({ id: 'FI-017', payload: { lang: 'FI' }, source })
    expect((await a('get', 'notes', 'FI-017', '--with-vector')).vector).toHaveLength(768)
  })

  it('of log, snapshot, diff and revert', async () => {
    const snapshot = await a('snapshot', 'create', 'notes', 'friday')
    const pinned = { label: 'friday', stateRoot: digest, version: 2, committedAt: time }
    expect(snapshot.type).toBe('snapshot.create')
    expect(snapshot).toMatchObject(pinned)
    const { sources } = (await a('show', 'notes')) as { sources: { sha256: string }[] }
    const ofFile = await a('delete', 'notes', '--source', sources[0]?.sha256 ?? '', '-n')
    expect(ofFile).toMatchObject({ deleted: 306, dryRun: true })
    await a('delete', 'notes', 'FI-017')
    const log = await a('log', 'notes')
    expectType(log, 'log')
    const entry = { version: count, committedAt: time, actor: text, stateRoot: digest }
    const counts = { inserted: 0, deleted: 0, updated: 0 }
    expect(log.entries).toMatchObject([
      { ...entry, ...counts, act: 'delete', deleted: 1, labels: [] },
      { ...entry, ...counts, act: 'ingest', inserted: 306, labels: ['friday'] },
      { ...entry, ...counts, act: 'create', version: 1 },
    ])
    expectType(await a('diff', 'notes', 'friday', '3'), 'diff')
    expectType(await a('revert', 'notes', 'friday'), 'revert')
  })

  it('of export, inspect, verify, import and replay', async () => {
    const exported = await a('export', 'notes', '-o', 'n.akipkg')
    expectType(exported, 'export')
    const head = {
      ...{ path: expect.stringContaining('n.akipkg'), bytes: count, headDigest: digest },
      ...{ stateRoots: { notes: digest }, sequence: count, keyId: digest },
    }
    expect(exported).toMatchObject(head)
    expect(exported).not.toHaveProperty('baseStateRoots')
    const signers = [{ keyId: exported.keyId, name: 'default', trusted: true }]
    const inspect = await a('bundle', 'inspect', 'n.akipkg')
    expectType(inspect, 'bundle.inspect')
    expect(inspect).toMatchObject({ ...head, kind: 'full', signers })
    const verify = await a('bundle', 'verify', 'n.akipkg')
    expectType(verify, 'bundle.verify')
    const clean = { ok: true, problems: [], signers, bytes: exported.bytes, elapsedMs: count }
    expect(verify).toMatchObject({ ...clean, stateRoots: exported.stateRoots })
    await place.json('--store', 'b', 'init')
    writeFileSync('a.pem', (await place.run(['--store', 'a', 'keys', 'export', 'default'])).stdout)
    expectType(await place.json('--store', 'b', 'keys', 'trust', 'a.pem', '--yes'), 'keys.trust')
    const imported = await place.json('--store', 'b', 'import', 'n.akipkg')
    expectType(imported, 'import')
    expect(imported).toMatchObject({
      collections: [{ name: 'notes', before: null, after: digest, inserted: 306, deleted: 0 }],
      ...{ blobs: { present: 0, copied: count }, bytes: count, elapsedMs: count },
    })
    const replay = await place.json('--store', 'b', 'replay', 'n.akipkg')
    expectType(replay, 'replay')
    expect(replay).toMatchObject({ name: text, stateRoot: digest })
    const delta = await a('export', 'notes', '-o', 'd.akipkg', '--since', 'last')
    expect(delta).toMatchObject({ baseStateRoots: { notes: digest } })
  })

  it('of an audit entry that says by which filter records were deleted', async () => {
    const filter = '{"lang":"nobody"}'
    const any = Array.from({ length: 900 }, (_, i) => `${i}-${'x'.repeat(20)}`)
    const long = JSON.stringify({ must: [{ key: 'lang', match: { any } }] })
    await a('delete', 'notes', '--filter', filter, '--yes')
    await a('delete', 'notes', '--filter', long, '--yes')
    const ran = await place.run(['--store', 'a', 'audit', 'log', '--act', 'delete', '--json'])
    const details = jsonLines(ran.stdout).map((entry) => entry['details'])
    expect(details).toContainEqual(expect.objectContaining({ filter }))
    expect(details).toContainEqual(expect.objectContaining({ filterSha256: digest }))
  })

  it('of the audit log, check, gc, doctor, status, index and version', async () => {
    const verify = await a('audit', 'verify')
    expectType(verify, 'audit.verify')
    const sums = { entries: count, root: digest, checkpoints: count }
    expect(verify).toMatchObject({ ok: true, problems: [], ...sums })
    const check = await a('check', '--read-data')
    expectType(check, 'check')
    expect(check).toMatchObject({ ok: true, problems: [], blobs: count, bytes: count })
    const gc = await a('gc', '-n')
    expectType(gc, 'gc')
    expect(gc).toMatchObject({ manifests: count, blobs: count, bytes: count, kept: count })
    const doctor = await a('doctor')
    expectType(doctor, 'doctor')
    const status = expect.stringMatching(/^(ok|warn|fail)$/)
    for (const one of doctor.checks as object[]) {
      expect(one).toMatchObject({ name: text, status, message: text, fix: expect.any(String) })
    }
    const shown = await a('status')
    expectType(shown, 'status')
    for (const member of ['store', 'state', 'owner', 'collections', 'ledger', 'walRows']) {
      expect(shown).toHaveProperty(member)
    }
    expect(shown).toHaveProperty('audit')
    expect(shown).toHaveProperty('origins')
    const index = await a('index', 'build', 'notes')
    expectType(index, 'index.build')
    expect(index).toMatchObject({ collection: 'notes', segments: count, elapsedMs: count })
    const version = await a('version')
    expectType(version, 'version')
    const formats = { read: expect.any(Array), write: expect.any(Array) }
    expect(version).toMatchObject({ akidb: text, node: text, engine: text, zstd: text, formats })
  })
})

describe('an error as JSON', () => {
  it('is one object on stderr, and nothing is on stdout', async () => {
    const ran = await place.run(['--store', 'a', 'search', 'nothing', '--text', 'x', '--json'])
    expect(ran).toMatchObject({ code: 21, stdout: '' })
    expect(jsonLines(ran.stderr)).toEqual([
      {
        ...{ type: 'error', version: 1, code: 'NOT_FOUND', exit: 21, message: text, hint: text },
        details: expect.any(Object),
      },
    ])
  })
})
