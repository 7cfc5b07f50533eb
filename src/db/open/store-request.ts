import type { OpenOptions } from '../api/api.ts'

/** Which store, and what a caller tells about itself. */
export interface StoreRequest extends Omit<OpenOptions, 'mode'> {
  readonly signal?: AbortSignal
}

/**
 * Asked for the passphrase of a locked or a new key, before any other work starts, and only then.
 * Rejects with AUTH where nobody can answer.
 */
export type AskPassphrase = (question: PassphraseQuestion) => Promise<string>

/** Which key, and what for. */
export interface PassphraseQuestion {
  readonly keyName: string
  /** 'unlock' a key, or 'choose' one for a new key (an empty answer means: none). */
  readonly purpose: 'unlock' | 'choose'
}
