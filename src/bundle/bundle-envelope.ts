import { AkidbError } from '../errors/errors.ts'
import {
  type EnvelopeKeys,
  openChunk,
  sealChunk,
  wipe,
} from '../storage/envelope/envelope-cipher.ts'
import {
  decodeHead,
  FIXED_BYTES,
  HEAD_BYTES,
  isEnvelope,
  MAGIC_BYTES,
  TAG_BYTES,
  wrappingBytes,
} from '../storage/envelope/envelope-head.ts'
import {
  decodeOpening,
  type EnvelopeOpening,
  type NewEnvelope,
} from '../storage/envelope/kes-envelope.ts'
import { ByteSource } from './byte-source.ts'

/** Writes a bundle into an envelope, whose keys the caller wipes. Memory: one chunk. */
export interface EnvelopeWriter {
  /** Takes a copy of the bytes. */
  write(bytes: Uint8Array): Promise<void>
  /** The last chunk. Without it nothing of the envelope can be used. @returns bytes of the whole */
  finish(): Promise<number>
}

/** @param write takes the envelope's bytes, in order */
export function createEnvelopeWriter(
  { opening, keys }: NewEnvelope,
  write: (bytes: Uint8Array) => Promise<void>,
): EnvelopeWriter {
  const chunk = new Uint8Array(keys.chunkBytes)
  let [filled, index, written] = [0, 0, 0]
  const put = async (bytes: Uint8Array): Promise<void> => {
    written += bytes.length
    await write(bytes)
  }
  const seal = async (isLast: boolean): Promise<void> => {
    if (index === 0) await put(opening)
    await put(sealChunk(keys, index++, { plaintext: chunk.subarray(0, filled), isLast }))
    filled = 0
  }
  return {
    write: async (bytes) => {
      for (let at = 0; at < bytes.length; ) {
        // A full chunk waits for what follows: it may be the last.
        if (filled === chunk.length) await seal(false)
        const part = bytes.subarray(at, at + chunk.length - filled)
        chunk.set(part, filled)
        filled += part.length
        at += part.length
      }
    },
    finish: async () => {
      await seal(true)
      chunk.fill(0)
      return written
    },
  }
}

export interface OpenBundleOptions {
  /** For messages. */
  readonly name: string
  /** Asked for the keys where the bundle is in an envelope; it says why where it has none. */
  readonly unseal: (opening: EnvelopeOpening) => Promise<EnvelopeKeys>
  readonly signal?: AbortSignal | undefined
}

/**
 * A bundle's bytes: those that were given, or where they are an envelope (they tell it by their
 * first four) what is in it. Nothing is handed out before its chunk was authenticated, and an
 * envelope that was cut or goes on after its end fails at the end.
 *
 * A piece is valid until the next one is asked for.
 *
 * @throws INTEGRITY for an envelope that was altered, cut, reordered or extended; FORMAT_VERSION;
 *   what `unseal` throws
 */
export async function* openBundleBytes(
  pieces: AsyncIterable<Uint8Array>,
  options: OpenBundleOptions,
): AsyncGenerator<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]()
  try {
    const first = await firstBytes(iterator)
    const whole = rejoined(first, iterator)
    if (!isEnvelope(first)) return yield* whole
    const source = new ByteSource(whole, options.signal)
    const opening = await readOpening(source, options.name)
    if (opening?.head.kind !== 'bundle') throw noBundle(options.name)
    const keys = await options.unseal(opening)
    try {
      yield* decryptChunks(source, keys, options.name)
    } finally {
      wipe(keys)
    }
  } finally {
    await iterator.return?.()
  }
}

const noBundle = (name: string): AkidbError =>
  new AkidbError('INTEGRITY', `the envelope ${name} is that of a blob, not of a bundle`, {
    hint: 'Give a file that akidb export wrote.',
  })

/** As many bytes as tell an envelope from a bundle; fewer where there are no more. */
async function firstBytes(iterator: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  let first: Uint8Array = new Uint8Array(0)
  while (first.length < MAGIC_BYTES) {
    const next = await iterator.next()
    if (next.done === true) return first
    // Only where a piece is that short do its bytes outlive it.
    first = first.length === 0 ? next.value : Buffer.concat([first, next.value])
    if (first.length < MAGIC_BYTES) first = Uint8Array.from(first)
  }
  return first
}

async function* rejoined(
  first: Uint8Array,
  iterator: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (first.length > 0) yield first
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
    yield next.value
  }
}

/**
 * What stands before the chunks; undefined for what does not begin as an envelope does.
 *
 * @throws INTEGRITY, FORMAT_VERSION
 */
export async function readOpening(
  source: ByteSource,
  where: string,
): Promise<EnvelopeOpening | undefined> {
  const fixed = await source.take(FIXED_BYTES)
  if (!isEnvelope(fixed)) return undefined
  decodeHead(fixed, where)
  const rest = wrappingBytes(fixed.subarray(HEAD_BYTES), where) - (FIXED_BYTES - HEAD_BYTES)
  return decodeOpening(Buffer.concat([fixed, await source.take(rest)]), where)
}

/**
 * What is in an envelope, from behind its opening to the end of the source.
 *
 * @throws INTEGRITY where it was altered, cut, reordered or extended
 */
export async function* decryptChunks(
  source: ByteSource,
  keys: EnvelopeKeys,
  where: string,
): AsyncGenerator<Uint8Array> {
  for (let index = 0; ; index++) {
    const offset = source.offset
    const sealed = await source.take(keys.chunkBytes + TAG_BYTES)
    const isLast = await source.atEnd()
    const plaintext = openChunk(keys, index, { sealed, isLast })
    if (plaintext === undefined || (plaintext.length === 0 && index > 0)) {
      const isOther = openChunk(keys, index, { sealed, isLast: !isLast }) !== undefined
      throw damaged(where, offset, { isLast, isOther })
    }
    yield plaintext
    if (isLast) return
  }
}

function damaged(
  where: string,
  offset: number,
  { isLast, isOther }: { readonly isLast: boolean; readonly isOther: boolean },
): AkidbError {
  const cut = isLast ? 'it is truncated: more must follow' : 'it must end there, and more follows'
  const what = isOther ? cut : 'the bytes there are not those that were encrypted'
  return new AkidbError(
    'INTEGRITY',
    `the envelope ${where} is damaged at byte ${offset}: ${what}`,
    {
      hint: 'Carry the bundle over again, or ask its sender.',
      details: { offset },
    },
  )
}
