/** The library: everything that the command line and the server use of the engine. */
export type { AuditEntry } from './audit/entry.ts'
export type { AuditProblem } from './audit/problems.ts'
export type { AuditVerification } from './audit/verify.ts'
export type * from './db/api/api.ts'
export { auditSearch, type QueryPolicy, type SearchToAudit } from './db/audit-search.ts'
export { type BenchRequest, type BenchResult, runBench } from './db/bench.ts'
export type { RepairResult } from './db/check/repair.ts'
export type { DoctorResult } from './db/doctor/doctor.ts'
export type { StoreStatus } from './db/doctor/status.ts'
export { type AwayState, type AwayStatus, statusAway } from './db/doctor/status-away.ts'
export type { TiersStatus } from './db/doctor/tiers.ts'
export {
  type AuditCheckpointResult,
  type AuditLogRequest,
  type AuditProofResult,
  type AuditVerifyRequest,
  auditCheckpoint,
  auditEntries,
  auditProve,
  verifyAudit,
} from './db/open/audit-ops.ts'
export { type InitRequest, type InitResult, initStore } from './db/open/init.ts'
export {
  type BackupKeysRequest,
  type BackupKeysResult,
  backupKeys,
  exportKey,
  type GenerateKeyRequest,
  generateKey,
  type ImportKeysRequest,
  importKeys,
  type KeyEntry,
  type KeyList,
  listKeys,
  type PublicKeyText,
  readPublicKey,
  type TrustKeyRequest,
  trustKey,
} from './db/open/key-ops.ts'
export { type AdoptRequest, type AdoptResult, adoptStore } from './db/open/place.ts'
export type { AskPassphrase, PassphraseQuestion, StoreRequest } from './db/open/store-request.ts'
export { parseQuery } from './db/query/query-json.ts'
export {
  openQueries,
  type QueryFile,
  type QueryRow,
  type QuerySource,
} from './db/search/query-file.ts'
export { type VersionInfo, versionInfo } from './db/states/version.ts'
export { type OpenedStore, openStore } from './db/store.ts'
export { type WarmRequest, type WarmResult, warmCollections } from './db/warm.ts'
export { AkidbError } from './errors/errors.ts'
export { type ErrorCode, EXIT_CODES } from './errors/exit-codes.ts'
export type { KesAccess } from './storage/kes/kes-access.ts'
export { akidbVersion } from './storage/package-version.ts'
export type { RuleChange } from './storage/s3/bucket-rules.ts'
export type { S3Access } from './storage/s3/s3-access.ts'
export {
  type BundleCheckRequest,
  type BundleInspectResult,
  type BundleVerifyResult,
  checkBundle as verifyBundle,
  describeBundle as inspectBundle,
  type ExportRequest,
  exportCollections as exportBundle,
  type ImportRequest,
  importCollections as importBundle,
  type NamedSigner,
  type ReplayedBundle,
  type ReplayRequest,
  replayCollections as replayBundle,
} from './transfer/bundles.ts'
export type { BundleOutput, ExportResult } from './transfer/export.ts'
export type { ImportResult } from './transfer/import.ts'
export type { BundleInput } from './transfer/key-server.ts'
export {
  type KmsCreateKeyRequest,
  type KmsCreateKeyResult,
  type KmsKeyStatus,
  type KmsRequest,
  type KmsStatusRequest,
  type KmsStatusResult,
  kmsCreateKey,
  kmsStatus,
} from './transfer/kms.ts'
export type { PullResult } from './transfer/pull/pull.ts'
export type { PushResult } from './transfer/push/push.ts'
export { type RepairFromOptions, repairFrom } from './transfer/repair.ts'
export { type KmsRewrapRequest, type KmsRewrapResult, kmsRewrap } from './transfer/rewrap.ts'
export type { RetentionWish } from './transfer/sealed/retention.ts'
export type { SealedProblem } from './transfer/sealed/sealed-problems.ts'
export type { AnchorResult, BucketAuditResult } from './transfer/sealed-audit.ts'
export {
  type AuditAnchorRequest,
  auditAnchor,
  doctor,
  doctorTarget,
  type PullRequest,
  type PushRequest,
  pull,
  push,
  type WormLockRequest,
  type WormReadRequest,
  wormLock,
  wormStatus,
  wormVerify,
  wormVerifyAudit,
} from './transfer/sealed-requests.ts'
export { type RulesText, type SetUpRequest, setUpTarget } from './transfer/set-up-target.ts'
export type { LockResult } from './transfer/worm/change-locks.ts'
export type { WormStatus } from './transfer/worm/status.ts'
export type { WormVerification } from './transfer/worm/verify.ts'
