import { limits } from '../../src/core/limits.ts'
import { section } from '../../src/format/blob.ts'
import { encodeIds } from '../../src/format/ids-section.ts'
import type { CollectionState, SegmentEntry } from '../../src/format/manifest.ts'
import { createPayloadPageWriter } from '../../src/format/payload-section.ts'
import { type Tombstones, tombstoneBlob } from '../../src/format/tombstones.ts'
import { bytesOf } from '../../src/format/views.ts'
import { createFieldIndexBuilder } from '../../src/search/field-index-builder.ts'
import { TEXT_FIELD_BYTES, TEXT_HEADER_BYTES } from '../../src/search/text-index-layout.ts'
import type { Liar, Truth } from './lying-site.ts'

/** Where a text index says how many tokens its first field has. */
const TOKENS_AT = TEXT_HEADER_BYTES + TEXT_FIELD_BYTES - 8

/** Rows of the collection that is lied about. */
export const ROWS = 40

/** The first segment with these fields instead. */
export const segment =
  (change: (entry: SegmentEntry, truth: Truth) => Partial<SegmentEntry>): Liar =>
  (truth) => ({
    state: {
      ...truth.state,
      segments: [{ ...truth.segment, ...change(truth.segment, truth) }],
    },
  })

/** The state with these fields instead. */
export const state =
  (change: (state: CollectionState) => Partial<CollectionState>): Liar =>
  (truth) => ({ state: { ...truth.state, ...change(truth.state) } })

type Sections = Readonly<Record<string, Uint8Array | undefined>>

/** The blob of a role with other sections. */
const blob =
  (
    role: Parameters<Truth['with']>[0],
    change: (truth: Truth) => Sections | Promise<Sections>,
  ): Liar =>
  async (truth) => ({
    state: { ...truth.state, segments: [await truth.with(role, await change(truth))] },
  })

/** A whole copy of a section, changed. */
export async function changed(
  truth: Truth,
  name: string,
  change: (bytes: Buffer) => void,
): Promise<Uint8Array> {
  const bytes = Buffer.from(await truth.section(name))
  change(bytes)
  return bytes
}

/** Tombstones as they are, or with the rows of their blob overwritten. */
const dead =
  (tombstones: Tombstones, count: number, rows?: readonly number[]): Liar =>
  async (truth) => {
    const input = tombstoneBlob(tombstones)
    const sections = input.sections.map((item) =>
      item.name === 'rows' && rows !== undefined
        ? section('rows', bytesOf(Uint32Array.from(rows)))
        : item,
    )
    const ref = await truth.blob({ ...input, sections })
    const entry = { ...truth.segment, tombstones: { ...ref, count } }
    return { state: { ...truth.state, segments: [entry] } }
  }

/** The list of sources moves to a blob. */
const sourcesBlob =
  (json: (state: CollectionState) => string): Liar =>
  async ({ state: honest, blob: make }) => {
    const sections = [section('json', Buffer.from(json(honest)))]
    const ref = await make({ role: 'sources', records: 1, dimension: 0, sections })
    return { state: { ...honest, sources: [], sourcesBlob: ref } }
  }

const payload = (change: (texts: string[]) => void): Liar =>
  blob('payload', () => {
    const texts = Array.from({ length: ROWS }, (_, n) => {
      return `{"n":${n},"tag":"${n % 2 ? 'odd' : 'even'}"}`
    })
    change(texts)
    const writer = createPayloadPageWriter('written')
    for (const text of texts) writer.add(text)
    const { sections } = writer.finish()
    return Object.fromEntries(
      sections.map(({ name, pieces }) => [name, Buffer.concat([...pieces])]),
    )
  })

const without = (role: Parameters<Truth['with']>[0], name: string): [string, Liar, RegExp] => [
  `no section ${name}`,
  blob(role, () => ({ [name]: undefined })),
  /./,
]

/** What the shape of line 2 does not allow: found while the bundle is verified. */
export const MISSHAPEN: readonly [string, Liar, RegExp][] = [
  ['no rows', segment(() => ({ rows: 0 })), /rows: expected a whole number from 1/],
  ['half a row', segment(() => ({ rows: 1.5 })), /rows: expected/],
  ['too many rows', segment(() => ({ rows: limits.segmentRowsMax + 1 })), /rows: expected/],
  [
    'a key used twice',
    state(({ segments }) => ({ segments: [...segments, ...segments] })),
    /key 0 is not one of its own/,
  ],
  ['a key to come', state(() => ({ nextSegment: 0 })), /key 0 is not one of its own/],
  ['a source to come', state(() => ({ nextSource: 0 })), /names a source to come/],
  [
    'sources out of order',
    state(({ sources }) => ({ sources: [...sources, ...sources], nextSource: 9 })),
    /source 0 is out of order/,
  ],
  [
    'a role twice',
    segment(({ blobs }) => ({ blobs: [...blobs.slice(0, 1), ...blobs.slice(0, 1)] })),
    /blobs that do not belong together/,
  ],
  ['more dead rows than rows', dead(new Map([[0, Uint32Array.of(1)]]), 41), /more dead rows/],
  ['a dimension of none', state(({ schema }) => dimension(schema, 0)), /dimension: expected/],
  [
    'another spelling',
    ({ state: honest }) => ({ state: `${JSON.stringify(honest)} ` }),
    /not compact JSON/,
  ],
  [
    'a key of JSON that stands twice',
    ({ state: honest }) => ({
      state: JSON.stringify(honest).replace('"nextSegment"', '"nextSegment":9,"nextSegment"'),
    }),
    /not compact JSON/,
  ],
]

const dimension = (
  schema: CollectionState['schema'],
  to: number,
): Pick<CollectionState, 'schema'> => ({
  schema: { ...schema, vectors: { '': { kind: 'dense', dimension: to, metric: 'cosine' } } },
})

/** What only the blobs can tell: found before anything is published. */
export const MISFITTING: readonly [string, Liar, RegExp][] = [
  ['that it was dropped', state(() => ({ dropped: true })), /dropped collection/],
  ['a row fewer', segment(({ rows }) => ({ rows: rows - 1 })), /id table .* wrong lengths/],
  ['a row more', segment(({ rows }) => ({ rows: rows + 1 })), /id table .* wrong lengths/],
  ['other live rows in its head', ({ state: s }) => ({ state: s, head: { rows: 41 } }), /40 live/],
  [
    'the same rows in two segments',
    ({ state: s, segment: entry }) => ({
      state: { ...s, segments: [entry, { ...entry, key: 1 }], nextSegment: 2 },
      head: { rows: 2 * ROWS },
    }),
    /alive in two segments/,
  ],
  [
    'an id twice',
    blob('ids', () => {
      const ids = Array.from({ length: ROWS }, (_, n) => `r${n === 7 ? 8 : n}`)
      return Object.fromEntries(
        encodeIds(ids).map(({ name, pieces }) => [name, Buffer.concat([...pieces])]),
      )
    }),
    /alive twice/,
  ],
  [
    'ids out of order',
    blob('ids', async (truth) => ({
      idsort: await changed(truth, 'idsort', (bytes) => bytes.reverse()),
    })),
    /id table/,
  ],
  ['dead rows of another segment', dead(new Map([[1, Uint32Array.of(1)]]), 1), /does not fit/],
  ['fewer dead rows', dead(new Map([[0, Uint32Array.of(1, 2)]]), 1), /does not fit segment 0/],
  ['more dead rows', dead(new Map([[0, Uint32Array.of(1, 2)]]), 3), /does not fit segment 0/],
  ['a dead row beyond the end', dead(new Map([[0, Uint32Array.of(40)]]), 1), /does not fit/],
  [
    'dead rows that go back',
    dead(new Map([[0, Uint32Array.of(1, 2)]]), 2, [2, 1]),
    /does not fit segment 0/,
  ],
  ['another dimension', state(({ schema }) => dimension(schema, 8)), /vectors of another length/],
  [
    'another metric',
    state(({ schema }) => ({
      schema: { ...schema, vectors: { '': { kind: 'dense', dimension: 4, metric: 'l2' } } },
    })),
    /codes do not fit/,
  ],
  [
    'a vector that is no number',
    blob('vectors', async (truth) => ({
      vec: await changed(truth, 'vec', (bytes) => bytes.writeFloatLE(Number.NaN, 80)),
    })),
    /row 5/,
  ],
  [
    'an infinite vector',
    blob('vectors', async (truth) => ({
      vec: await changed(truth, 'vec', (bytes) => bytes.writeFloatLE(-Infinity, 16)),
    })),
    /row 1/,
  ],
  [
    'codes of other rows',
    blob('codes', async (truth) => ({
      codes: await changed(truth, 'codes', (bytes) => bytes.writeUInt32LE(39, 8)),
    })),
    /another number of rows/,
  ],
  [
    'a graph that is none',
    async (truth) => {
      const sections = [section('graph', Buffer.alloc(64))]
      const ref = await truth.blob({ role: 'graph', records: ROWS, dimension: 4, sections })
      return segment(({ blobs }) => ({ blobs: [...blobs, ref] }))(truth)
    },
    /graph/,
  ],
  ['no blobs', segment(() => ({ blobs: [] })), /no blob of role/],
  [
    'the role of a blob',
    async (truth) => {
      const [first, ...others] = truth.segment.blobs
      const role = first?.role ?? 'pack'
      const sections = [section('x', Buffer.alloc(8))]
      const ref = await truth.blob({ role: 'origin', records: ROWS, dimension: 4, sections })
      return segment(() => ({ blobs: [{ ...ref, role }, ...others] }))(truth)
    },
    /its role is origin/,
  ],
  [
    'a row of no source',
    blob('origin', async (truth) => ({
      orgsrc: await changed(truth, 'orgsrc', (bytes) => bytes.writeUInt32LE(1, 4)),
    })),
    /comes from source 1 of 1/,
  ],
  ['a source that is not listed', state(() => ({ sources: [] })), /names source 0/],
  ['older sources that are none', sourcesBlob(() => 'none'), /older sources/],
  [
    'older sources that stand twice',
    sourcesBlob(({ sources }) => JSON.stringify([...sources, ...sources])),
    /source 0 is out of order/,
  ],
  [
    'other payload bytes',
    segment((e) => ({ payloadBytes: e.payloadBytes + 1 })),
    /of payload, not/,
  ],
  ['a payload that is a list', payload((texts) => texts.splice(39, 1, '[]')), /no.* JSON object/],
  ['a payload that is no JSON', payload((texts) => texts.splice(39, 1, '{"n":')), /JSON object/],
  [
    'a payload page of another length',
    blob('payload', async (truth) => ({
      pagedir: await changed(truth, 'pagedir', (bytes) => bytes.writeUInt32LE(7, 8)),
    })),
    /payload pages/,
  ],
  [
    'field indexes of other rows',
    blob('fields', () => {
      const builder = createFieldIndexBuilder()
      for (let n = 0; n <= ROWS; n++) builder.add(new Map([['n', n]]))
      return { fields: builder.encode() }
    }),
    /field index/,
  ],
  [
    'text of other rows',
    blob('text', async (truth) => ({
      text: await changed(truth, 'text', (bytes) => bytes.writeUInt32LE(41, 8)),
    })),
    /text index .* number of rows/,
  ],
  [
    'other text statistics',
    blob('text', async (truth) => ({
      text: await changed(truth, 'text', (bytes) => bytes.writeBigUInt64LE(41n, TOKENS_AT)),
    })),
    /lengths are not those of its tokens/,
  ],
  [
    'text of a field that it lacks',
    state(({ schema }) => ({ schema: { ...schema, text: { ...schema.text, fields: ['other'] } } })),
    /text index of 1 fields/,
  ],
  without('ids', 'idoff'),
  without('ids', 'idbytes'),
  without('ids', 'idsort'),
  without('origin', 'orgsrc'),
  without('origin', 'orgrow'),
  without('fields', 'fields'),
  without('text', 'text'),
  without('payload', 'pages'),
  without('payload', 'pagedir'),
  without('vectors', 'vec'),
]
