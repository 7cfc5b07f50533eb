import { limits } from '../core/limits.ts'
import { AkidbError, hasCode } from '../errors/errors.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { encodePublicKey, parsePublicKey } from '../trust/public-key-file.ts'
import type { PublicKey } from '../trust/signer.ts'
import { readBounded } from './bounded-read.ts'
import { openCheckpoint } from './checkpoint.ts'
import type { AuditKeys } from './layout.ts'
import type { NamedPosition } from './log.ts'
import type { ProblemList } from './problems.ts'

/** A checkpoint from elsewhere: a bundle, a receiver, a printout. */
export interface ForeignCheckpoint {
  /** The signed note's exact bytes. */
  readonly note: Uint8Array
  /** Where it comes from, for messages. */
  readonly where: string
}

/** What the checkpoints and the key file of a log say. */
export interface SignedClaims {
  readonly claims: readonly NamedPosition[]
  /** Keys that the log's checkpoints and proofs are checked with. */
  readonly keys: readonly PublicKey[]
}

/** Reads and checks everything signed: `checkpoint`, anchored ones, those handed in. */
export async function readSignedClaims(request: {
  readonly store: ObjectStore
  readonly auditKeys: AuditKeys
  readonly logId: string | undefined
  readonly trusted: readonly PublicKey[]
  readonly foreign: readonly ForeignCheckpoint[]
  readonly problems: ProblemList
}): Promise<SignedClaims> {
  const { store, auditKeys, trusted, foreign, problems } = request
  const own = await readOwnKey(request)
  const logId = request.logId ?? own?.keyId
  const known = trusted.filter(({ keyId }) => logId === undefined || keyId === logId)
  const untrusted = known.length === 0 && own !== undefined
  const keys = untrusted ? [own] : known
  const notes = [...foreign]
  for await (const key of noteKeys(store, auditKeys)) {
    const note = await readBounded(store, key, limits.auditNoteBytesMax)
    if (note === 'too long') problems.add('ALTERED', null, `${key} is too long for a checkpoint`)
    else if (note !== undefined) notes.push({ note, where: key })
  }
  const claims = notes.flatMap((note) => openClaim(note, keys, problems) ?? [])
  if (untrusted && claims.length > 0) {
    problems.add('UNTRUSTED', null, `the log's own key ${own.keyId} is not trusted`)
  }
  return { claims, keys }
}

async function* noteKeys(store: ObjectStore, keys: AuditKeys): AsyncGenerator<string> {
  yield keys.checkpoint
  for await (const { key } of store.list(keys.anchors)) yield key
}

function openClaim(
  { note, where }: ForeignCheckpoint,
  keys: readonly PublicKey[],
  problems: ProblemList,
): NamedPosition | undefined {
  try {
    const { size, root } = openCheckpoint(note, keys)
    return { size, root: Buffer.from(root).toString('hex'), where }
  } catch (error) {
    if (!(error instanceof AkidbError)) throw error
    const code = hasCode(error, 'UNTRUSTED') ? 'UNTRUSTED' : 'ALTERED'
    problems.add(code, null, `${where}: ${error.message}`)
    return undefined
  }
}

/**
 * The key in key.pem. It proves nothing by itself, but it must be the one that the log is named by.
 */
async function readOwnKey(request: {
  readonly store: ObjectStore
  readonly auditKeys: AuditKeys
  readonly logId: string | undefined
  readonly problems: ProblemList
}): Promise<PublicKey | undefined> {
  const { store, auditKeys, logId, problems } = request
  const path = auditKeys.publicKey
  const bytes = await readBounded(store, path, limits.auditKeyBytesMax)
  if (bytes === undefined) return undefined
  const key = bytes === 'too long' ? undefined : parseOwnKey(bytes, path)
  if (key !== undefined && (logId === undefined || key.keyId === logId)) return key
  problems.add('ALTERED', null, `${path} is not the key that the log is named by`)
  return undefined
}

function parseOwnKey(bytes: Uint8Array, where: string): PublicKey | undefined {
  try {
    const key = parsePublicKey(bytes, where)
    // The log wrote it in one form; any other byte is not the log's.
    return Buffer.from(encodePublicKey(key), 'utf8').compare(bytes) === 0 ? key : undefined
  } catch (error) {
    if (hasCode(error, 'BAD_INPUT')) return undefined
    throw error
  }
}
