import { open } from 'node:fs/promises'
import { AkidbError } from '../errors/errors.ts'
import type { InputBytes } from './records.ts'

const PIECE_BYTES = 1_048_576

/** A regular file, or a pipe or device by its name. NOT_FOUND, or AUTH where it may not be read. */
export async function openFile(path: string): Promise<InputBytes> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw cannotOpen(path, error)
  })
  const stat = await handle.stat()
  if (stat.isDirectory()) {
    await handle.close()
    throw new AkidbError('USAGE', `${path} is a folder, not a file.`)
  }
  const close = async (): Promise<void> => handle.close()
  if (!stat.isFile()) {
    return {
      name: path,
      stream: () => pipePieces(handle.createReadStream({ autoClose: false })),
      close,
    }
  }
  const readAt = async (offset: number, bytes: number): Promise<Uint8Array> => {
    const wanted = Math.max(0, Math.min(bytes, stat.size - offset))
    const buffer = Buffer.allocUnsafeSlow(wanted)
    let filled = 0
    while (filled < wanted) {
      const { bytesRead } = await handle.read(buffer, filled, wanted - filled, offset + filled)
      if (bytesRead === 0)
        throw new AkidbError('BAD_INPUT', `${path} became shorter while it was read.`)
      filled += bytesRead
    }
    return buffer
  }
  return {
    name: path,
    bytes: stat.size,
    readAt,
    stream: () => piecesByReadAt(readAt, stat.size),
    close,
  }
}

/** Standard input or another stream of bytes. */
export function stdinBytes(stream: AsyncIterable<Uint8Array>, name = '-'): InputBytes {
  return { name, stream: () => pipePieces(stream), close: async () => {} }
}

/** The whole of something with random access, 1 MiB at a time, one piece ahead. */
export async function* piecesByReadAt(
  readAt: (offset: number, bytes: number) => Promise<Uint8Array>,
  bytes: number,
): AsyncGenerator<Uint8Array> {
  const read = (offset: number): Promise<Uint8Array> => {
    const piece = readAt(offset, Math.min(PIECE_BYTES, bytes - offset))
    // A failure is thrown where the piece is waited for.
    piece.catch(() => undefined)
    return piece
  }
  let ahead = bytes > 0 ? read(0) : undefined
  for (let offset = PIECE_BYTES; ahead !== undefined; offset += PIECE_BYTES) {
    const piece = await ahead
    ahead = offset < bytes ? read(offset) : undefined
    yield piece
  }
}

async function* pipePieces(stream: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const piece of stream) {
    yield typeof piece === 'string' ? Buffer.from(piece, 'utf8') : (piece as Uint8Array)
  }
}

function cannotOpen(path: string, cause: unknown): AkidbError {
  const code = (cause as { code?: unknown }).code
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new AkidbError('NOT_FOUND', `There is no file ${path}.`, { cause })
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new AkidbError('AUTH', `The file ${path} may not be read.`, {
      hint: 'Give the user read permission.',
      cause,
    })
  }
  return new AkidbError('BAD_INPUT', `The file ${path} cannot be opened: ${String(code)}.`, {
    cause,
  })
}
