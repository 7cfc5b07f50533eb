const DEPTH_MAX = 32
const VARINT_BYTES_MAX = 10

/**
 * Walks one struct of the Thrift compact protocol and returns the offset behind it; throws
 * RangeError where it is not well formed or does not end within `bytes`. Nothing is allocated.
 *
 * What passes has no number longer than 64 bits, no list longer than the bytes that are left and
 * no deep nesting, so a general reader can be let loose on it. Source: thrift-compact-protocol.md
 * of Apache Thrift.
 */
export function checkThriftStruct(bytes: Uint8Array, start: number): number {
  return skipStruct(bytes, start, 0)
}

function skipStruct(bytes: Uint8Array, start: number, depth: number): number {
  if (depth > DEPTH_MAX) throw new RangeError('thrift nests too deep')
  let at = start
  for (;;) {
    const head = byteAt(bytes, at++)
    if (head === 0) return at
    if (head >> 4 === 0) at = skipVarint(bytes, at)
    at = skipValue(bytes, at, { type: head & 15, inList: false, depth })
  }
}

function skipValue(
  bytes: Uint8Array,
  at: number,
  value: { type: number; inList: boolean; depth: number },
): number {
  switch (value.type) {
    case 1:
    case 2:
      return value.inList ? within(bytes, at + 1) : at
    case 3:
      return within(bytes, at + 1)
    case 4:
    case 5:
    case 6:
      return skipVarint(bytes, at)
    case 7:
      return within(bytes, at + 8)
    case 8: {
      const end = skipVarint(bytes, at)
      return within(bytes, end + varintValue(bytes, at, end))
    }
    case 9:
      return skipList(bytes, at, value.depth)
    case 12:
      return skipStruct(bytes, at, value.depth + 1)
    default:
      throw new RangeError(`thrift type ${value.type} is not used here`)
  }
}

function skipList(bytes: Uint8Array, start: number, depth: number): number {
  const head = byteAt(bytes, start)
  let at = start + 1
  let size = head >> 4
  if (size === 15) {
    const end = skipVarint(bytes, at)
    size = varintValue(bytes, at, end)
    at = end
  }
  // Every element takes a byte at least.
  within(bytes, at + size)
  if (depth >= DEPTH_MAX) throw new RangeError('thrift nests too deep')
  const value = { type: head & 15, inList: true, depth: depth + 1 }
  for (let i = 0; i < size; i++) at = skipValue(bytes, at, value)
  return at
}

function skipVarint(bytes: Uint8Array, start: number): number {
  for (let at = start; at < start + VARINT_BYTES_MAX; at++) {
    if (byteAt(bytes, at) < 0x80) return at + 1
  }
  throw new RangeError('thrift number is too long')
}

function varintValue(bytes: Uint8Array, start: number, end: number): number {
  let value = 0
  for (let at = end - 1; at >= start; at--) value = value * 128 + ((bytes[at] as number) & 0x7f)
  return value
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]
  if (byte === undefined) throw new RangeError('thrift ends too early')
  return byte
}

function within(bytes: Uint8Array, end: number): number {
  if (end > bytes.length) throw new RangeError('thrift ends too early')
  return end
}
