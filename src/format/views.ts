/**
 * Typed views of section bytes: no copy where the alignment allows it. All machines we run on are
 * little endian. Copies are made by `new`: `slice` of a Buffer is a view of the same memory.
 */

export const asFloat32 = (bytes: Uint8Array): Float32Array => {
  const even = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes)
  return new Float32Array(even.buffer, even.byteOffset, even.byteLength >>> 2)
}

export const asUint16 = (bytes: Uint8Array): Uint16Array => {
  const even = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes)
  return new Uint16Array(even.buffer, even.byteOffset, even.byteLength >>> 1)
}

export const asUint32 = (bytes: Uint8Array): Uint32Array => {
  const even = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes)
  return new Uint32Array(even.buffer, even.byteOffset, even.byteLength >>> 2)
}

/** The same of exactly `count` numbers; undefined where bytes are missing or too many. */
export const exactUint32 = (
  bytes: Uint8Array | undefined,
  count: number,
): Uint32Array | undefined => (bytes?.byteLength === count * 4 ? asUint32(bytes) : undefined)

export const exactBigUint64 = (
  bytes: Uint8Array | undefined,
  count: number,
): BigUint64Array | undefined => {
  if (bytes?.byteLength !== count * 8) return undefined
  const even = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes)
  return new BigUint64Array(even.buffer, even.byteOffset, count)
}

/** The bytes under a typed array. */
export const bytesOf = (view: ArrayBufferView): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
