import type { Warning } from './api.ts'

/** Which store, and what a caller tells about itself. */
export interface StoreRequest {
  readonly url: string
  readonly state?: string
  readonly threads?: number
  readonly lockWaitMs?: number
  /** Whom sudo runs this process for, where it does: goes into the audit log. */
  readonly sudoUser?: string
  /** The command line, for lock messages and the audit log. */
  readonly command?: string
  readonly reason?: string
  readonly onWarning?: (warning: Warning) => void
  readonly signal?: AbortSignal
}

/** Asked for the passphrase of a locked key, before any other work starts. */
export type AskPassphrase = (question: {
  readonly keyName: string
  readonly purpose: 'unlock' | 'choose'
}) => Promise<string>
