import { readFile, stat } from 'node:fs/promises'
import { parseJson } from '../core/json.ts'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import type { Io } from './io.ts'

/** A filter or a vector given as a file: far more than 16,384 numbers or 10,000 conditions need. */
const ARGUMENT_BYTES_MAX = 16 * 1024 * 1024

/**
 * The bytes of stdin, at most `max`. A terminal on stdin is USAGE: nobody would know what is waited
 * for.
 */
export async function readStdin(io: Io, what: string, max = ARGUMENT_BYTES_MAX): Promise<string> {
  if (io.stdin.isTTY === true) {
    throw new AkidbError('USAGE', `${what} would be read from stdin, which is a terminal`)
  }
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of io.stdin) {
    pieces.push(Buffer.from(piece))
    bytes += piece.length
    if (bytes > max) throw tooLarge(what, max)
  }
  return utf8(Buffer.concat(pieces), what)
}

/** Text of a small file named on the command line. */
export async function readArgumentFile(path: string, what: string): Promise<string> {
  try {
    const status = await stat(path)
    if (status.isDirectory()) throw new AkidbError('USAGE', `${what}: "${path}" is a folder`)
    if (status.size > ARGUMENT_BYTES_MAX) throw tooLarge(what, ARGUMENT_BYTES_MAX)
    return utf8(await readFile(path), what)
  } catch (error) {
    if (error instanceof AkidbError) throw error
    const absent = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new AkidbError(absent ? 'NOT_FOUND' : 'AUTH', `${what}: cannot read "${path}"`, {
      cause: error,
    })
  }
}

/**
 * `--filter`: JSON, or `@file`. What is no JSON is USAGE; what the JSON says is the library's to
 * judge.
 */
export async function readFilter(text: string): Promise<unknown> {
  const json = text.startsWith('@') ? await readArgumentFile(text.slice(1), '--filter') : text
  return parseArgument(json, '--filter', 'A filter is JSON, as {"lang":"fi"}: akidb help filters.')
}

/** `--vector`: JSON where it begins with `[`, `-` for stdin, else a file that holds such JSON. */
export async function readVector(io: Io, text: string): Promise<Float32Array> {
  const json = text.trimStart().startsWith('[')
    ? text
    : text === '-'
      ? await readStdin(io, '--vector')
      : await readArgumentFile(text, '--vector')
  const value = parseArgument(json, '--vector', 'A vector is JSON, as [0.5, 1.25].')
  if (!Array.isArray(value) || value.length === 0 || value.length > limits.dimensionMax) {
    throw new AkidbError(
      'USAGE',
      `--vector: expected an array of 1 to ${limits.dimensionMax} numbers`,
    )
  }
  return Float32Array.from(value as readonly unknown[], (component, i) => {
    const number = typeof component === 'bigint' ? Number(component) : component
    if (typeof number === 'number' && Number.isFinite(Math.fround(number))) return number
    throw new AkidbError('BAD_INPUT', `--vector: component ${i} is no finite 32-bit number`)
  })
}

const parseArgument = (json: string, what: string, hint: string) => {
  try {
    return parseJson(json)
  } catch (error) {
    if (!(error instanceof AkidbError)) throw error
    // Too deep is a limit, as it is where the depth is the filter's own.
    const code = error.code === 'LIMIT' ? 'LIMIT' : 'USAGE'
    throw new AkidbError(code, `${what}: ${error.message}`, { hint, cause: error })
  }
}

const utf8 = (bytes: Uint8Array, what: string): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new AkidbError('USAGE', `${what}: the text is no UTF-8`)
  }
}

const tooLarge = (what: string, max: number): AkidbError =>
  new AkidbError('LIMIT', `${what}: over ${max} bytes`, {
    details: { limit: 'argumentBytes', max },
  })
