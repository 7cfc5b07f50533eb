/**
 * Typed views of section bytes: no copy where the alignment allows it. All machines we run on are
 * little endian.
 */

export const asFloat32 = (bytes: Uint8Array): Float32Array => {
  const even = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
  return new Float32Array(even.buffer, even.byteOffset, even.byteLength >>> 2)
}

export const asUint32 = (bytes: Uint8Array): Uint32Array => {
  const even = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
  return new Uint32Array(even.buffer, even.byteOffset, even.byteLength >>> 2)
}

export const asBigUint64 = (bytes: Uint8Array): BigUint64Array => {
  const even = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice()
  return new BigUint64Array(even.buffer, even.byteOffset, even.byteLength >>> 3)
}

/** The bytes under a typed array. */
export const bytesOf = (view: ArrayBufferView): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
