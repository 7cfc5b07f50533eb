import type {
  AuditProblem,
  AuditVerification,
  AuditVerifyRequest,
  ErrorCode,
  IngestPreview,
  IngestRequest,
  IngestResult,
  KesAccess,
  Store,
} from '../index.ts'
import type { serveStore } from '../server/serve-store.ts'

type Library = typeof import('../index.ts')

/** What the command line calls by the library's own names. */
type Called =
  | 'openStore'
  | 'initStore'
  | 'adoptStore'
  | 'statusAway'
  | 'doctor'
  | 'versionInfo'
  | 'openQueries'
  | 'parseQuery'
  | 'auditSearch'
  | 'warmCollections'
  | 'exportBundle'
  | 'importBundle'
  | 'replayBundle'
  | 'verifyBundle'
  | 'inspectBundle'
  | 'generateKey'
  | 'listKeys'
  | 'exportKey'
  | 'readPublicKey'
  | 'trustKey'
  | 'backupKeys'
  | 'importKeys'
  | 'auditCheckpoint'
  | 'auditProve'
  | 'push'
  | 'pull'
  | 'wormStatus'
  | 'wormVerify'
  | 'wormLock'
  | 'wormVerifyAudit'
  | 'auditAnchor'
  | 'doctorTarget'
  | 'setUpTarget'
  | 'kmsStatus'
  | 'kmsCreateKey'
  | 'kmsRewrap'

/**
 * Every function of the library and the server that the command line needs; commands reach them
 * through nothing else, so that a test can put others in their place.
 *
 * Results are JSON-ready in the shape that the contract of the command line gives them, without
 * `type` and `version`, which the command line adds. Failures are AkidbError. Long functions take
 * `onProgress` and `signal`; an aborted one rejects with `signal.reason` or any error (the command
 * line then reports the interrupt itself). Functions that may need a private key call `passphrase`
 * before any other work starts, and only for a locked key.
 */
export interface Engine extends Pick<Library, Called> {
  readonly bench: Library['runBench']
  readonly repair: Library['repairFrom']
  readonly auditLog: Library['auditEntries']
  readonly serve: typeof serveStore

  /** Ingests into a collection and makes it where it does not exist. */
  ingest(store: Store, collection: string, request: IngestRequest): Promise<IngestResult>
  /** What ingest would do, for `-n`; the collection need not exist. Changes nothing. */
  previewIngest(
    store: Store,
    collection: string,
    request: IngestRequest,
  ): Promise<readonly IngestPreview[]>
  /** Verifies a log; `target` may also be a bundle, which carries a proof of its own entry. */
  verifyAudit(request: LogRequest): Promise<LogVerification>
}

/** A log to verify, and the key server where it may be an encrypted bundle. */
export interface LogRequest extends AuditVerifyRequest {
  readonly kes?: KesAccess
}

/** What was found in a log, or in the bundle that was given in its place. */
export interface LogVerification
  extends Pick<AuditVerification, 'ok' | 'entries' | 'root' | 'checkpoints'> {
  readonly problems: readonly (Omit<AuditProblem, 'code'> & {
    readonly code: AuditProblem['code'] | ErrorCode
  })[]
}
