/**
 * `count` numbers of `width` bits in the hybrid of run lengths and bit packing, from `start` to
 * `end` of some bytes.
 *
 * Throws RangeError where they end too early, or where the value of a run has more bits. Runs
 * beyond `count` are cut. Source: Encodings.md
 * of Apache Parquet.
 */
export function readHybrid(
  bytes: Uint8Array,
  place: { start: number; end: number },
  layout: { width: number; count: number },
): Uint8Array | Uint32Array {
  const { width, count } = layout
  const output = width <= 8 ? new Uint8Array(count) : new Uint32Array(count)
  if (width > 32) throw new RangeError(`a width of ${width} bits`)
  if (width === 0) return output
  let at = place.start
  let seen = 0
  while (seen < count) {
    let header = 0
    for (let shift = 0; ; shift += 7) {
      if (at >= place.end || shift > 28) throw new RangeError('the levels end too early')
      const byte = bytes[at++] as number
      header += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) break
    }
    const runs = Math.floor(header / 2)
    if (header % 2 === 1) {
      const run = { at, count: Math.min(runs * 8, count - seen), width }
      unpackBits(bytes, { ...run, end: place.end }, output, seen)
      seen += run.count
      at += runs * width
    } else {
      const valueBytes = (width + 7) >> 3
      if (runs === 0 || at + valueBytes > place.end)
        throw new RangeError('the levels end too early')
      let value = 0
      for (let i = 0; i < valueBytes; i++) value += (bytes[at + i] as number) * 2 ** (8 * i)
      if (value >= 2 ** width) throw new RangeError(`a value of more than ${width} bits`)
      at += valueBytes
      output.fill(value, seen, Math.min(count, seen + runs))
      seen += runs
    }
  }
  return output
}

function unpackBits(
  bytes: Uint8Array,
  run: { at: number; count: number; width: number; end: number },
  output: Uint8Array | Uint32Array,
  seen: number,
): void {
  const { width, count } = run
  if (run.at + Math.ceil((count * width) / 8) > run.end) {
    throw new RangeError('the levels end too early')
  }
  if (width === 1) {
    const whole = count & ~7
    for (let i = 0; i < whole; i += 8) {
      const byte = bytes[run.at + (i >> 3)] as number
      const to = seen + i
      output[to] = byte & 1
      output[to + 1] = (byte >> 1) & 1
      output[to + 2] = (byte >> 2) & 1
      output[to + 3] = (byte >> 3) & 1
      output[to + 4] = (byte >> 4) & 1
      output[to + 5] = (byte >> 5) & 1
      output[to + 6] = (byte >> 6) & 1
      output[to + 7] = byte >> 7
    }
    for (let i = whole; i < count; i++) {
      output[seen + i] = ((bytes[run.at + (i >> 3)] as number) >> (i & 7)) & 1
    }
    return
  }
  const mask = 2 ** width
  let at = run.at
  let held = 0
  let heldBits = 0
  for (let i = 0; i < count; i++) {
    // Up to 39 bits are held: beyond what shifts can do, so they are powers of two.
    while (heldBits < width) {
      held += (bytes[at++] as number) * 2 ** heldBits
      heldBits += 8
    }
    const value = held % mask
    output[seen + i] = value
    held = (held - value) / mask
    heldBits -= width
  }
}
