import { createHash } from 'node:crypto'
import { globSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { buildIndexSync } from '../../src/ann/build-index.ts'
import { limits } from '../../src/core/limits.ts'
import { DEFAULT_INDEX } from '../../src/core/schema.ts'
import { encodeLogEntry, GROUP_RECORD_BYTES } from '../../src/db/wal/log-entry.ts'
import {
  chunkBytesOf,
  HEADER_BYTES,
  SECTION_ENTRY_BYTES,
  SECTIONS_MAX,
  SEG_VERSION,
  section,
} from '../../src/format/blob.ts'
import { TAIL_BYTES } from '../../src/format/chunks.ts'
import { encodeIds } from '../../src/format/ids-section.ts'
import { BLOB_ROLES, type BlobRole, COMMIT_ACTS } from '../../src/format/manifest.ts'
import { decodeManifest } from '../../src/format/manifest-codec.ts'
import { encodeOrigin, NO_SOURCE } from '../../src/format/origin-section.ts'
import {
  createPayloadPageWriter,
  PAGE_BYTES,
  PAGE_ENTRY_BYTES,
  PAYLOAD_LEVELS,
} from '../../src/format/payload-section.ts'
import { tombstoneBlob } from '../../src/format/tombstones.ts'
import { createFieldIndexBuilder } from '../../src/search/field-index-builder.ts'
import {
  BLOCK_BYTES,
  DISTINCT_BYTES_MAX,
  FIELD_INDEX_FORMAT,
  FIXED_SETS,
  KEYS_MAX,
  PREFIX_BYTES,
  VALUE_BYTES_MAX,
} from '../../src/search/field-index-format.ts'
import { BLOCK_POSTINGS } from '../../src/search/posting-blocks.ts'
import { createSparseIndexBuilder } from '../../src/search/sparse-index-builder.ts'
import { SPARSE_HEADER_BYTES, SPARSE_VERSION } from '../../src/search/sparse-index-layout.ts'
import { createTextIndexBuilder } from '../../src/search/text-index-builder.ts'
import {
  padded,
  TEXT_FIELD_BYTES,
  TEXT_HEADER_BYTES,
  TEXT_POSITIONS,
  TEXT_VERSION,
} from '../../src/search/text-index-layout.ts'
import {
  ENVELOPE_MAGIC,
  ENVELOPE_VERSION,
  HEAD_BYTES,
  PAYLOAD_KEY_BYTES,
  TAG_BYTES,
  WRAPPING_PREFIX_BYTES,
} from '../../src/storage/envelope/envelope-head.ts'
import { decodeOpening } from '../../src/storage/envelope/kes-envelope.ts'
import { ROOT } from '../support/sources.ts'
import { encodeInMemory } from './memory-blob.ts'
import { byteTable, lengthOf, PAGE, readFields, tableOf } from './page.ts'
import { fullCommit, fullState, manifestFile } from './sample-manifest.ts'

const code = (cell: string | undefined): string => /^`([^`]+)`/.exec(cell ?? '')?.[1] ?? ''
const codes = (cell: string | undefined): string[] =>
  [...(cell ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '')
const piece = (input: { readonly pieces: Iterable<Uint8Array> } | undefined): Uint8Array =>
  Buffer.concat([...(input?.pieces ?? [])])

describe('docs/format.md: blobs', () => {
  it('has the header, the section table and the tail as they are written', async () => {
    const sections = [section('one', Buffer.from('abc')), section('two', new Uint8Array(70))]
    const input = { role: 'codes' as const, records: 7, dimension: 5, sections }
    const { bytes } = await encodeInMemory(input)
    const header = byteTable('Blob: SEGv1')
    const entry = byteTable('Entry of the section table')
    const tail = byteTable('Tail')
    expect(lengthOf(header)).toBe(HEADER_BYTES)
    expect(lengthOf(entry)).toBe(SECTION_ENTRY_BYTES)
    expect(lengthOf(tail)).toBe(TAIL_BYTES)
    const found = readFields(header, bytes)
    const body = 320
    expect(found).toEqual({
      ...{ magic: 'SEGv', version: SEG_VERSION, role: 2, codec: 0, requires: 0, sections: 2 },
      ...{ records: 7, dimension: 5, chunkBytes: limits.chunkBytesLarge, table: 64, body },
      free: '00'.repeat(16),
    })
    const at = (i: number) => bytes.subarray(HEADER_BYTES + i * SECTION_ENTRY_BYTES)
    const free = '00'.repeat(8)
    expect(readFields(entry, at(0))).toEqual({ name: 'one', offset: 128, bytes: 3, free })
    expect(readFields(entry, at(1))).toEqual({ name: 'two', offset: 192, bytes: 70, free })
    expect(readFields(tail, bytes.subarray(-TAIL_BYTES))).toEqual({
      ...{ body, chunks: 1, chunkBytes: limits.chunkBytesLarge, file: bytes.length },
      ...{ magic: 'SEGv', version: SEG_VERSION },
    })
    const list = createHash('sha256').update(bytes.subarray(0, body)).digest()
    expect(Buffer.compare(bytes.subarray(body, -TAIL_BYTES), list)).toBe(0)
    expect(PAGE).toContain(`at most ${SECTIONS_MAX}`)
  })

  it('has every role with its number, codec, chunk size and sections', async () => {
    const rows = tableOf('Roles', 'number')
    expect(rows.map(([number, role]) => [Number(number), role])).toEqual([...BLOB_ROLES.entries()])
    const header = byteTable('Blob: SEGv1')
    for (const [, name, codec, chunkBytes] of rows) {
      const role = name as BlobRole
      expect(Number(chunkBytes), name).toBe(chunkBytesOf(role))
      const { bytes } = await encodeInMemory({ role, records: 0, dimension: 0, sections: [] })
      expect(readFields(header, bytes).codec, name).toBe(Number(codec))
    }
    const written = (role: string): string[] => codes(rows.find(([, name]) => name === role)?.[4])
    expect(written('ids')).toEqual(encodeIds(['a']).map(({ name }) => name))
    expect(written('origin')).toEqual(
      encodeOrigin({ sources: new Uint32Array(), rows: new BigUint64Array() }).map((s) => s.name),
    )
    const writer = createPayloadPageWriter('written')
    expect(written('payload')).toEqual(writer.finish().sections.map(({ name }) => name))
    const { sections } = tombstoneBlob(new Map())
    expect(written('tombstones')).toEqual(sections.map(({ name }) => name))
  })

  it('describes every section of a role', () => {
    const named = new Set(tableOf('Roles', 'number').flatMap(([, , , , cell]) => codes(cell)))
    const own = new Set(tableOf('Sections', 'section').map(([name]) => code(name)))
    for (const name of named) {
      const heading = PAGE.includes(`### Section \`${name}\``)
      expect(own.has(name) !== heading, name).toBe(true)
    }
    expect(PAGE).toContain(`${NO_SOURCE} for a row that came from no file`)
  })
})

describe('docs/format.md: sections', () => {
  const vectors = new Float32Array(20 * 3).map((_, i) => Math.sin(i))
  const shape = { rows: 20, dimension: 3, metric: 'l2' as const, pieces: [vectors] }
  const parameters = { type: 'hnsw' as const, m: 4, efConstruction: 9 }
  const built = buildIndexSync(shape, parameters, { graphRowsMin: 1 })

  it('has the entry of the page directory', () => {
    const { written, merged } = PAYLOAD_LEVELS
    expect(PAGE).toContain(`compress pages at zstd level ${written}, merges at level ${merged} `)
    const table = byteTable('Entry of `pagedir`')
    expect(lengthOf(table)).toBe(PAGE_ENTRY_BYTES)
    const writer = createPayloadPageWriter('written')
    for (const json of ['{}', `{"a":"${'x'.repeat(PAGE_BYTES)}"}`, '{"b":1}']) writer.add(json)
    const [pages, directory] = writer.finish().sections
    const bytes = piece(directory)
    const first = readFields(table, bytes)
    const second = readFields(table, bytes.subarray(PAGE_ENTRY_BYTES))
    expect(first).toMatchObject({ firstRow: 0, rows: 2, decodedBytes: PAGE_BYTES + 18, offset: 0 })
    expect(second).toMatchObject({ firstRow: 2, rows: 1, decodedBytes: 11 })
    expect(second.offset).toBe(first.storedBytes)
    expect(Number(first.storedBytes) + Number(second.storedBytes)).toBe(pages?.bytes)
  })

  it('has the header of the codes', () => {
    const table = byteTable('Section `codes`')
    const found = readFields(table, built.codes)
    expect(found).toMatchObject({
      ...{ magic: 'AKCO', version: 1, metric: 2, free: '00', rows: 20, dimension: 3 },
      ...{ norm: 0, free2: '00'.repeat(4) },
    })
    expect(built.codes.length).toBe(lengthOf(table) + 3 * 4 + 20 * 4 + 20 * 3)
  })

  it.each([
    ['binary', 'AKCB', 257, 257 * 4 + 2 * 20 * 4 + 20 * 33],
    ['pq', 'AKCP', 67, 9 * 8 * 256 * 4 + 20 * 9],
  ] as const)('has the header of %s codes', (quantization, magic, dimension, bytes) => {
    const table = byteTable('Section `codes`')
    const pieces = [new Float32Array(20 * dimension).map((_, i) => i % 7)]
    const segment = { rows: 20, dimension, metric: 'dot' as const, pieces }
    const { codes } = buildIndexSync(segment, { ...DEFAULT_INDEX, quantization })
    expect(readFields(table, codes)).toMatchObject({ magic, version: 1, metric: 1, dimension })
    expect(codes.length).toBe(lengthOf(table) + bytes)
  })

  it('has the header of the graph', () => {
    const table = byteTable('Section `graph`')
    const graph = built.graph ?? new Uint8Array()
    expect(readFields(table, graph)).toEqual({
      ...{ magic: 'AKGR', version: 1, metric: 2, free: '00', rows: 20, dimension: 3 },
      ...{ m: 4, efConstruction: 9, bytes: graph.length - lengthOf(table), free2: '00'.repeat(8) },
    })
  })

  it('has the header and the directory of the field index', () => {
    const table = byteTable('Section `fields`')
    expect(lengthOf(table)).toBe(PREFIX_BYTES)
    const builder = createFieldIndexBuilder()
    builder.add(new Map([['a', 'x']]))
    const bytes = builder.encode()
    const { format, bytes: length, sums } = readFields(table, bytes)
    expect([format, sums]).toEqual([FIELD_INDEX_FORMAT, 1])
    const end = PREFIX_BYTES + Number(length)
    expect(end % 8).toBe(0)
    const json = Buffer.from(bytes.subarray(PREFIX_BYTES, end)).toString('utf8')
    const directory = JSON.parse(json)
    expect(Object.keys(directory)).toEqual(['rows', 'overflow', 'keys'])
    const entries = tableOf('Section `fields`', 'entry').map(([name]) => code(name))
    expect(Object.keys(directory.keys[0])).toEqual(entries)
    expect(PAGE).toContain(`more than ${KEYS_MAX} keys`)
    expect(PAGE).toContain(`over ${VALUE_BYTES_MAX.toLocaleString('en')} bytes`)
    expect(PAGE).toContain(`over ${DISTINCT_BYTES_MAX / 2 ** 20} MiB of distinct texts`)
    expect(PAGE).toContain(`each ${BLOCK_BYTES.toLocaleString('en')} bytes of the parts`)
    expect(PAGE).toContain(FIXED_SETS.map((name) => `\`${name}\``).join(', '))
  })

  it('has the header and the field entry of the text index', () => {
    const builder = createTextIndexBuilder(['body'])
    builder.add(new Map([['body', 'one two two']]))
    builder.add(new Map())
    const bytes = builder.encode()
    const header = byteTable('Section `text`')
    const entry = byteTable('Entry of a text field')
    expect([lengthOf(header), lengthOf(entry)]).toEqual([TEXT_HEADER_BYTES, TEXT_FIELD_BYTES])
    const blocks = { blocks: 0, words: 0, positionsBytes: 0, flags: 0, free: '00000000' }
    expect(readFields(header, bytes)).toEqual({
      ...{ magic: 'text', version: TEXT_VERSION, rows: 2, fields: 1, ...blocks },
      ...{ terms: 2, termsBytes: 6, tailsBytes: 2 + 4 },
    })
    expect(readFields(entry, bytes.subarray(TEXT_HEADER_BYTES))).toEqual({
      ...{ nameBytes: 4, lengthBytes: 1, tokens: 3 },
    })
    // "one": one posting, simple; "two": not simple, in the first and last field, more; count − 2.
    expect([...bytes.subarray(-8)]).toEqual([1, 1, 1, 0, 3, 0, 0, 0])
  })

  it('has the full blocks and the positions of the text index', () => {
    const builder = createTextIndexBuilder(['body'], { positions: true })
    for (let row = 0; row < BLOCK_POSTINGS + 1; row++) builder.add(new Map([['body', 'a a']]))
    const bytes = builder.encode()
    const found = readFields(byteTable('Section `text`'), bytes)
    expect(found).toMatchObject({ blocks: 1, words: 2, tailsBytes: 4, flags: TEXT_POSITIONS })
    // Places 0 and 1 of each row: 0, and 1 − 0 − 1.
    expect(found.positionsBytes).toBe(2 * (BLOCK_POSTINGS + 1))
    const words = new Uint32Array(bytes.slice(-padded(2 * 129) - 4 - 4 - 4 - 8).buffer, 0, 2)
    expect([...words]).toEqual([0 + (1 << 8), 0 + (2 << 8) + 0])
    expect(PAGE).toContain(`blocks of ${BLOCK_POSTINGS}`)
  })

  it('has the header of the sparse index', () => {
    const builder = createSparseIndexBuilder()
    builder.add({ indices: Uint32Array.of(7, 9), values: Float32Array.of(1.5, 0) })
    for (let row = 1; row < BLOCK_POSTINGS; row++) builder.add(undefined)
    for (let row = 0; row < BLOCK_POSTINGS; row++) {
      builder.add({ indices: Uint32Array.of(8), values: Float32Array.of(1) })
    }
    const table = byteTable('Section `sparse`')
    expect(lengthOf(table)).toBe(SPARSE_HEADER_BYTES)
    expect(readFields(table, builder.encode())).toEqual({
      ...{ magic: 'spar', version: SPARSE_VERSION, rows: 2 * BLOCK_POSTINGS },
      // The first step, 128, takes 8 bits: 32 words for all.
      ...{ pairs: 2 + BLOCK_POSTINGS, dimensions: 2, blocks: 1, words: 1 + 32 + BLOCK_POSTINGS },
      // One posting: its number, a step of 0, its value.
      tailsBytes: 1 + 1 + 4,
    })
  })

  it('has the record of the write-ahead log', () => {
    const table = byteTable('Write-ahead log')
    const row = { id: 'ä', vector: Float32Array.of(1, 2), payload: new Map([['n', 1]]) }
    const bytes = encodeLogEntry({ kind: 'upsert', row })
    const check = createHash('sha256').update(bytes.subarray(12)).digest('hex').slice(0, 16)
    expect(readFields(table, bytes)).toEqual({
      ...{ bytes: bytes.length - 12, check, kind: 1, idBytes: 2, payloadBytes: 7, components: 2 },
    })
    expect(bytes.length).toBe(lengthOf(table) + 2 + 7 + 8)
    expect(GROUP_RECORD_BYTES).toBe(lengthOf(table) + 16)
  })
})

describe('docs/format.md: manifests', () => {
  const fieldsOf = (column: string): [string, boolean][] =>
    tableOf('Manifest', column).map(([name, meaning]) => [
      code(name),
      meaning?.startsWith('optional') === true,
    ])
  const names = (column: string): string[] => fieldsOf(column).map(([name]) => name)

  it('has every field of a commit, a state, a segment and a source', () => {
    expect(names('commit')).toEqual(Object.keys(fullCommit()))
    expect(names('state')).toEqual(Object.keys(fullState()))
    expect(names('segment')).toEqual(Object.keys(fullState().segments[0] ?? {}))
    expect(names('source')).toEqual(Object.keys(fullState().sources[0] ?? {}))
    const acts = tableOf('Manifest', 'commit').find(([name]) => name === '`act`')
    expect(codes(acts?.[1])).toEqual([...COMMIT_ACTS])
  })

  it('says truly which fields may be absent', () => {
    const without = <T extends object>(value: T, name: string): T => {
      const copy = { ...value }
      delete (copy as Record<string, unknown>)[name]
      return copy
    }
    for (const [name, optional] of fieldsOf('commit')) {
      if (name === 'stateRoot') continue
      const open = () => decodeManifest(manifestFile({}, without(fullCommit(), name)), 'x')
      if (optional) expect(open, name).not.toThrow()
      else expect(open, name).toThrow(/damaged/)
    }
    for (const [name, optional] of fieldsOf('state')) {
      const file = manifestFile({ state: without(fullState(), name) })
      if (optional) expect(() => decodeManifest(file, 'x'), name).not.toThrow()
      else expect(() => decodeManifest(file, 'x'), name).toThrow(/damaged/)
    }
  })
})

describe('docs/format.md: envelopes', () => {
  it('has the head and the wrapping as they are written', () => {
    const folder = join(ROOT, 'fixtures', 'envelope-v1')
    const bytes = readFileSync(join(folder, 'bundle.envelope'))
    const head = byteTable('Head of an envelope')
    const wrapping = byteTable('Wrapping of an envelope')
    expect([lengthOf(head), lengthOf(wrapping)]).toEqual([HEAD_BYTES, WRAPPING_PREFIX_BYTES])
    expect(readFields(head, bytes)).toMatchObject({
      ...{ magic: ENVELOPE_MAGIC, version: ENVELOPE_VERSION, kind: 1, chunkBytes: 32 },
      ...{ free: '00000000', subject: '00'.repeat(32) },
    })
    const opening = decodeOpening(bytes.subarray(0, bytes.length - 84 - 3 * TAG_BYTES), 'x')
    const { keyId, sealed, wrapped } = opening.wrapping
    expect(readFields(wrapping, bytes.subarray(HEAD_BYTES))).toEqual({
      ...{ provider: 1, nameBytes: keyId.length, sealedBytes: sealed.length },
    })
    expect(wrapped.length).toBe(PAYLOAD_KEY_BYTES + TAG_BYTES)
    expect(PAGE).toContain(`${HEAD_BYTES} bytes.`)
    expect(PAGE).toContain(`a tag of ${TAG_BYTES}`)
  })
})

describe('docs/format.md: keys', () => {
  const patterns = tableOf('Keys of a store', 'key').map(([cell]) => patternOf(code(cell)))

  it('has one line for every key of the golden store', () => {
    const root = join(ROOT, 'fixtures', 'format-v1', 'store')
    const keys = readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    expect(keys.length).toBeGreaterThan(20)
    for (const key of keys) {
      expect(patterns.filter((pattern) => pattern.test(key)).length, key).toBe(1)
    }
  })

  it('names the file formats that the golden store has', () => {
    const root = join(ROOT, 'fixtures', 'format-v1', 'store')
    const rows = new Map(tableOf('Small files', 'file').map(([name, text]) => [name, text ?? '']))
    const store = JSON.parse(readFileSync(join(root, 'akidb.json'), 'utf8'))
    const [snapshot = ''] = globSync('collections/*/snapshots/*.json', { cwd: root })
    const label = JSON.parse(readFileSync(join(root, snapshot), 'utf8'))
    for (const name of Object.keys(store)) expect(rows.get('`akidb.json`')).toContain(name)
    expect(rows.get('`akidb.json`')).toContain(store.format)
    expect(rows.get('snapshot')).toBe(`\`{${Object.keys(label).join(', ')}}\``)
  })
})

const PLACES: Readonly<Record<string, string>> = {
  aa: '[0-9a-f]{2}',
  sha256: '[0-9a-f]{64}',
  name: '[A-Za-z0-9_][A-Za-z0-9._-]{0,127}',
  version: '\\d{20}',
  label: '[A-Za-z_][A-Za-z0-9._-]{0,62}',
  hex12: '[0-9a-f]{12}',
  batch: '(?:x\\d{3}/)*\\d{3}',
  level: '\\d+',
  pin: '[0-9a-f]{16}(?:-\\d+)?',
  digits: '\\d{20}',
  state: '.+',
}

function patternOf(key: string): RegExp {
  const source = key.replaceAll('.', '\\.').replace(/<([a-z0-9]+)>/g, (_, name: string) => {
    const place = PLACES[name]
    if (place === undefined) throw new Error(`a key has a place <${name}>`)
    return place
  })
  return new RegExp(`^${source}$`)
}
