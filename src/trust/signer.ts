/**
 * An Ed25519 public key (RFC 8032). `keyId` is its fingerprint: SHA-256 of the SubjectPublicKeyInfo
 * DER (RFC 8410), hex, as `openssl pkey -pubin -outform DER | sha256sum` prints it.
 */
export interface PublicKey {
  readonly keyId: string
  /** 32 bytes. */
  readonly raw: Uint8Array
  /** Local name, where it has one. */
  readonly name?: string
}

/** Something that can sign with an Ed25519 key; the private half never leaves it. */
export interface Signer {
  readonly key: PublicKey
  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array
}
