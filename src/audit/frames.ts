/**
 * Entry bundles of C2SP tlog-tiles: entries one after the other, each as
 *
 * | offset | bytes | type   | meaning                         |
 * |--------|-------|--------|---------------------------------|
 * | 0      | 2     | u16 BE | length of the entry, 1 … 65,535 |
 * | 2      | n     | bytes  | the entry's exact bytes         |
 */
const LENGTH_BYTES = 2

/** The bytes of some entries in a bundle or a tail. */
export function encodeFrames(entries: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(entries.flatMap((entry) => [lengthOf(entry), entry]))
}

export interface Frames {
  /** Views, not copies. */
  readonly entries: readonly Uint8Array[]
  /** Bytes of the whole entries; what follows is no whole entry. */
  readonly wholeBytes: number
}

/** The whole entries at the start of some bytes; stops at a cut or empty one. */
export function splitFrames(bytes: Uint8Array): Frames {
  const entries: Uint8Array[] = []
  let at = 0
  while (at + LENGTH_BYTES <= bytes.length) {
    const length = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
    const end = at + LENGTH_BYTES + length
    if (length === 0 || end > bytes.length) break
    entries.push(bytes.subarray(at + LENGTH_BYTES, end))
    at = end
  }
  return { entries, wholeBytes: at }
}

/** Bytes that an entry takes in a bundle. */
export const frameBytes = (entry: Uint8Array): number => LENGTH_BYTES + entry.length

const lengthOf = (entry: Uint8Array): Uint8Array =>
  Uint8Array.of(entry.length >> 8, entry.length & 0xff)
