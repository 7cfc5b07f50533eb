import { AkidbError } from '../errors/errors.ts'

/**
 * Pieces with their offset; a UTF-8 byte order mark is left out. BAD_INPUT for UTF-16 and UTF-32.
 */
export async function* skipBom(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ piece: Uint8Array; offset: number }> {
  let head: Uint8Array | undefined = new Uint8Array(0)
  let offset = 0
  for await (const piece of pieces) {
    if (head === undefined) {
      yield { piece, offset }
      offset += piece.length
      continue
    }
    head = head.length === 0 ? piece : Buffer.concat([head, piece])
    if (head.length < 4) continue
    offset = bomBytes(head)
    yield { piece: head.subarray(offset), offset }
    offset = head.length
    head = undefined
  }
  if (head !== undefined && head.length > 0) {
    offset = bomBytes(head)
    yield { piece: head.subarray(offset), offset }
  }
}

function bomBytes(head: Uint8Array): number {
  const [a, b, c, d] = head
  const wide =
    (a === 0xff && b === 0xfe) ||
    (a === 0xfe && b === 0xff) ||
    (a === 0 && b === 0 && c === 0xfe && d === 0xff) ||
    (head.length >= 4 && a !== 0 && b === 0 && c !== 0 && d === 0) ||
    (head.length >= 4 && a === 0 && b !== 0 && c === 0 && d !== 0)
  if (wide) {
    throw new AkidbError('BAD_INPUT', 'The file is UTF-16 or UTF-32, not UTF-8.', {
      hint: 'Convert it, for example with: iconv -f UTF-16 -t UTF-8',
    })
  }
  return a === 0xef && b === 0xbb && c === 0xbf ? 3 : 0
}
