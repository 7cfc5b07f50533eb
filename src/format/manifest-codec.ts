import { sha256Hex } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { type Check, ShapeError } from '../core/shape.ts'
import { AkidbError } from '../errors/errors.ts'
import type { CollectionState, Commit, Manifest } from './manifest.ts'
import { commitShape, stateShape } from './manifest-shape.ts'

/** Features that this version reads. A state that requires another is FORMAT_VERSION. */
export const KNOWN_REQUIRES: readonly string[] = []

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
  const commit: Commit = checked(bytes.subarray(0, end), commitShape, where)
  if (sha256Hex(stateBytes) !== commit.stateRoot) {
    throw damaged(where, 'its second line is not the state that its first line names')
  }
  const state = decodeState(stateBytes, where)
  return { digest: sha256Hex(file), commit, state, stateBytes }
}

/** @throws INTEGRITY, or FORMAT_VERSION naming the feature that this version lacks */
export function decodeState(bytes: Uint8Array, where: string): CollectionState {
  const state: CollectionState = checked(bytes, stateShape, where)
  const unknown = state.requires.filter((feature) => !KNOWN_REQUIRES.includes(feature))
  if (unknown.length > 0) {
    throw new AkidbError('FORMAT_VERSION', `${where} requires ${unknown.join(', ')}`, {
      hint: 'Open it with a newer akidb.',
      details: { requires: unknown },
    })
  }
  return state
}

function checked<T>(bytes: Uint8Array, shape: Check<T>, where: string): T {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return shape(JSON.parse(text), 'manifest')
  } catch (cause) {
    if (cause instanceof ShapeError) throw damaged(where, cause.message, cause)
    throw damaged(where, 'it is not JSON', cause)
  }
}

const damaged = (where: string, what: string, cause?: unknown): AkidbError =>
  new AkidbError('INTEGRITY', `manifest ${where} is damaged: ${what}`, {
    hint: 'Run akidb check; akidb log shows the versions that are whole.',
    details: { key: where },
    cause,
  })
