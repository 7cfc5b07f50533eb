import { limits } from '../core/limits.ts'
import { list, literal, object, optional, ShapeError, text, whole } from '../core/shape.ts'
import { AkidbError } from '../errors/errors.ts'
import type { AuditPosition } from '../format/manifest.ts'
import { BUNDLE_FORMAT, KNOWN_BUNDLE_REQUIRES } from './bundle-format.ts'
import { checkHeadFiles, type HeadFile } from './head-files.ts'

/** One exported collection. */
export interface HeadCollection {
  readonly name: string
  /** Collection id, 32 hex digits. */
  readonly id: string
  readonly version: number
  /** The origin's commit time, ISO 8601 UTC. */
  readonly committedAt: string
  readonly stateRoot: string
  /** Delta: the state that the receiver must have. */
  readonly baseStateRoot?: string
  /** Live rows. */
  readonly rows: number
}

/** What is signed: everything else in the bundle follows from it. */
export interface BundleHead {
  readonly format: typeof BUNDLE_FORMAT
  readonly requires: readonly string[]
  readonly minimumReader: string
  readonly kind: 'full' | 'delta'
  readonly origin: { readonly logId: string; readonly epoch: number; readonly site?: string }
  /** Number of the export entry in the origin's log. */
  readonly sequence: number
  /** SHA-256 of the head that this origin exported before, null for the first. */
  readonly previousHead: string | null
  readonly collections: readonly HeadCollection[]
  /** The audit log before this export. */
  readonly log: AuditPosition
  readonly trustVersion: 0
  /** Site that the bundle is for. */
  readonly to?: string
  /** The complete set of blobs, and those of it that the bundle carries. */
  readonly totals: {
    readonly blobs: number
    readonly bytes: number
    readonly carriedBlobs: number
    readonly carriedBytes: number
  }
  /** A blob over this is cut into parts of this many bytes. */
  readonly partBytes: number
  readonly files: readonly HeadFile[]
}

const digest = text(/^[0-9a-f]{64}$/)
const name = text(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/)
const site = text(/^[^\p{Cc}]{1,256}$/u)

const collection = object(
  {
    name,
    id: text(/^[0-9a-f]{32}$/),
    version: whole(1),
    committedAt: text(/^\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    stateRoot: digest,
    baseStateRoot: optional(digest),
    rows: whole(),
  },
  true,
)

const file = object({
  path: text(/^[A-Za-z0-9./-]{1,100}$/),
  bytes: whole(1, limits.manifestBytesMax),
  sha256: digest,
})

const headShape = object(
  {
    format: literal(BUNDLE_FORMAT),
    requires: list(text(), 100),
    minimumReader: text(),
    kind: literal('full', 'delta'),
    origin: object({ logId: digest, epoch: whole(), site: optional(site) }, true),
    sequence: whole(),
    previousHead: (value, path) => (value === null ? null : digest(value, path)),
    collections: list(collection, 1_000),
    log: object({ logId: digest, size: whole(), root: digest }),
    trustVersion: whole(0, 0),
    to: optional(site),
    totals: object({
      blobs: whole(0, limits.bundleBlobsMax),
      bytes: whole(),
      carriedBlobs: whole(0, limits.bundleBlobsMax),
      carriedBytes: whole(),
    }),
    partBytes: whole(512, limits.bundlePartBytesMax),
    files: list(file, 1_000),
  },
  true,
)

/**
 * The exact bytes that are signed: one line of JSON and a line end.
 *
 * @throws LIMIT over limits.headBytesMax
 */
export function encodeHead(head: BundleHead): Uint8Array {
  const bytes = Buffer.from(`${JSON.stringify(head)}\n`)
  if (bytes.byteLength > limits.headBytesMax) {
    throw new AkidbError(
      'LIMIT',
      `a bundle head of ${bytes.byteLength} bytes is over headBytesMax`,
      {
        hint: 'Export fewer collections into one bundle.',
      },
    )
  }
  return bytes
}

/**
 * Reads a head whose signature holds, or one that is only shown and never believed.
 *
 * @throws FORMAT_VERSION for a newer format, naming what is missing; INTEGRITY where it is not a
 *   head
 */
export function decodeHead(bytes: Uint8Array): BundleHead {
  const value = parse(bytes)
  checkVersion(value)
  try {
    const head = headShape(value, 'head') as BundleHead
    checkConsistency(head)
    checkHeadFiles(head)
    return head
  } catch (error) {
    throw error instanceof ShapeError ? broken(error.message) : error
  }
}

/** One encoding alone is taken: no spaces, no key twice, no other spelling of a text. */
function parse(bytes: Uint8Array): unknown {
  if (bytes.byteLength > limits.headBytesMax) throw broken('it is over headBytesMax')
  let source: string
  let value: unknown
  try {
    source = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    value = JSON.parse(source)
  } catch {
    throw broken('it is not JSON')
  }
  if (`${JSON.stringify(value)}\n` !== source) throw broken('it is not in its one encoding')
  return value
}

function checkVersion(value: unknown): void {
  if (typeof value !== 'object' || value === null) throw broken('it is not an object')
  const { format, requires, minimumReader } = value as Record<string, unknown>
  if (typeof format !== 'string' || !/^akidb-bundle\/\d+$/.test(format)) {
    throw broken('it has no format')
  }
  const unknown = Array.isArray(requires)
    ? requires.filter((feature) => !KNOWN_BUNDLE_REQUIRES.includes(String(feature)))
    : []
  if (format === BUNDLE_FORMAT && unknown.length === 0) return
  const what = format === BUNDLE_FORMAT ? unknown.join(', ') : format
  throw new AkidbError('FORMAT_VERSION', `the bundle requires ${what}`, {
    hint: `Read it with akidb ${String(minimumReader ?? 'of a newer version')} or newer.`,
    details: { format, requires: unknown },
  })
}

function checkConsistency(head: BundleHead): void {
  const { totals } = head
  if (totals.carriedBlobs > totals.blobs || totals.carriedBytes > totals.bytes) {
    throw broken('it carries more than it names')
  }
  const bases = head.collections.filter((item) => item.baseStateRoot !== undefined).length
  // Which blobs a full bundle may leave out is checked where their roles are known.
  if (head.kind === 'full' && bases > 0) throw broken('a full bundle has no base')
  if (head.kind === 'delta' && bases === 0) throw broken('a delta has a base')
  const names = new Set(head.collections.map((item) => item.name.toLowerCase()))
  if (names.size !== head.collections.length) throw broken('it names a collection twice')
}

const broken = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `the bundle's head is broken: ${what}`, {
    hint: 'Carry the bundle over again, or ask its sender.',
  })
