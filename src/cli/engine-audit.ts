import type { OnProgress } from '../db/api.ts'
import type { StoreRequest } from './engine.ts'

/** Which entries to read; absent members do not narrow. */
export interface AuditLogRequest extends StoreRequest {
  /** Milliseconds since 1970, inclusive. */
  readonly sinceMs?: number
  /** Milliseconds since 1970, exclusive. */
  readonly untilMs?: number
  readonly act?: string
  readonly collection?: string
  readonly actor?: string
}

/** One entry, JSON-ready. */
export interface AuditEntryView {
  readonly seq: number
  readonly time: string
  readonly act: string
  readonly [detail: string]: unknown
}

/** Which log or proof to verify, with which keys. */
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

/** Every problem found, with a stable code. */
export interface AuditVerifyResult {
  readonly ok: boolean
  readonly entries: number
  readonly root: string
  readonly checkpoints: number
  readonly problems: readonly {
    readonly code: string
    readonly seq: number | null
    readonly message: string
  }[]
}

/** The signed size and root. */
export interface AuditCheckpointResult {
  readonly logId: string
  readonly size: number
  readonly root: string
  readonly note: string
}

/** A proof of one entry. */
export interface AuditProofResult {
  readonly seq: number
  readonly size: number
  readonly root: string
  /** The proof file's exact bytes. */
  readonly proof: Uint8Array
}
