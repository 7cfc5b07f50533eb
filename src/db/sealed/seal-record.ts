import { limits } from '../../core/limits.ts'
import {
  type Check,
  list,
  literal,
  object,
  optional,
  ShapeError,
  text,
  whole,
} from '../../core/shape.ts'
import { AkidbError } from '../../errors/errors.ts'

/** One object as it was sealed. */
export interface SealedObject {
  /** Below the target's prefix. */
  readonly key: string
  readonly versionId: string
  /** SHA-256 of its bytes, hex. */
  readonly sha256: string
  readonly bytes: number
  /** Key of the KMS that it is encrypted under. */
  readonly keyId?: string
  /** What the store computed of its parts; absent: base64 of its SHA-256. */
  readonly checksum?: string
  /** Of a blob that akidb encrypted: `sha256` and `bytes` are those of its envelope. */
  readonly envelope?: SealedEnvelope
}

/** How akidb encrypted a blob. */
export interface SealedEnvelope {
  /** Key of the key server. */
  readonly keyId: string
  /** Of the blob itself; its SHA-256 is in its key. */
  readonly bytes: number
}

/** A sealed state of a collection. */
export interface SealedCollection {
  readonly name: string
  /** Collection id, 32 hex digits. */
  readonly id: string
  readonly version: number
  /** The origin's commit time, ISO 8601 UTC. */
  readonly committedAt: string
  readonly stateRoot: string
  /** SHA-256 of the manifest's file. */
  readonly manifest: string
  /** Snapshots that name it. */
  readonly labels: readonly string[]
  /** Live rows. */
  readonly rows: number
  /** Where its blobs lie: `blobs/<domain>/`. */
  readonly domain: string
  /** Key of the key server that its blobs lie in envelopes under. */
  readonly envelopeKey?: string
  /** All that it names, itself included. */
  readonly objects: number
  readonly bytes: number
}

/** What the objects of a record are held by from then on. */
export interface SealedRetention {
  readonly mode: 'COMPLIANCE' | 'GOVERNANCE'
  /** ISO 8601 UTC. */
  readonly until: string
}

/** First line of a seal record. */
export interface SealHead {
  readonly format: typeof SEAL_FORMAT
  /** Id of the sealed store. */
  readonly target: string
  /** By the bucket's clock, ISO 8601 UTC. */
  readonly sealedAt: string
  /** Log that says so. */
  readonly logId: string
  readonly act: 'push' | 'extend' | 'hold' | 'release'
  /** Random: two acts of one second that tell the same are two records. */
  readonly actId: string
  /** Absent: nothing is locked, or nothing about it changed. */
  readonly retention?: SealedRetention
  /** Absent: nothing about it changed. */
  readonly legalHold?: boolean
  /** States whose closures are whole with these and earlier objects. */
  readonly collections: readonly SealedCollection[]
  readonly objects: number
}

/** What one act sealed or changed, as a file: the head, then a line an object, by key. */
export interface SealRecord {
  readonly head: SealHead
  readonly objects: readonly SealedObject[]
}

export const SEAL_FORMAT = 'akidb-seal/1'

const digest = text(/^[0-9a-f]{64}$/)
const instant = text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

const kesKey = text(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/)

const collectionShape: Check<SealedCollection> = object(
  {
    name: text(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/),
    id: text(/^[0-9a-f]{32}$/),
    version: whole(1),
    committedAt: instant,
    stateRoot: digest,
    manifest: digest,
    labels: list(text(/^[A-Za-z_][A-Za-z0-9._-]{0,62}$/), 10_000),
    rows: whole(),
    domain: text(/^[A-Za-z0-9_-]{1,64}$/),
    envelopeKey: optional(kesKey),
    objects: whole(),
    bytes: whole(),
  },
  true,
)
const headShape: Check<SealHead> = object(
  {
    format: literal(SEAL_FORMAT),
    target: text(/^[0-9a-f]{32}$/),
    sealedAt: instant,
    logId: digest,
    act: literal('push', 'extend', 'hold', 'release'),
    actId: text(/^[0-9a-f]{16}$/),
    retention: optional(
      object({ mode: literal('COMPLIANCE', 'GOVERNANCE'), until: instant }, true),
    ),
    legalHold: optional((value, path) => {
      if (typeof value === 'boolean') return value
      throw new ShapeError(`${path}: expected true or false`)
    }),
    collections: list(collectionShape, 100_000),
    objects: whole(0, limits.sealObjectsMax),
  },
  true,
) as Check<SealHead>
const objectShape: Check<SealedObject> = object(
  {
    key: text(/^[A-Za-z0-9._@=+/-]{1,1024}$/),
    versionId: text(/^[\x21-\x7e]{1,1024}$/),
    sha256: digest,
    bytes: whole(),
    keyId: optional(text(/^[^\p{Cc}]{1,2048}$/u)),
    checksum: optional(text(/^[A-Za-z0-9+/=-]{1,100}$/)),
    envelope: optional(object({ keyId: kesKey, bytes: whole() }, true)),
  },
  true,
)

/** The file's exact bytes. */
export function encodeSeal({ head, objects }: SealRecord): Uint8Array {
  const lines = [head, ...objects].map((line) => `${JSON.stringify(line)}\n`)
  return Buffer.from(lines.join(''))
}

/**
 * Parses a record whose digest has been checked.
 *
 * @throws INTEGRITY where it is malformed; FORMAT_VERSION for a newer one
 */
export function decodeSeal(bytes: Uint8Array, where: string): SealRecord {
  const lines = Buffer.from(bytes).toString('utf8').split('\n')
  if (lines.pop() !== '') throw malformed(where, 'its last line is cut')
  try {
    const [first = '', ...rest] = lines
    const parsed: unknown = JSON.parse(first)
    const { format } = parsed as { format?: unknown }
    if (format !== SEAL_FORMAT && typeof format === 'string') throw newer(where, format)
    const head = headShape(parsed, 'head')
    if (rest.length !== head.objects) throw malformed(where, 'it does not hold what it counts')
    const objects = rest.map((line, i) => objectShape(JSON.parse(line), `object ${i}`))
    return { head, objects }
  } catch (error) {
    if (error instanceof AkidbError) throw error
    if (error instanceof ShapeError || error instanceof SyntaxError) {
      throw malformed(where, error.message)
    }
    throw error
  }
}

/** Name of a record and of its proof: by the digest of its bytes. */
export const sealKeyOf = (sealDigest: string): string => `seals/${sealDigest}.jsonl`
export const sealProofKey = (sealDigest: string): string => `seals/${sealDigest}.proof`
/** Digest in the key of a proof; undefined for other keys. */
export const sealOfProofKey = (key: string): string | undefined =>
  /^seals\/([0-9a-f]{64})\.proof$/.exec(key)?.[1]

const malformed = (where: string, what: string): AkidbError =>
  new AkidbError('INTEGRITY', `seal ${where} is malformed: ${what}`, { details: { key: where } })

const newer = (where: string, format: string): AkidbError =>
  new AkidbError('FORMAT_VERSION', `seal ${where} has format ${format}`, {
    hint: 'Read it with a newer akidb.',
  })
