import type {
  IngestPreview,
  IngestRequest,
  IngestResult,
  OnProgress,
  OpenOptions,
  Store,
  Warning,
} from '../db/api.ts'
import type { DoctorResult } from '../db/doctor.ts'
import type { RepairResult } from '../db/repair.ts'
import type { RepairFromOptions } from '../transfer/repair.ts'
import type {
  AuditCheckpointResult,
  AuditEntryView,
  AuditLogRequest,
  AuditProofResult,
  AuditVerifyRequest,
  AuditVerifyResult,
} from './engine-audit.ts'
import type {
  BackupKeysRequest,
  BackupKeysResult,
  GenerateKeyRequest,
  ImportKeysRequest,
  KeyInfo,
  KeyListResult,
  PublicKeyResult,
  TrustKeyRequest,
} from './engine-keys.ts'

/**
 * Every library function that the command line needs; commands reach the library through nothing
 * else.
 *
 * Results are JSON-ready in the shape that the contract of the command line gives them, without
 * `type` and `version`, which the command line adds. Failures are AkidbError. Long functions take
 * `onProgress` and `signal`; an aborted one rejects with `signal.reason` or any error (the command
 * line then reports the interrupt itself). Functions that may need a private key call `passphrase`
 * before any other work starts, and only for a locked key.
 */
export interface Engine {
  openStore(options: OpenOptions): Promise<Store>

  /** Makes a store; a store that is there already is left alone (`created: false`). */
  initStore(request: InitRequest): Promise<InitResult>
  /**
   * After a store was moved or copied: records its new place, and for a copy starts a new log and
   * key.
   */
  adoptStore(request: AdoptRequest): Promise<AdoptResult>
  /**
   * Read-only look at runtime, store, state folder, keys and locks. Never throws for what it finds.
   */
  doctor(request: StoreRequest): Promise<DoctorResult>
  versionInfo(): Promise<VersionInfo>
  bench(request: BenchRequest): Promise<BenchResult>

  /** Ingests into a collection and makes it where it does not exist. */
  ingest(store: Store, collection: string, request: IngestRequest): Promise<IngestResult>
  /** What ingest would do, for `-n`; the collection need not exist. Changes nothing. */
  previewIngest(
    store: Store,
    collection: string,
    request: IngestRequest,
  ): Promise<readonly IngestPreview[]>
  /** Opens a file of queries by the same column rules as ingest. */
  openQueries(request: QueriesRequest): Promise<QuerySource>
  /**
   * Writes the one audit entry of a search, by policy. AUTH where it is required and cannot be
   * written.
   */
  auditSearch(store: Store, request: AuditSearchRequest): Promise<void>

  /** Mends what can be mended, with blobs from a bundle or another store where `from` names one. */
  repair(store: Store, request: RepairFromOptions): Promise<RepairResult>

  exportBundle(request: ExportRequest): Promise<ExportResult>
  importBundle(request: ImportRequest): Promise<ImportResult>
  replayBundle(request: ReplayRequest): Promise<ReplayResult>
  /**
   * Needs no store; the trusted keys are `keys`, and the store's where `store` is given and exists.
   */
  verifyBundle(request: BundleCheckRequest): Promise<BundleVerifyResult>
  inspectBundle(request: BundleCheckRequest): Promise<BundleInspectResult>

  generateKey(request: GenerateKeyRequest): Promise<KeyInfo>
  listKeys(request: StoreRequest): Promise<KeyListResult>
  /** The public key as PEM (SubjectPublicKeyInfo). */
  exportKey(request: StoreRequest & { readonly name: string }): Promise<PublicKeyResult>
  /** Reads a public key for the question "do you trust this fingerprint?". Changes nothing. */
  readPublicKey(request: StoreRequest & { readonly input: string }): Promise<PublicKeyResult>
  trustKey(request: TrustKeyRequest): Promise<KeyInfo>
  backupKeys(request: BackupKeysRequest): Promise<BackupKeysResult>
  importKeys(request: ImportKeysRequest): Promise<KeyListResult>

  /** Entries, oldest first; each JSON-ready as it stands in the log. */
  auditLog(request: AuditLogRequest): AsyncIterable<AuditEntryView>
  verifyAudit(request: AuditVerifyRequest): Promise<AuditVerifyResult>
  /** Signs a checkpoint over everything logged so far; `note` is the signed note's text. */
  auditCheckpoint(request: StoreRequest): Promise<AuditCheckpointResult>
  auditProve(request: StoreRequest & { readonly seq: number }): Promise<AuditProofResult>

  /** Runs the HTTP server until `signal` aborts, then stops gracefully and resolves. */
  serve(request: ServeRequest): Promise<ServeResult>
}

/** Which store, and what every command tells about itself. */
export interface StoreRequest {
  readonly url: string
  readonly state?: string
  readonly threads?: number
  /** Memory to stay within, where there is a choice. */
  readonly memoryBytes?: number
  readonly lockWaitMs?: number
  /** Whom sudo runs this process for, where it does. */
  readonly sudoUser?: string
  /** The command line, for lock messages and the audit log. */
  readonly command?: string
  readonly reason?: string
  readonly onWarning?: (warning: Warning) => void
  readonly signal?: AbortSignal
}

/** Asked for the passphrase of a locked (or new) key. Rejects with AUTH where nobody can answer. */
export type AskPassphrase = (question: PassphraseQuestion) => Promise<string>

/** Which key, and what for. */
export interface PassphraseQuestion {
  readonly keyName: string
  /** 'unlock' a key, or 'choose' one for a new key (an empty answer means: none). */
  readonly purpose: 'unlock' | 'choose'
}

/** A store to make. */
export interface InitRequest extends StoreRequest {
  /** Make the key `log` only. */
  readonly noKey?: boolean
  /** Passphrase of the key `default`; absent: none. */
  readonly passphrase?: string
}

/** The store, whether it was made now, and its keys by fingerprint. */
export interface InitResult {
  readonly store: string
  readonly id: string
  readonly state: string
  readonly created: boolean
  readonly keys: readonly { readonly name: string; readonly keyId: string }[]
}

/** How the store came here. */
export interface AdoptRequest extends StoreRequest {
  readonly as: 'moved' | 'copy'
}

/** The log that goes on, or the new one of a copy. */
export interface AdoptResult {
  readonly store: string
  readonly id: string
  readonly logId: string
  readonly adopted: 'moved' | 'copy'
}

/** Versions of akidb and its parts, and the formats that it reads and writes. */
export interface VersionInfo {
  readonly akidb: string
  readonly node: string
  readonly engine: string
  readonly zstd: string
  readonly formats: { readonly read: readonly string[]; readonly write: readonly string[] }
}

/** Sizes of the made-up data. */
export interface BenchRequest {
  readonly rows: number
  readonly dimension: number
  readonly queries: number
  readonly threads?: number
  /** Where the temporary store lies; default the system's folder for temporary files. */
  readonly folder?: string
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

/** Measurements, each with its unit. */
export interface BenchResult {
  readonly rows: number
  readonly dimension: number
  readonly measurements: readonly {
    readonly name: string
    readonly value: number
    readonly unit: string
  }[]
}

/** A file of queries, and what the collection can use of it. */
export interface QueriesRequest {
  readonly path: string
  readonly format?: 'csv' | 'jsonl' | 'parquet'
  readonly idColumn?: string
  readonly vectorColumn?: string
  readonly vectorColumns?: string
  /** Column of the query text; default `text`. */
  readonly textColumn?: string
  /** The collection's; absent: it has no vectors, and a vector column is ignored. */
  readonly dimension?: number
  /** Whether the collection has text; if not, a text column is ignored. */
  readonly text: boolean
  readonly signal?: AbortSignal
}

/** One query of the file. */
export interface QueryRow {
  /** The row's id, or its number from 0. */
  readonly query: string
  readonly vector?: Float32Array
  readonly text?: string
}

/** The columns that were found, and the rows in the order of the file. */
export interface QuerySource {
  readonly idColumn?: string
  readonly vectorColumn?: string
  readonly textColumn?: string
  readonly rows: AsyncIterable<QueryRow>
}

/** What the audit log learns of a search. */
export interface AuditSearchRequest {
  readonly collection: string
  readonly policy: 'off' | 'digest' | 'full'
  /** Refuse the search where the entry cannot be written. */
  readonly required: boolean
  /** The search as asked, JSON text; stored whole or as its digest, by policy. */
  readonly query: string
  readonly queries: number
  readonly stateRoot: string
  readonly reason?: string
}

/** Where a bundle comes from: a path, or a stream such as stdin. */
export type BundleInput =
  | { readonly path: string }
  | { readonly name: string; readonly stream: AsyncIterable<Uint8Array> }

/**
 * Where a bundle goes: a file (written under a temporary name first), or a stream such as stdout.
 */
export type BundleOutput =
  | { readonly path: string; readonly force: boolean }
  | { readonly write: (bytes: Uint8Array) => Promise<void> }

/** What goes into a bundle, and who signs it. */
export interface ExportRequest extends StoreRequest {
  readonly collections: readonly string[]
  readonly output: BundleOutput
  /** Name of the signing key. */
  readonly key: string
  readonly snapshot?: string
  /** State root, path of a bundle, or 'last'. */
  readonly since?: string
  readonly to?: string
  readonly noIndex?: boolean
  readonly passphrase: AskPassphrase
  readonly onProgress?: OnProgress
}

/** The bundle that was written. */
export interface ExportResult {
  /** '-' for a stream. */
  readonly path: string
  readonly bytes: number
  readonly headDigest: string
  readonly stateRoots: Readonly<Record<string, string>>
  readonly sequence: number
  readonly keyId: string
  readonly baseStateRoots?: Readonly<Record<string, string>>
}

/** A bundle to take, and under which name. */
export interface ImportRequest extends StoreRequest {
  readonly input: BundleInput
  readonly as?: string
  readonly diverge?: boolean
  readonly dryRun?: boolean
  readonly onProgress?: OnProgress
}

/** State roots before and after, by collection. */
export interface ImportResult {
  readonly collections: readonly {
    readonly name: string
    readonly before: string | null
    readonly after: string
    readonly inserted: number
    readonly deleted: number
  }[]
  readonly blobs: { readonly present: number; readonly copied: number }
  readonly bytes: number
  readonly elapsedMs: number
}

/** A bundle to open read-only. */
export interface ReplayRequest extends StoreRequest {
  readonly input: BundleInput
  readonly as?: string
  readonly onProgress?: OnProgress
}

/** How to address the replayed state. */
export interface ReplayResult {
  /** Address of the state in reading commands: `<name>@<12 hex>`. */
  readonly name: string
  readonly stateRoot: string
}

/** A bundle to inspect or verify. */
export interface BundleCheckRequest {
  readonly input: BundleInput
  /** PEM files of public keys to trust, beside the store's own. */
  readonly keyFiles: readonly string[]
  /** Store whose trusted keys count; ignored where there is none. */
  readonly store?: { readonly url: string; readonly state?: string }
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

/** Who signed, and whether we trust that key. */
export interface BundleSigner {
  readonly keyId: string
  readonly name: string | null
  readonly trusted: boolean
}

/** Every problem found; `ok` where there is none and a trusted key signed. */
export interface BundleVerifyResult {
  readonly ok: boolean
  readonly problems: readonly {
    readonly code: string
    readonly member: string
    readonly offset: number
    readonly message: string
  }[]
  readonly signers: readonly BundleSigner[]
  readonly stateRoots: Readonly<Record<string, string>>
  readonly bytes: number
  readonly elapsedMs: number
}

/** What the signed head says. */
export interface BundleInspectResult extends ExportResult {
  readonly kind: 'full' | 'delta'
  readonly signers: readonly BundleSigner[]
  readonly trusted: boolean
  readonly collections: readonly {
    readonly name: string
    readonly version: number
    readonly rows: number
    readonly committedAt: string
    readonly stateRoot: string
  }[]
  readonly totals: { readonly blobs: number; readonly carriedBlobs: number }
  /** Where the origin's audit log was when the bundle was written. */
  readonly log: { readonly logId: string; readonly size: number; readonly root: string }
  /** The site that it is for. */
  readonly to?: string
  readonly previousHead: string | null
  readonly minimumReader: string
  readonly problems: readonly { readonly code: string; readonly message: string }[]
}

/** Where to listen, and whom to tell. */
export interface ServeRequest extends StoreRequest {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** Called once, when connections are accepted. */
  readonly onReady: (address: { readonly url: string; readonly port: number }) => void
  /** One JSON-ready object for each thing worth logging. */
  readonly onLog?: (entry: Readonly<Record<string, unknown>>) => void
  /** What the audit log keeps of searches; default 'digest'. */
  readonly auditQueries?: 'off' | 'digest' | 'full'
  /** Refuse searches while their entries cannot be written. */
  readonly auditRequired?: boolean
}

/** What a server did until it was stopped. */
export interface ServeResult {
  readonly requests: number
  readonly elapsedMs: number
}
