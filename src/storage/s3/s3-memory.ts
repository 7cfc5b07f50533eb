/**
 * Frees the memory of bytes that nobody looks at any more. A transfer makes two buffers for every
 * 64 KiB that come; left to the garbage collector they pile up to 100 MB before it looks at them,
 * and it takes a quarter of the processor's time.
 *
 * Only memory that is theirs alone is freed: small buffers share a pool. What was freed has length
 * 0 from then on, so that a mistake shows as bytes that are missing, never as others.
 */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  const isOwn = buffer.byteLength === byteLength && byteLength >= OWN_BYTES_MIN
  if (isOwn && buffer instanceof ArrayBuffer) buffer.transfer(0)
}

/** Less is not worth the call. */
const OWN_BYTES_MIN = 4_096
