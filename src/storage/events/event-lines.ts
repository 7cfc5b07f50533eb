const LF = 0x0a

/**
 * Non-empty lines of a stream that may never end, blanks around them removed. Holds one line at
 * most: the rest of one that is too long is dropped as it comes. What follows the last LF is none.
 */
export async function* eventLines(
  pieces: AsyncIterable<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<{ readonly text: string } | { readonly tooLong: true }> {
  let parts: Buffer[] = []
  let bytes = 0
  for await (const piece of pieces) {
    const buffer = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
    for (let from = 0; from < buffer.length; ) {
      const found = buffer.indexOf(LF, from)
      const end = found < 0 ? buffer.length : found
      bytes += end - from
      if (bytes > bytesMax) parts = []
      else if (end > from) parts.push(buffer.subarray(from, end))
      from = end + 1
      if (found < 0) break
      const text = bytes > bytesMax ? '' : Buffer.concat(parts).toString('utf8').trim()
      if (bytes > bytesMax) yield { tooLong: true }
      else if (text !== '') yield { text }
      parts = []
      bytes = 0
    }
  }
}
