/** The library: everything that the command line and the server use of the engine. */
export type * from './db/api.ts'
export {
  auditCheckpoint,
  auditEntries,
  auditProve,
  auditSearch,
  verifyAudit,
} from './db/audit-ops.ts'
export { runBench } from './db/bench.ts'
export { doctor } from './db/doctor.ts'
export { initStore } from './db/init.ts'
export {
  backupKeys,
  exportKey,
  generateKey,
  importKeys,
  listKeys,
  readPublicKey,
  trustKey,
} from './db/key-ops.ts'
export { adoptStore } from './db/place.ts'
export { openQueries } from './db/query-file.ts'
export { openStore } from './db/store.ts'
export { akidbVersion, versionInfo } from './db/version.ts'
export { AkidbError } from './errors/errors.ts'
export { type ErrorCode, EXIT_CODES } from './errors/exit-codes.ts'
export {
  checkBundle as verifyBundle,
  describeBundle as inspectBundle,
  exportCollections as exportBundle,
  importCollections as importBundle,
  replayCollections as replayBundle,
} from './transfer/bundles.ts'
export { repairFrom } from './transfer/repair.ts'
