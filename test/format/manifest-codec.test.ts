import { describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { ShapeError } from '../../src/core/shape.ts'
import type { AkidbError } from '../../src/errors/errors.ts'
import type { CollectionState } from '../../src/format/manifest.ts'
import {
  decodeManifest,
  decodeState,
  encodeManifest,
  encodeState,
} from '../../src/format/manifest-codec.ts'
import { olderSourcesShape } from '../../src/format/manifest-shape.ts'
import { codeOf, flipped } from './expect-code.ts'
import { fullCommit, fullState, manifestFile, refOf } from './sample-manifest.ts'

const decode = (file: Uint8Array) => decodeManifest(file, 'some/key.json')
const stateCode = (json: string) => codeOf(() => decodeState(Buffer.from(json), 'x'))
const json = (change: object = {}): string => JSON.stringify({ ...fullState(), ...change })
const changed = (change: object): string | undefined => stateCode(json(change))

describe('a manifest', () => {
  it('comes back as it went in, with the exact bytes of its state', () => {
    const { bytes, stateRoot } = encodeState(fullState())
    const file = encodeManifest({ ...fullCommit(), stateRoot }, bytes)
    const { commit, state, stateBytes, digest } = decode(file)
    expect(commit).toEqual({ ...fullCommit(), stateRoot })
    expect(JSON.stringify(state)).toBe(JSON.stringify(fullState()))
    expect(Buffer.compare(stateBytes, bytes)).toBe(0)
    expect(digest).toMatch(/^[0-9a-f]{64}$/)
    expect(Buffer.from(file).toString()).toBe(
      `${JSON.stringify(commit)}\n${JSON.stringify(state)}\n`,
    )
  })

  it('keeps unknown features that it only uses, and unknown fields', () => {
    const state = { ...fullState(), uses: ['x@1'], later: { deep: [1, null] } }
    const commit = { ...fullCommit(), later: 'yes' }
    const read = decode(manifestFile({ state }, commit))
    expect(read.state).toMatchObject({ uses: ['x@1'], later: { deep: [1, null] } })
    expect(read.commit).toMatchObject({ later: 'yes' })
    expect(encodeState(read.state).stateRoot).toBe(read.commit.stateRoot)
  })

  it('keeps fields that are named like parts of the language', () => {
    const text = '{"format":"akidb-state/1","requires":[],"uses":[],"schema":{"vectors":{},'
      .concat('"fields":{"__proto__":"string","constructor":"integer"},')
      .concat('"text":{"fields":[],"tokenizer":"plain/1"}},')
      .concat('"index":{"type":"flat","m":16,"efConstruction":200},"nextSegment":0,')
      .concat('"nextSource":0,"segments":[],"sources":[],"__proto__":{"a":1}}')
    const { fields } = decodeState(Buffer.from(text), 'x').schema
    expect(Object.entries(fields)).toEqual([
      ['__proto__', 'string'],
      ['constructor', 'integer'],
    ])
    expect(({} as { a?: number }).a).toBeUndefined()
  })

  it('of another format or with an unknown requirement is FORMAT_VERSION before all else', () => {
    expect(stateCode('{"format":"akidb-state/2","x":1}')).toBe('FORMAT_VERSION')
    expect(changed({ format: 'akidb-state/2', segments: 'elsewhere' })).toBe('FORMAT_VERSION')
    expect(changed({ requires: ['sparse@0.4.0'], segments: [{}] })).toBe('FORMAT_VERSION')
    const line1 = { ...fullCommit(), format: 'akidb-manifest/2', act: 'merge-trees' }
    expect(codeOf(() => decode(manifestFile({}, line1)))).toBe('FORMAT_VERSION')
    try {
      decodeState(Buffer.from(json({ requires: ['sparse@0.4.0', 'other'] })), 'docs')
      expect.unreachable()
    } catch (error) {
      expect((error as AkidbError).message).toBe('docs requires sparse (akidb 0.4.0), other')
      expect((error as AkidbError).details).toEqual({ requires: ['sparse@0.4.0', 'other'] })
    }
  })

  it('of no such format at all is INTEGRITY', () => {
    for (const format of ['', 'akidb-manifest/1', 'something/2', 7, null]) {
      expect(changed({ format })).toBe('INTEGRITY')
    }
    for (const requires of ['a', [1], { a: 1 }, null])
      expect(changed({ requires })).toBe('INTEGRITY')
    expect(changed({ requires: Array(101).fill('') })).toBe('FORMAT_VERSION')
  })
})

describe('a damaged manifest', () => {
  const file = manifestFile()

  it('is INTEGRITY cut anywhere, and never another state with any bit turned', () => {
    for (let length = 0; length < file.length; length++) {
      expect(codeOf(() => decode(file.subarray(0, length)))).toBe('INTEGRITY')
    }
    const line2 = file.indexOf(0x0a) + 1
    for (let at = 0; at < file.length; at++) {
      for (const bit of [0, 3, 7]) {
        const code = codeOf(() => decode(flipped(file, at, bit)))
        if (at >= line2) expect(code, `byte ${at}`).toBe('INTEGRITY')
        else expect([undefined, 'INTEGRITY', 'FORMAT_VERSION']).toContain(code)
      }
    }
  })

  it('is INTEGRITY with one line, three, or other line ends', () => {
    const [line1 = '', line2 = ''] = file.toString().split('\n')
    for (const text of [
      line1,
      `${line1}\n`,
      `${line1}\n\n`,
      `${line1}\n${line2}`,
      `${line1}\n${line2}\n\n`,
      `${line1}\n${line2}\n{}\n`,
      `\n${line1}\n${line2}\n`,
      `${line1}\r\n${line2}\r\n`,
      ` ${line1}\n${line2}\n`,
      `\ufeff${line1}\n${line2}\n`,
      '',
      '\n',
      '\n\n',
    ]) {
      expect(
        codeOf(() => decode(Buffer.from(text))),
        JSON.stringify(text.slice(0, 20)),
      ).toBe('INTEGRITY')
    }
  })

  it('has one encoding: no spaces, no key twice, no number in another form', () => {
    const plain = json()
    expect(stateCode(plain)).toBeUndefined()
    for (const other of [
      plain.replace('{"format"', '{ "format"'),
      plain.replace('{"format"', '{"nextSegment":9,"format"'),
      plain.replace('"nextSegment":5', '"nextSegment":5.0'),
      plain.replace('"nextSegment":5', '"nextSegment":5e0'),
      plain.replace('"something@9.0.0"', '"\\u0073omething@9.0.0"'),
      `${plain} `,
    ]) {
      expect(other).not.toBe(plain)
      expect(stateCode(other)).toBe('INTEGRITY')
    }
  })

  it('is INTEGRITY where it is no JSON, no object, or not UTF-8', () => {
    for (const text of ['', '{', 'null', '[]', '"x"', '7', '[[[[', '{"format":'.repeat(2_000)]) {
      expect(stateCode(text)).toBe('INTEGRITY')
    }
    expect(stateCode('['.repeat(1_000_000))).toBe('INTEGRITY')
    const latin = Buffer.from(json({ uses: ['é'] }), 'latin1')
    expect(codeOf(() => decodeState(latin, 'x'))).toBe('INTEGRITY')
  })

  it('is refused over the largest size, read or written', () => {
    const huge = Buffer.alloc(limits.manifestBytesMax + 1, 0x20)
    huge[100] = 0x0a
    huge[huge.length - 1] = 0x0a
    expect(codeOf(() => decode(huge))).toBe('INTEGRITY')
    const line = new Uint8Array(limits.manifestBytesMax)
    expect(codeOf(() => encodeManifest(fullCommit(), line))).toBe('LIMIT')
  })

  it.each([
    ['an index of too many links', { index: { type: 'hnsw', m: 65, efConstruction: 200 } }],
    ['fewer candidates than links', { index: { type: 'hnsw', m: 64, efConstruction: 63 } }],
    ['no index', { index: undefined }],
    ['a negative count', { nextSegment: -1 }],
    ['a fraction', { nextSource: 1.5 }],
    ['text for a number', { nextSource: '3' }],
    ['false for dropped', { dropped: false }],
    ['too wide vectors', { schema: { ...fullState().schema, vectors: { '': vector(16_385) } } }],
    ['no dimension', { schema: { ...fullState().schema, vectors: { '': vector(0) } } }],
    ['an unknown field type', { schema: { ...fullState().schema, fields: { a: 'date' } } }],
  ])('is INTEGRITY with %s', (_, change) => {
    expect(changed(change)).toBe('INTEGRITY')
  })
})

const vector = (dimension: number): object => ({ kind: 'dense', dimension, metric: 'l2' })

describe('segments and sources', () => {
  const [segment] = fullState().segments as [CollectionState['segments'][number]]
  const [source] = fullState().sources as [CollectionState['sources'][number]]
  const withSegment = (change: object) => changed({ segments: [{ ...segment, ...change }] })

  it('are taken as they are', () => {
    expect(changed({})).toBeUndefined()
    expect(withSegment({ tombstones: undefined })).toBeUndefined()
    expect(withSegment({ rows: limits.segmentRowsMax })).toBeUndefined()
    const split = (['ids', 'vectors', 'codes', 'payload', 'origin', 'fields'] as const).map(refOf)
    expect(withSegment({ blobs: split })).toBeUndefined()
  })

  it.each([
    ['a key to come', { key: 5 }],
    ['no rows', { rows: 0 }],
    ['too many rows', { rows: limits.segmentRowsMax + 1 }],
    ['an unknown field', { colour: 'red' }],
    ['a role twice', { blobs: [refOf('ids'), refOf('ids')] }],
    ['a blob of tombstones among its own', { blobs: [refOf('tombstones')] }],
    ['a blob of sources among its own', { blobs: [refOf('sources')] }],
    ['tombstones of another role', { tombstones: { ...refOf('ids'), count: 1 } }],
    ['tombstones of no rows', { tombstones: { ...refOf('tombstones'), count: 0 } }],
    ['more dead rows than rows', { tombstones: { ...refOf('tombstones'), count: 11 } }],
    ['a source to come', { sources: [3] }],
    ['another chunk size', { blobs: [{ ...refOf('pack'), chunkBytes: 65_536 }] }],
    ['a blob that is too short for one', { blobs: [{ ...refOf('pack'), bytes: 127 }] }],
    ['a digest in capitals', { blobs: [{ ...refOf('pack'), digest: 'A'.repeat(64) }] }],
    ['an unknown role', { blobs: [{ ...refOf('pack'), role: 'colours' }] }],
  ])('are INTEGRITY with %s', (_, change) => {
    expect(withSegment(change)).toBe('INTEGRITY')
  })

  it('have keys and ordinals of their own', () => {
    expect(changed({ segments: [segment, segment] })).toBe('INTEGRITY')
    expect(changed({ segments: [segment, { ...segment, key: 1 }] })).toBeUndefined()
    const sources = (...ordinals: number[]) =>
      changed({ sources: ordinals.map((ordinal) => ({ ...source, ordinal })) })
    expect(sources(0, 2)).toBeUndefined()
    expect(sources(2, 0)).toBe('INTEGRITY')
    expect(sources(1, 1)).toBe('INTEGRITY')
    expect(sources(3)).toBe('INTEGRITY')
    expect(changed({ sourcesBlob: refOf('ids') })).toBe('INTEGRITY')
  })

  it('that have moved to a blob are looked at as closely', () => {
    expect(olderSourcesShape([source, source], 'x')).toEqual([source, source])
    for (const other of [{}, [7], [{ ...source, sha256: 'x' }], [{ ...source, more: 1 }]]) {
      expect(() => olderSourcesShape(other, 'x')).toThrow(ShapeError)
    }
  })

  it('are at most as many as their limits', () => {
    const sources = (count: number) => ({
      nextSource: count,
      sources: Array.from({ length: count }, (_, ordinal) => ({ ...source, ordinal })),
    })
    expect(changed(sources(limits.manifestSourcesMax))).toBeUndefined()
    expect(changed(sources(limits.manifestSourcesMax + 1))).toBe('INTEGRITY')
    const segments = (count: number) => ({
      nextSegment: count,
      segments: Array.from({ length: count }, (_, key) => ({ ...segment, key })),
    })
    expect(changed(segments(limits.segmentsMax))).toBeUndefined()
    expect(changed(segments(limits.segmentsMax + 1))).toBe('INTEGRITY')
  })
})
