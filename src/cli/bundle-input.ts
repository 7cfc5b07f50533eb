import { AkidbError } from '../errors/errors.ts'
import type { BundleInput, BundleOutput } from '../index.ts'
import type { Context } from './context.ts'
import type { Io } from './io.ts'

/** A bundle named on the command line; `-` is stdin. */
export function bundleInput(io: Io, path: string): BundleInput {
  if (path !== '-') return { path }
  if (io.stdin.isTTY === true) {
    throw new AkidbError('USAGE', 'a bundle would be read from stdin, which is a terminal')
  }
  return { name: 'stdin', stream: bytesOf(io.stdin) }
}

/** Where a bundle is written; `-` is stdout. */
export function bundleOutput(
  { session }: Pick<Context, 'session'>,
  { output, force }: { readonly output: string; readonly force?: true },
): BundleOutput {
  if (output !== '-') return { path: output, force: force === true }
  const { out } = session
  if (out.isTerminal) {
    throw new AkidbError('USAGE', '-o - would write a bundle to the terminal', {
      hint: 'Send it through a pipe, or name a file.',
    })
  }
  return { write: (bytes) => out.write(bytes) }
}

/** The bytes of a stream whose pieces may be text. */
export async function* bytesOf(
  stream: AsyncIterable<Uint8Array | string>,
): AsyncIterable<Uint8Array> {
  for await (const piece of stream) yield typeof piece === 'string' ? Buffer.from(piece) : piece
}
