import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { AuditEntry } from '../../audit/entry.ts'
import { certificateKey } from '../../audit/layout.ts'
import { verifyProof } from '../../audit/proof.ts'
import { type AuditVerification, verifyAuditLog } from '../../audit/verify.ts'
import { isSha256Hex, sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import { withFsErrors } from '../../storage/fs-errors.ts'
import { openFsStore } from '../../storage/fs-store.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { isCertifiedLogKey } from '../../trust/log-key.ts'
import { parsePublicKey } from '../../trust/public-key-file.ts'
import type { PublicKey } from '../../trust/signer.ts'
import type { OnProgress } from '../api/api.ts'
import { readKeyFiles } from './key-ops.ts'
import { namedLogIds, namedPositions, openEnvironment } from './open-environment.ts'
import { type KeysOf, stateFolderFor } from './state-folder.ts'
import { openKeys } from './state-keys.ts'
import type { StoreRequest } from './store-request.ts'

/** Which entries to read; absent members do not narrow. */
export interface AuditLogRequest extends StoreRequest {
  /** Milliseconds since 1970, inclusive. */
  readonly sinceMs?: number
  /** Milliseconds since 1970, exclusive. */
  readonly untilMs?: number
  readonly act?: string
  readonly collection?: string
  /** Name of a user. */
  readonly actor?: string
}

/** Entries of this state folder's log, oldest first. */
export async function* auditEntries(request: AuditLogRequest): AsyncIterable<AuditEntry> {
  const environment = await openEnvironment({ ...request, mode: 'read' })
  try {
    const audit = await environment.audit()
    const { sinceMs, untilMs, act, collection, actor, signal } = request
    const all = { sinceMs, untilMs, act, collection, actor, signal }
    const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
    yield* audit.read(given)
  } finally {
    await environment.close()
  }
}

/** Which log or proof to verify, with which keys. */
export interface AuditVerifyRequest {
  /** The store whose log is verified, unless `target` is given; its trusted keys count. */
  readonly store?: KeysOf
  /** Folder of a log or of a store. */
  readonly target?: string
  readonly proofFile?: string
  /** PEM files of public keys to trust, beside the store's own. */
  readonly keyFiles: readonly string[]
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

/** Verifies the log of a store, of a copy of a store, or a bare log folder. */
export async function verifyAudit(request: AuditVerifyRequest): Promise<AuditVerification> {
  const keys = await readKeyFiles(request.keyFiles)
  const proof =
    request.proofFile === undefined
      ? undefined
      : await withFsErrors('cannot read', request.proofFile, () =>
          readFile(request.proofFile ?? ''),
        )
  const onProgress = request.onProgress
  const options = {
    ...(proof === undefined ? {} : { proof }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
    ...(onProgress === undefined
      ? {}
      : {
          onProgress: (entries: number) =>
            onProgress({ stage: 'audit', done: entries, unit: 'rows' }),
        }),
  }
  const { folder, ids, bare } = await logsAt(request)
  // Keys that were given need no store beside them, readable or not.
  const own = ownKeys(request).catch((error: unknown) => {
    if (hasCode(error, 'NOT_FOUND')) return []
    const isElsewhere = hasCode(error, 'AUTH', 'UNREACHABLE', 'TIMEOUT', 'USAGE')
    if (keys.length > 0 && isElsewhere) return []
    throw error
  })
  const trusted = [...keys, ...(await own)]
  if (ids.length === 0 && proof !== undefined) return provedAlone(proof, trusted)
  const store = openFsStore(folder, { mode: 'read' })
  if (bare) {
    const log = await bareLog(store)
    return await verifyAuditLog({ store, prefix: '', keys: trusted, ...log, ...options })
  }
  const all = await Promise.all(
    ids.map(async (logId) => {
      const certified = await certifiedKey(store, logId, trusted)
      return await verifyAuditLog({
        store,
        prefix: `audit/${logId}`,
        keys: [...trusted, ...certified],
        namedPositions: await namedPositions({ store }, logId),
        ...options,
      })
    }),
  )
  if (all.length === 0) throw noLog(resolve(request.target ?? folder))
  return merged(all)
}

/** The logs that a target names. */
interface Logs {
  /** Folder above `audit/`, or the folder of a bare log. */
  readonly folder: string
  readonly ids: readonly string[]
  /** The folder is itself a log, without a store around it. */
  readonly bare: boolean
}

/** A store, its folder `audit`, one log of that, or a log that was copied elsewhere. */
async function logsAt(request: AuditVerifyRequest): Promise<Logs> {
  const folder = resolve(request.target ?? request.store?.url ?? '.')
  const above = dirname(folder)
  const idsIn = async (root: string) => {
    const store = openFsStore(root, { mode: 'read' })
    return [...new Set([...(await logIds(store)), ...(await namedLogIds({ store }))])]
  }
  if (basename(folder) === 'audit') return { folder: above, ids: await idsIn(above), bare: false }
  if (isSha256Hex(basename(folder)) && basename(above) === 'audit') {
    const root = dirname(above)
    const ids = (await idsIn(root)).filter((id) => id === basename(folder))
    return { folder: root, ids, bare: false }
  }
  const ids = await idsIn(folder)
  if (ids.length > 0 || request.target === undefined) return { folder, ids, bare: false }
  const store = openFsStore(folder, { mode: 'read' })
  const parts = await Promise.all(['checkpoint', 'key.pem'].map((key) => store.head(key)))
  return { folder, ids, bare: parts.some((part) => part !== undefined) }
}

/** A proof says all that is needed: the entry, its place, and a signed checkpoint. */
function provedAlone(proof: Uint8Array, keys: readonly PublicKey[]): AuditVerification {
  const { size, root } = verifyProof(proof, keys)
  return { ok: true, entries: size, root, checkpoints: 1, problems: [], problemsLeft: 0 }
}

const noLog = (folder: string): AkidbError =>
  new AkidbError('NOT_FOUND', `there is no audit log in ${folder}`, {
    hint: 'Give the folder of a store or of a log.',
  })

/** A bare log folder is named by its log id, or holds its public key. */
async function bareLog(store: ObjectStore): Promise<{ logId?: string }> {
  try {
    const pem = await getBounded(store, 'key.pem', limits.auditKeyBytesMax)
    return { logId: parsePublicKey(pem, 'key.pem').keyId }
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND', 'BAD_INPUT', 'INTEGRITY')) return {}
    throw error
  }
}

/** Keys of the operator's own store; a folder that is checked does not bring its own trust. */
async function ownKeys({ store }: AuditVerifyRequest): Promise<readonly PublicKey[]> {
  if (store === undefined) return []
  const stateFolder = await stateFolderFor(store)
  const there = await stat(join(stateFolder, 'keys')).catch(() => undefined)
  return there === undefined ? [] : await openKeys(stateFolder).trusted()
}

export async function logIds(store: ObjectStore): Promise<string[]> {
  const ids = new Set<string>()
  for await (const { key } of store.list('audit/')) {
    const id = key.split('/')[1]
    if (id !== undefined) ids.add(id)
  }
  return [...ids]
}

/** The log's own key, where a trusted key vouches for it. */
export async function certifiedKey(
  store: ObjectStore,
  logId: string,
  keys: readonly PublicKey[],
): Promise<readonly PublicKey[]> {
  try {
    const bytesMax = limits.auditKeyBytesMax
    const pem = await getBounded(store, `audit/${logId}/key.pem`, bytesMax)
    const key = parsePublicKey(pem, 'key.pem')
    const certificate = await getBounded(store, certificateKey(logId), bytesMax)
    return isCertifiedLogKey(key, certificate, keys) ? [key] : []
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND', 'BAD_INPUT', 'SIGNATURE', 'INTEGRITY')) return []
    throw error
  }
}

/** A store that was copied has several logs; the newest findings of all count. */
function merged(all: readonly AuditVerification[]): AuditVerification {
  const [first] = all
  if (first === undefined || all.length === 1) return first as AuditVerification
  return {
    ok: all.every(({ ok }) => ok),
    entries: all.reduce((sum, { entries }) => sum + entries, 0),
    root: sha256Hex(Buffer.from(all.map(({ root }) => root).join(''))),
    checkpoints: all.reduce((sum, { checkpoints }) => sum + checkpoints, 0),
    problems: all.flatMap(({ problems }) => problems),
    problemsLeft: all.reduce((sum, { problemsLeft }) => sum + problemsLeft, 0),
  }
}

/** The signed size and root. */
export interface AuditCheckpointResult {
  readonly logId: string
  readonly size: number
  readonly root: string
  /** The signed note's text. */
  readonly note: string
}

/** Signs a checkpoint over everything logged so far. */
export async function auditCheckpoint(request: StoreRequest): Promise<AuditCheckpointResult> {
  const environment = await openEnvironment({ ...request, mode: 'write' })
  try {
    const audit = await environment.audit()
    const { size, root, note } = await audit.checkpoint()
    return { logId: audit.logId, size, root, note: Buffer.from(note).toString('utf8') }
  } finally {
    await environment.close()
  }
}

/** A proof of one entry. */
export interface AuditProofResult {
  readonly seq: number
  readonly size: number
  readonly root: string
  /** The proof file's exact bytes. */
  readonly proof: Uint8Array
}

/** A file that proves one entry to anybody who has the log's public key. */
export async function auditProve(
  request: StoreRequest & { readonly seq: number },
): Promise<AuditProofResult> {
  const environment = await openEnvironment({ ...request, mode: 'write' })
  try {
    const audit = await environment.audit()
    const proof = await audit.prove(request.seq)
    const { size, root } = audit.position()
    return { seq: request.seq, size, root, proof }
  } finally {
    await environment.close()
  }
}
