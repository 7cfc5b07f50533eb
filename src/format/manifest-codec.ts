import { sha256Hex } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { type Check, ShapeError } from '../core/shape.ts'
import { AkidbError } from '../errors/errors.ts'
import type { CollectionState, Commit, Manifest } from './manifest.ts'
import { commitShape, stateFlaw, stateShape } from './manifest-shape.ts'
import { KNOWN_REQUIRES } from './requires.ts'

export const STATE_FORMAT = 'akidb-state/1'
export const MANIFEST_FORMAT = 'akidb-manifest/1'

/** Line 2's exact bytes and their digest, the state root. */
export interface EncodedState {
  readonly bytes: Uint8Array
  readonly stateRoot: string
}

export function encodeState(state: CollectionState): EncodedState {
  const bytes = Buffer.from(JSON.stringify(state), 'utf8')
  return { bytes, stateRoot: sha256Hex(bytes) }
}

/** The file: line 1, line end, line 2, line end. @throws LIMIT over manifestBytesMax */
export function encodeManifest(commit: Commit, stateBytes: Uint8Array): Uint8Array {
  const file = Buffer.concat([Buffer.from(`${JSON.stringify(commit)}\n`), stateBytes, NEWLINE])
  if (file.byteLength > limits.manifestBytesMax) {
    throw new AkidbError(
      'LIMIT',
      `a manifest of ${file.byteLength} bytes is over manifestBytesMax`,
      {
        hint: 'Merge segments with akidb compact.',
      },
    )
  }
  return file
}

const NEWLINE = Buffer.from('\n')

/**
 * @param where key of the file, for messages
 * @throws INTEGRITY where the bytes are no manifest or line 2 is not what line 1 names;
 *   FORMAT_VERSION
 */
export function decodeManifest(file: Uint8Array, where: string): Manifest {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  const end = bytes.indexOf(0x0a)
  if (file.byteLength > limits.manifestBytesMax || end < 0 || bytes.at(-1) !== 0x0a) {
    throw damaged(where, 'it is not two lines')
  }
  const stateBytes = bytes.subarray(end + 1, bytes.byteLength - 1)
  if (stateBytes.includes(0x0a)) throw damaged(where, 'it is not two lines')
  const commit = decodeCommit(bytes.subarray(0, end), where)
  if (sha256Hex(stateBytes) !== commit.stateRoot) {
    throw damaged(where, 'its second line is not the state that its first line names')
  }
  const state = decodeState(stateBytes, where)
  return { digest: sha256Hex(file), commit, state, stateBytes }
}

/** @throws INTEGRITY, or FORMAT_VERSION naming the feature that this version lacks */
export function decodeState(bytes: Uint8Array, where: string): CollectionState {
  const value = parseLine(bytes, where)
  checkFormat(value, STATE_FORMAT, where)
  checkRequires(value, where)
  const state = shaped(value, stateShape, where)
  const flaw = stateFlaw(state)
  if (flaw !== undefined) throw damaged(where, flaw)
  return state
}

function decodeCommit(bytes: Uint8Array, where: string): Commit {
  const value = parseLine(bytes, where)
  checkFormat(value, MANIFEST_FORMAT, where)
  return shaped(value, commitShape, where)
}

/**
 * One line of JSON. There is one encoding: printed again without spaces it gives the same bytes, so
 * that a key cannot stand twice and mean one thing here and another elsewhere.
 */
function parseLine(bytes: Uint8Array, where: string): unknown {
  let text: string
  let value: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    value = JSON.parse(text)
  } catch (cause) {
    throw damaged(where, 'it is not JSON', cause)
  }
  if (JSON.stringify(value) !== text) throw damaged(where, 'it is not compact JSON')
  return value
}

/** A newer format is said before anything else is looked at: all else may have changed with it. */
function checkFormat(value: unknown, known: string, where: string): void {
  const format = fieldOf(value, 'format')
  const [kind = ''] = known.split('/')
  if (typeof format !== 'string' || format === known || !format.startsWith(`${kind}/`)) return
  throw new AkidbError('FORMAT_VERSION', `${where} has format ${format.slice(0, 80)}`, {
    hint: 'Open it with a newer akidb.',
    details: { format },
  })
}

/** A feature is named `<feature>@<least version of akidb>`. */
function checkRequires(value: unknown, where: string): void {
  const requires = fieldOf(value, 'requires')
  if (!Array.isArray(requires)) return
  const unknown = requires.filter(
    (feature): feature is string =>
      typeof feature === 'string' && !KNOWN_REQUIRES.includes(feature),
  )
  if (unknown.length === 0) return
  const named = unknown.map((feature) => feature.slice(0, 80).replace(/@(.*)$/, ' (akidb $1)'))
  throw new AkidbError('FORMAT_VERSION', `${where} requires ${named.slice(0, 10).join(', ')}`, {
    hint: 'Open it with a newer akidb.',
    details: { requires: unknown },
  })
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined

function shaped<T>(value: unknown, shape: Check<T>, where: string): T {
  try {
    return shape(value, 'manifest')
  } catch (cause) {
    if (cause instanceof ShapeError) throw damaged(where, cause.message, cause)
    throw cause
  }
}

const damaged = (where: string, what: string, cause?: unknown): AkidbError =>
  new AkidbError('INTEGRITY', `manifest ${where} is damaged: ${what}`, {
    hint: 'Run akidb check; akidb log shows the versions that are whole.',
    details: { key: where },
    cause,
  })
