import { createHash } from 'node:crypto'

/** SHA-256 (FIPS 180-4) of some bytes, as 64 lowercase hexadecimal digits. */
export const sha256Hex = (...parts: readonly Uint8Array[]): string => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

/** SHA-256 of some bytes, 32 bytes. */
export const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** A SHA-256 that grows. */
export interface RunningDigest {
  update(bytes: Uint8Array): void
  /** Ends it: 64 lowercase hexadecimal digits. */
  hex(): string
}

export const runningSha256 = (): RunningDigest => {
  const hash = createHash('sha256')
  return {
    update: (bytes) => void hash.update(bytes),
    hex: () => hash.digest('hex'),
  }
}

export const isSha256Hex = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
