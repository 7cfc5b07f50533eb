/** Standard base64 with padding (RFC 4648 §4). */
export const encodeBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/**
 * Bytes of a base64 text; undefined unless it is the one text that encodes them (no free bit, no
 * white space).
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? new Uint8Array(bytes) : undefined
}

/** Text of UTF-8 bytes; undefined where they are not valid. A byte order mark stays. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}
