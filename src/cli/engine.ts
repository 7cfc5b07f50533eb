import type {
  IngestPreview,
  IngestRequest,
  IngestResult,
  OnProgress,
  OpenOptions,
  Store,
  Warning,
} from '../db/api.ts'

/**
 * Every library function that the command line needs; commands reach the library through nothing else.
 *
 * Results are JSON-ready in the shape that the contract of the command line gives them, without `type` and
 * `version`, which the command line adds. Failures are AkidbError. Long functions take `onProgress` and `signal`;
 * an aborted one rejects with `signal.reason` or any error (the command line then reports the interrupt itself).
 * Functions that may need a private key call `passphrase` before any other work starts, and only for a locked key.
 */
export interface Engine {
  openStore(options: OpenOptions): Promise<Store>

  /** Makes a store; a store that is there already is left alone (`created: false`). */
  initStore(request: InitRequest): Promise<InitResult>
  /** After a store was moved or copied: records its new place, and for a copy starts a new log and key. */
  adoptStore(request: AdoptRequest): Promise<AdoptResult>
  /** Read-only look at runtime, store, state folder, keys and locks. Never throws for what it finds. */
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
  /** Writes the one audit entry of a search, by policy. AUTH where it is required and cannot be written. */
  auditSearch(store: Store, request: AuditSearchRequest): Promise<void>

  exportBundle(request: ExportRequest): Promise<ExportResult>
  importBundle(request: ImportRequest): Promise<ImportResult>
  replayBundle(request: ReplayRequest): Promise<ReplayResult>
  /** Needs no store; the trusted keys are `keys`, and the store's where `store` is given and exists. */
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
  /** The command line, for lock messages and the audit log. */
  readonly command?: string
  readonly reason?: string
  readonly onWarning?: (warning: Warning) => void
  readonly signal?: AbortSignal
}

/** Asked for the passphrase of a locked (or new) key. Rejects with AUTH where nobody can answer. */
export type AskPassphrase = (question: PassphraseQuestion) => Promise<string>
export interface PassphraseQuestion {
  readonly keyName: string
  /** 'unlock' a key, or 'choose' one for a new key (an empty answer means: none). */
  readonly purpose: 'unlock' | 'choose'
}

export interface InitRequest extends StoreRequest {
  /** Make the key `log` only. */
  readonly noKey?: boolean
  /** Passphrase of the key `default`; absent: none. */
  readonly passphrase?: string
}
export interface InitResult {
  readonly store: string
  readonly id: string
  readonly state: string
  readonly created: boolean
  readonly keys: readonly { readonly name: string; readonly keyId: string }[]
}

export interface AdoptRequest extends StoreRequest {
  readonly as: 'moved' | 'copy'
}
export interface AdoptResult {
  readonly store: string
  readonly id: string
  readonly logId: string
  readonly adopted: 'moved' | 'copy'
}

export interface DoctorResult {
  readonly ok: boolean
  readonly checks: readonly {
    readonly name: string
    readonly status: 'ok' | 'warn' | 'fail'
    readonly message: string
    /** How to mend it; empty where there is nothing to mend. */
    readonly fix: string
  }[]
}

export interface VersionInfo {
  readonly akidb: string
  readonly node: string
  readonly engine: string
  readonly zstd: string
  readonly formats: { readonly read: readonly string[]; readonly write: readonly string[] }
}

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
export interface BenchResult {
  readonly rows: number
  readonly dimension: number
  readonly measurements: readonly {
    readonly name: string
    readonly value: number
    readonly unit: string
  }[]
}

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
export interface QueryRow {
  /** The row's id, or its number from 0. */
  readonly query: string
  readonly vector?: Float32Array
  readonly text?: string
}
export interface QuerySource {
  readonly idColumn?: string
  readonly vectorColumn?: string
  readonly textColumn?: string
  readonly rows: AsyncIterable<QueryRow>
}

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

/** Where a bundle goes: a file (written under a temporary name first), or a stream such as stdout. */
export type BundleOutput =
  | { readonly path: string; readonly force: boolean }
  | { readonly write: (bytes: Uint8Array) => Promise<void> }

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

export interface ImportRequest extends StoreRequest {
  readonly input: BundleInput
  readonly as?: string
  readonly diverge?: boolean
  readonly dryRun?: boolean
  readonly onProgress?: OnProgress
}
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

export interface ReplayRequest extends StoreRequest {
  readonly input: BundleInput
  readonly as?: string
  readonly onProgress?: OnProgress
}
export interface ReplayResult {
  /** Address of the state in reading commands: `<name>@<12 hex>`. */
  readonly name: string
  readonly stateRoot: string
}

export interface BundleCheckRequest {
  readonly input: BundleInput
  /** PEM files of public keys to trust, beside the store's own. */
  readonly keyFiles: readonly string[]
  /** Store whose trusted keys count; ignored where there is none. */
  readonly store?: { readonly url: string; readonly state?: string }
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}
export interface BundleSigner {
  readonly keyId: string
  readonly name: string | null
  readonly trusted: boolean
}
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
export interface BundleInspectResult extends ExportResult {
  readonly kind: 'full' | 'delta'
  readonly signers: readonly BundleSigner[]
  readonly [detail: string]: unknown
}

export interface KeyInfo {
  readonly name: string
  readonly keyId: string
  /** 'private': we can sign with it. 'trusted': a public key whose signatures we accept. */
  readonly kind: 'private' | 'trusted'
  /** Private keys: whether a passphrase protects it. */
  readonly locked?: boolean
}
export interface KeyListResult {
  readonly keys: readonly KeyInfo[]
}
export interface PublicKeyResult {
  readonly name: string | null
  readonly keyId: string
  readonly pem: string
}
export interface GenerateKeyRequest extends StoreRequest {
  readonly name: string
  readonly replace?: boolean
  /** Absent: the key has none. */
  readonly passphrase?: string
}
export interface TrustKeyRequest extends StoreRequest {
  /** Path of a PEM file, or a fingerprint (64 hex digits). */
  readonly input: string
  readonly name?: string
}
export interface BackupKeysRequest extends StoreRequest {
  /** A file that must not exist, made with mode 0600. */
  readonly path: string
  readonly force: boolean
  /** Protects the backup. */
  readonly passphrase: string
}
export interface BackupKeysResult {
  readonly path: string
  readonly keys: readonly string[]
}
export interface ImportKeysRequest extends StoreRequest {
  /** A backup, or one private key as PEM. */
  readonly path: string
  readonly name?: string
  readonly passphrase: AskPassphrase
}

export interface AuditLogRequest extends StoreRequest {
  /** Milliseconds since 1970, inclusive. */
  readonly sinceMs?: number
  /** Milliseconds since 1970, exclusive. */
  readonly untilMs?: number
  readonly act?: string
  readonly collection?: string
  readonly actor?: string
}
export interface AuditEntryView {
  readonly seq: number
  readonly time: string
  readonly act: string
  readonly [detail: string]: unknown
}
export interface AuditVerifyRequest {
  /** The store whose log is verified, unless `target` is given. */
  readonly store?: { readonly url: string; readonly state?: string }
  /** Folder of a log or of a store, or a bundle; needs no store. */
  readonly target?: string
  readonly proofFile?: string
  readonly keyFiles: readonly string[]
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}
export interface AuditVerifyResult {
  readonly ok: boolean
  readonly entries: number
  readonly root: string
  readonly checkpoints: number
  readonly problems: readonly {
    readonly code: string
    readonly seq: number
    readonly message: string
  }[]
}
export interface AuditCheckpointResult {
  readonly logId: string
  readonly size: number
  readonly root: string
  readonly note: string
}
export interface AuditProofResult {
  readonly seq: number
  readonly size: number
  readonly root: string
  /** The proof file's exact bytes. */
  readonly proof: Uint8Array
}

export interface ServeRequest extends StoreRequest {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** Called once, when connections are accepted. */
  readonly onReady: (address: { readonly url: string; readonly port: number }) => void
  /** One JSON-ready object for each thing worth logging. */
  readonly onLog?: (entry: Readonly<Record<string, unknown>>) => void
}
export interface ServeResult {
  readonly requests: number
  readonly elapsedMs: number
}
