/** Fewer bytes are copied one by one sooner than by a call. */
const SHORT_BYTES = 48

/**
 * The `bytes` bytes in one LZ4 block (codec LZ4_RAW). Throws Error or RangeError where it is
 * damaged, or holds more or fewer.
 *
 * Source: LZ4 Block Format Description, version 2022-07-31.
 */
export function unpackLz4Block(packed: Uint8Array, bytes: number): Uint8Array<ArrayBuffer> {
  const output = new Uint8Array(bytes)
  unpackBlock(packed, output)
  return output
}

/**
 * The `bytes` bytes in LZ4 blocks as Hadoop frames them (codec LZ4), each behind its two lengths;
 * of writers that take the name for LZ4_RAW, those in a bare block. Throws as `unpackLz4Block`.
 *
 * Source: Compression.md of Apache Parquet; how to tell the two apart: what Arrow does.
 */
export function unpackLz4(packed: Uint8Array, bytes: number): Uint8Array<ArrayBuffer> {
  const frames = framesOf(packed, bytes)
  if (frames === undefined) return unpackLz4Block(packed, bytes)
  const output = new Uint8Array(bytes)
  try {
    for (const { block, to } of frames) unpackBlock(block, output.subarray(to.start, to.end))
    return output
  } catch {
    return unpackLz4Block(packed, bytes)
  }
}

interface Frame {
  readonly block: Uint8Array
  readonly to: { readonly start: number; readonly end: number }
}

/** undefined where the lengths do not add up, so that it is something else. */
function framesOf(packed: Uint8Array, bytes: number): Frame[] | undefined {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  const frames: Frame[] = []
  let start = 0
  for (let at = 0; at < packed.length; ) {
    if (packed.length - at < 8) return undefined
    const end = start + view.getUint32(at)
    const blockEnd = at + 8 + view.getUint32(at + 4)
    if (end > bytes || blockEnd > packed.length) return undefined
    frames.push({ block: packed.subarray(at + 8, blockEnd), to: { start, end } })
    at = blockEnd
    start = end
  }
  return start === bytes ? frames : undefined
}

function unpackBlock(packed: Uint8Array, output: Uint8Array): void {
  let at = 0
  let to = 0
  const lengthFrom = (nibble: number): number => {
    let length = nibble
    for (let byte = 255; byte === 255; length += byte) byte = byteAt(packed, at++)
    return length
  }
  for (;;) {
    const token = byteAt(packed, at++)
    let literals = token >> 4
    if (literals === 15) literals = lengthFrom(literals)
    if (literals > packed.length - at || literals > output.length - to) throw misfit()
    if (literals < SHORT_BYTES) {
      for (let i = 0; i < literals; i++) output[to + i] = packed[at + i] as number
    } else {
      output.set(packed.subarray(at, at + literals), to)
    }
    at += literals
    to += literals
    // The last sequence has literals only.
    if (at === packed.length) break
    const offset = byteAt(packed, at) + 256 * byteAt(packed, at + 1)
    at += 2
    let match = token & 15
    if (match === 15) match = lengthFrom(match)
    match += 4
    if (offset === 0 || offset > to || match > output.length - to) throw misfit()
    copyMatch(output, to, offset, match)
    to += match
  }
  if (to !== output.length) throw misfit()
}

/** What lies `offset` bytes before, also where it goes on into what is copied. */
function copyMatch(output: Uint8Array, to: number, offset: number, match: number): void {
  if (match >= SHORT_BYTES && offset >= match) {
    output.copyWithin(to, to - offset, to - offset + match)
  } else {
    for (let i = to; i < to + match; i++) output[i] = output[i - offset] as number
  }
}

function byteAt(packed: Uint8Array, at: number): number {
  const byte = packed[at]
  if (byte === undefined) throw new RangeError('the LZ4 block ends too early')
  return byte
}

const misfit = (): Error => new Error('the LZ4 block does not hold what its lengths say')
