import type { AskPassphrase, StoreRequest } from './engine.ts'

/** A key by name and fingerprint. */
export interface KeyInfo {
  readonly name: string
  readonly keyId: string
  /** 'private': we can sign with it. 'trusted': a public key whose signatures we accept. */
  readonly kind: 'private' | 'trusted'
  /** Private keys: whether a passphrase protects it. */
  readonly locked?: boolean
}

/** Keys, ours and trusted ones. */
export interface KeyListResult {
  readonly keys: readonly KeyInfo[]
}

/** A public key as text. */
export interface PublicKeyResult {
  readonly name: string | null
  readonly keyId: string
  readonly pem: string
}

/** A key to make. */
export interface GenerateKeyRequest extends StoreRequest {
  readonly name: string
  readonly replace?: boolean
  /** Absent: the key has none. */
  readonly passphrase?: string
}

/** A key to trust. */
export interface TrustKeyRequest extends StoreRequest {
  /** Path of a PEM file, or a fingerprint (64 hex digits). */
  readonly input: string
  readonly name?: string
}

/** Where the backup goes. */
export interface BackupKeysRequest extends StoreRequest {
  /** A file that must not exist, made with mode 0600. */
  readonly path: string
  readonly force: boolean
  /** Protects the backup. */
  readonly passphrase: string
}

/** Names of the keys in the backup. */
export interface BackupKeysResult {
  readonly path: string
  readonly keys: readonly string[]
}

/** Where private keys come from. */
export interface ImportKeysRequest extends StoreRequest {
  /** What `keys backup` wrote. */
  readonly path: string
  readonly passphrase: AskPassphrase
}
