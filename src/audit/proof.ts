import { limits } from '../core/limits.ts'
import { leafHash } from '../core/merkle.ts'
import { verifyInclusion } from '../core/merkle-proofs.ts'
import { AkidbError } from '../errors/errors.ts'
import type { PublicKey } from '../trust/signer.ts'
import { openCheckpoint } from './checkpoint.ts'
import { type AuditEntry, parseEntry } from './entry.ts'

const FIRST_LINE = 'c2sp.org/tlog-proof@v1'
/** A tree of limits.auditEntriesMax leaves is not higher. */
const PATH_HASHES_MAX = Math.log2(limits.auditEntriesMax)

/** What a proof file holds. */
export interface ProofParts {
  readonly seq: number
  /** The entry's exact bytes. */
  readonly entry: Uint8Array
  /** From the leaf's sibling upwards. */
  readonly path: readonly Uint8Array[]
  /** The signed checkpoint's exact bytes. */
  readonly note: Uint8Array
}

/** What a proof proved. */
export interface ProvedEntry {
  readonly seq: number
  readonly entry: AuditEntry
  /** The entry's exact bytes. */
  readonly entryBytes: Uint8Array
  readonly origin: string
  readonly size: number
  /** Hex. */
  readonly root: string
}

/**
 * A proof file: C2SP tlog-proof, whose extra data is the entry itself.
 *
 * ```
 * c2sp.org/tlog-proof@v1
 * extra <base64 of the entry's bytes>
 * index <seq>
 * <base64 of a hash>          one line each, the leaf's sibling first
 *                             an empty line
 * <the checkpoint, verbatim>
 * ```
 */
export function encodeProof({ seq, entry, path, note }: ProofParts): Uint8Array {
  const lines = [FIRST_LINE, `extra ${base64(entry)}`, `index ${seq}`, ...path.map(base64), '', '']
  return Buffer.concat([Buffer.from(lines.join('\n'), 'utf8'), note])
}

/**
 * Parses a proof file; its bytes are the ones that encode the result.
 * @throws INTEGRITY
 */
export function parseProof(bytes: Uint8Array): ProofParts {
  const headMax = 2 * limits.auditEntryBytesMax
  if (bytes.length > headMax + limits.auditNoteBytesMax) throw badProof('it is too long')
  const split = Buffer.from(bytes).indexOf('\n\n')
  if (split < 0) throw badProof('it has no empty line before its checkpoint')
  const head = Buffer.from(bytes.subarray(0, split)).toString('latin1')
  const [first, extra = '', index = '', ...path] = head.split('\n')
  if (first !== FIRST_LINE) throw badProof(`its first line is not ${FIRST_LINE}`)
  if (!extra.startsWith('extra ')) throw badProof('it does not carry its entry')
  if (!/^index (?:0|[1-9]\d{0,15})$/.test(index)) throw badProof('its index is no count')
  if (path.length > PATH_HASHES_MAX) throw badProof('its path is too long')
  const parts = {
    seq: Number(index.slice('index '.length)),
    entry: new Uint8Array(Buffer.from(extra.slice('extra '.length), 'base64')),
    path: path.map((line) => new Uint8Array(Buffer.from(line, 'base64'))),
    note: bytes.slice(split + 2),
  }
  if (Buffer.compare(encodeProof(parts), bytes) !== 0) throw badProof('it is not written strictly')
  return parts
}

/**
 * Checks a proof file against the log keys that the caller trusts; nothing else is needed.
 * @throws INTEGRITY where the file is malformed or its path does not lead to the signed root
 * @throws SIGNATURE or UNTRUSTED where the checkpoint is not signed by one of `keys`
 */
export function verifyProof(bytes: Uint8Array, keys: readonly PublicKey[]): ProvedEntry {
  const { seq, entry: entryBytes, path, note } = parseProof(bytes)
  const { origin, size, root } = openCheckpoint(note, keys)
  const leaf = leafHash(entryBytes)
  if (!verifyInclusion({ leaf, index: seq, size, path, root })) {
    throw badProof(`entry ${seq} is not under the signed root of ${size} entries`)
  }
  const entry = parseEntry(entryBytes)
  if (typeof entry === 'string') throw badProof(`entry ${seq}: ${entry}`)
  if (entry.seq !== seq) throw badProof(`entry ${seq} says that it is entry ${entry.seq}`)
  return { seq, entry, entryBytes, origin, size, root: Buffer.from(root).toString('hex') }
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

const badProof = (why: string): AkidbError =>
  new AkidbError('INTEGRITY', `the audit proof does not check out: ${why}`, {
    hint: 'It was altered or torn; make it again with "akidb audit prove".',
  })
