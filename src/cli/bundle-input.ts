import { AkidbError } from '../errors/errors.ts'
import type { BundleInput } from '../index.ts'
import type { Io } from './io.ts'

/** A bundle named on the command line; `-` is stdin. */
export function bundleInput(io: Io, path: string): BundleInput {
  if (path !== '-') return { path }
  if (io.stdin.isTTY === true) {
    throw new AkidbError('USAGE', 'a bundle would be read from stdin, which is a terminal')
  }
  return { name: 'stdin', stream: bytesOf(io.stdin) }
}

/** The bytes of a stream whose pieces may be text. */
export async function* bytesOf(
  stream: AsyncIterable<Uint8Array | string>,
): AsyncIterable<Uint8Array> {
  for await (const piece of stream) yield typeof piece === 'string' ? Buffer.from(piece) : piece
}
