import { Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { AkidbError } from '../errors/errors.ts'

export type Compression = 'gzip' | 'zstd'

/** By the first bytes: gzip (RFC 1952) or zstd (RFC 8878, which may begin with a frame to skip). */
export function compressionOf(head: Uint8Array): Compression | undefined {
  const [a, b, c, d] = head
  if (a === 0x1f && b === 0x8b) return 'gzip'
  const isFrame = a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd
  const isSkipped = a !== undefined && a >> 4 === 5 && b === 0x2a && c === 0x4d && d === 0x18
  return isFrame || isSkipped ? 'zstd' : undefined
}

/**
 * The decompressed pieces of a stream, all members or frames of it, checksums checked.
 *
 * Output is made only as it is read, so a small file that expands without end costs time but no
 * memory. Throws BAD_INPUT where the data end early, fail their checksum, or something else
 * follows them.
 */
export async function* decompressed(
  source: AsyncIterable<Uint8Array>,
  compression: Compression,
): AsyncGenerator<Uint8Array> {
  const inflater = compression === 'gzip' ? createGunzip() : createZstdDecompress()
  let fed = 0
  let consumed = -1
  inflater.once('end', () => {
    consumed = inflater.bytesWritten
  })
  const counted = async function* () {
    for await (const piece of source) {
      fed += piece.length
      yield piece
    }
  }
  const pumping = pipeline(Readable.from(counted(), { highWaterMark: 1 }), inflater as Transform)
  // The same failure comes out of the loop below.
  pumping.catch(() => {})
  try {
    for await (const piece of inflater) yield piece as Uint8Array
    await pumping
  } catch (cause) {
    throw failure(cause, compression)
  }
  if (consumed >= 0 && consumed < fed) {
    throw new AkidbError(
      'BAD_INPUT',
      `After the ${compression} data, at byte ${consumed}, something else follows.`,
      {
        hint: 'Unpack it by hand and look at the end of the result.',
        details: { byte: consumed },
      },
    )
  }
}

function failure(cause: unknown, compression: Compression): unknown {
  if (cause instanceof AkidbError || !(cause instanceof Error)) return cause
  const code = String((cause as { code?: unknown }).code ?? '')
  if (!/^(Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB)/.test(code)) return cause
  const what = /unexpected end/i.test(cause.message)
    ? `The ${compression} data end too early: the file is cut short`
    : `The ${compression} data are damaged (${cause.message})`
  return new AkidbError('BAD_INPUT', `${what}.`, {
    hint: 'Copy the file again from its source.',
    cause,
  })
}
