import { createHash } from 'node:crypto'
import { limits } from '../../src/core/limits.ts'
import { chunkBytesOf } from '../../src/format/blob.ts'
import type { BlobRef, BlobRole, CollectionState, Commit } from '../../src/format/manifest.ts'
import { encodeManifest, encodeState } from '../../src/format/manifest-codec.ts'

const hex = (digit: string): string => digit.repeat(64)

export const refOf = (role: BlobRole): BlobRef => ({
  digest: hex('a'),
  bytes: 64 + 32 + 32,
  chunkBytes: chunkBytesOf(role),
  chunkRoot: hex('b'),
  role,
})

/** A commit with every field that there is. */
export const fullCommit = (): Commit => ({
  format: 'akidb-manifest/1',
  collection: 'c'.repeat(32),
  name: 'docs',
  version: 3,
  parent: hex('d'),
  epoch: 2,
  committedAt: '2026-01-02T03:04:05.678Z',
  act: 'ingest',
  actId: 'e'.repeat(16),
  actor: 'aki@host',
  audit: { logId: hex('f'), size: 9, root: hex('0') },
  origin: {
    headDigest: hex('1'),
    logId: hex('2'),
    epoch: 0,
    sequence: 7,
    committedAt: '2026-01-01T00:00:00.000Z',
    keyId: hex('3'),
    diverged: true,
  },
  log: { epoch: 2, folded: 10, seen: 20 },
  changed: { inserted: 1, updated: 2, deleted: 3 },
  stateRoot: hex('4'),
})

/** A state with every field that there is. */
export const fullState = (): CollectionState => ({
  format: 'akidb-state/1',
  requires: [],
  uses: ['something@9.0.0'],
  dropped: true,
  schema: {
    vectors: { '': { kind: 'dense', dimension: 4, metric: 'cosine' } },
    fields: { lang: 'string' },
    text: { fields: ['text'], tokenizer: 'plain/1' },
  },
  index: { type: 'hnsw', m: 16, efConstruction: 200 },
  nextSegment: 5,
  nextSource: 3,
  segments: [
    {
      key: 4,
      rows: 10,
      blobs: [refOf('pack')],
      tombstones: { ...refOf('tombstones'), count: 10 },
      sources: [0, 2],
      payloadBytes: limits.segmentBytesMax,
    },
  ],
  sources: [
    { ordinal: 2, name: 'a.csv', sha256: hex('5'), options: hex('6'), rows: 1, rejected: 0 },
  ],
  sourcesBlob: refOf('sources'),
})

export interface ManifestParts {
  readonly state?: unknown
  /** Instead of the state's JSON. */
  readonly line2?: string
}

/** The file of a commit and a state that fit each other, however odd they are. */
export function manifestFile(parts: ManifestParts = {}, commit: object = fullCommit()): Buffer {
  const state = (parts.state ?? fullState()) as CollectionState
  const encoded = encodeState(state)
  const bytes = parts.line2 === undefined ? encoded.bytes : Buffer.from(parts.line2)
  const { stateRoot } =
    parts.line2 === undefined
      ? encoded
      : { stateRoot: createHash('sha256').update(bytes).digest('hex') }
  return Buffer.from(encodeManifest({ ...(commit as Commit), stateRoot }, bytes))
}
