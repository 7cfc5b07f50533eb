/**
 * The one form of tar header that a bundle has: POSIX.1-1988 ustar, regular file, mode 0644, no
 * owner, no time.
 *
 *   offset  bytes  meaning
 *   0       100    name, ASCII, zero-padded
 *   100     8      mode "0000644\0"
 *   108     8      uid "0000000\0"
 *   116     8      gid "0000000\0"
 *   124     12     size, 11 octal digits and \0
 *   136     12     mtime "00000000000\0"
 *   148     8      checksum, 6 octal digits, \0, space
 *   156     1      type "0"
 *   157     100    link name, zeros
 *   257     8      "ustar\0" "00"
 *   265     64     owner and group names, zeros
 *   329     16     device numbers, "0000000\0" twice
 *   345     167    prefix and padding, zeros
 */

/** Bytes of a header, and the unit that contents are padded to. */
export const BLOCK_BYTES = 512

/** What ends an archive: two blocks of zeros. */
export const END_MARKER: Uint8Array = new Uint8Array(2 * BLOCK_BYTES)

/** Largest size that 11 octal digits hold. */
const SIZE_MAX = 8 ** 11 - 1

/**
 * The only header that a member of this name and size may have, 512 bytes.
 *
 * @param name 1–100 bytes of ASCII
 * @param bytes 0 ≤ bytes < 8 GiB
 * Source: POSIX.1-1988, IEEE Std 1003.1, ustar interchange format.
 */
export function tarHeader(name: string, bytes: number): Uint8Array {
  if (name.length === 0 || name.length > 100 || bytes < 0 || bytes > SIZE_MAX) {
    throw new Error(`no tar header for "${name}" of ${bytes} bytes`)
  }
  const header = Buffer.alloc(BLOCK_BYTES)
  header.write(name, 0, 'ascii')
  header.write('0000644\0' + '0000000\0' + '0000000\0', 100, 'ascii')
  header.write(`${octal(bytes, 11)}\0`, 124, 'ascii')
  header.write('00000000000\0', 136, 'ascii')
  header.write('        ', 148, 'ascii')
  header.write('0', 156, 'ascii')
  header.write('ustar\0' + '00', 257, 'ascii')
  header.write('0000000\0' + '0000000\0', 329, 'ascii')
  header.write(`${octal(checksum(header), 6)}\0 `, 148, 'ascii')
  return header
}

const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0')

/** Sum of the bytes, those of the checksum itself taken as spaces. */
function checksum(header: Uint8Array): number {
  let sum = 0
  for (let at = 0; at < BLOCK_BYTES; at++) {
    sum += at >= 148 && at < 156 ? 0x20 : (header[at] as number)
  }
  return sum
}

/** Zeros between the end of a content and the next header: 0–511 bytes. */
export const paddingBytes = (bytes: number): number =>
  (BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES

/**
 * The size that a header claims, undefined where it is not 11 octal digits and a zero byte. The
 * claim counts only after `tarHeader(name, size)` gave the same 512 bytes.
 */
export function claimedBytes(header: Uint8Array): number | undefined {
  const field = Buffer.from(header.buffer, header.byteOffset, header.byteLength)
  const digits = field.toString('latin1', 124, 136)
  return /^[0-7]{11}\0$/.test(digits) ? Number.parseInt(digits, 8) : undefined
}

/**
 * The name that a header claims, for messages and for finding one's way; at most 100 characters.
 */
export function claimedName(header: Uint8Array): string {
  const field = Buffer.from(header.buffer, header.byteOffset, header.byteLength)
  return field.toString('latin1', 0, 100).split('\0')[0] ?? ''
}
