import { sha256 } from '../core/digest.ts'
import { AkidbError } from '../errors/errors.ts'
import { decodeBase64, decodeUtf8, encodeBase64 } from './base64.ts'
import { verifyEd25519 } from './ed25519.ts'
import type { PublicKey, Signer } from './signer.ts'

/** Longest note, and most signature lines (the specification asks for 16 at least). */
export const NOTE_BYTES_MAX = 1024 * 1024
export const NOTE_SIGNATURES_MAX = 100

const ED25519 = 0x01
const KEY_HASH_BYTES = 4
const DASH = '\u2014 '
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what the format forbids.
const CONTROLS = /[\u0000-\u0009\u000b-\u001f]/
/** Unicode White_Space: \s lacks NEL. */
const BAD_NAME = /[\s\u0085+]/u

/** A key under the name by which notes know it. */
export interface NoteVerifier {
  readonly name: string
  readonly key: PublicKey
}

/** One signature line. */
export interface NoteSignature {
  readonly name: string
  /** 4 bytes, as hexadecimal digits. */
  readonly keyHash: string
  readonly signature: Uint8Array
}

export interface ParsedNote {
  /** What is signed, with its final newline. */
  readonly text: string
  readonly signatures: readonly NoteSignature[]
}

export interface OpenedNote extends ParsedNote {
  /** Known keys that signed it, at least one, each once. */
  readonly verified: readonly NoteVerifier[]
}

/**
 * A note with one Ed25519 signature: text, blank line, signature line. Source: C2SP signed-note.
 * @param text ends with a newline and holds no other control characters
 * @throws INTERNAL for a text or name that no note can carry
 */
export function signNote(text: string, name: string, signer: Signer): Uint8Array {
  const body = Buffer.from(text, 'utf8')
  if (!isNoteText(text) || decodeUtf8(body) !== text || !isNoteName(name)) {
    throw new AkidbError('INTERNAL', `no note can carry this text under the name "${name}"`)
  }
  const hash = Buffer.from(noteKeyHash(name, signer.key.raw), 'hex')
  const line = encodeBase64(Buffer.concat([hash, signer.sign(body)]))
  return new Uint8Array(Buffer.concat([body, Buffer.from(`\n${DASH}${name} ${line}\n`, 'utf8')]))
}

/**
 * Parses a note and checks the signatures of known keys; those of unknown keys are not counted.
 * @throws SIGNATURE where the note is malformed, or the signature of a known key does not hold
 * @throws UNTRUSTED where no known key signed it
 */
export function openNote(bytes: Uint8Array, verifiers: readonly NoteVerifier[]): OpenedNote {
  const note = parseNote(bytes)
  const body = Buffer.from(note.text, 'utf8')
  const verified = new Set<NoteVerifier>()
  for (const line of note.signatures) {
    for (const verifier of verifiers) {
      if (verifier.name !== line.name) continue
      if (noteKeyHash(verifier.name, verifier.key.raw) !== line.keyHash) continue
      if (!verifyEd25519(verifier.key.raw, body, line.signature)) {
        throw malformed(`the signature of "${line.name}" does not hold`)
      }
      verified.add(verifier)
    }
  }
  if (verified.size > 0) return { ...note, verified: [...verified] }
  const names = note.signatures.map((line) => `${line.name} (${line.keyHash})`).join(', ')
  throw new AkidbError('UNTRUSTED', `the note is signed by no known key, only by ${names}`, {
    hint: 'Trust the key that signed it ("akidb keys trust"), or give it with --key.',
  })
}

/**
 * Splits a note without judging its signatures. Strict: the bytes are those that encode the result.
 * @throws SIGNATURE where it is malformed
 */
export function parseNote(bytes: Uint8Array): ParsedNote {
  if (bytes.length > NOTE_BYTES_MAX) throw malformed(`it is longer than ${NOTE_BYTES_MAX} bytes`)
  const whole = decodeUtf8(bytes)
  if (whole === undefined) throw malformed('it is not UTF-8')
  const split = whole.lastIndexOf('\n\n')
  if (split < 0) throw malformed('it has no blank line before its signatures')
  const text = whole.slice(0, split + 1)
  const tail = whole.slice(split + 2)
  if (!isNoteText(text) || CONTROLS.test(tail)) throw malformed('it holds control characters')
  if (!tail.endsWith('\n')) throw malformed('its last line is torn')
  const lines = tail.slice(0, -1).split('\n')
  if (lines.length > NOTE_SIGNATURES_MAX) {
    throw malformed(`it has more than ${NOTE_SIGNATURES_MAX} signatures`)
  }
  return { text, signatures: lines.map(parseLine) }
}

/**
 * Key hash of an Ed25519 key under a name: 8 hexadecimal digits. Source: C2SP signed-note,
 * "Signatures".
 */
export const noteKeyHash = (name: string, raw: Uint8Array): string =>
  Buffer.from(sha256(Buffer.from(`${name}\n`, 'utf8'), Uint8Array.of(ED25519), raw))
    .subarray(0, KEY_HASH_BYTES)
    .toString('hex')

/**
 * Whether a key can bear this name in notes: not empty, no spaces, no plus, no control characters.
 */
export const isNoteName = (name: string): boolean =>
  name.length > 0 && !BAD_NAME.test(name) && !CONTROLS.test(name) && name.isWellFormed()

const isNoteText = (text: string): boolean => text.endsWith('\n') && !CONTROLS.test(text)

function parseLine(line: string): NoteSignature {
  const [name, encoded, ...rest] = line.slice(DASH.length).split(' ')
  const bytes = decodeBase64(encoded ?? '')
  const valid = line.startsWith(DASH) && rest.length === 0 && isNoteName(name ?? '')
  if (!valid || name === undefined || bytes === undefined || bytes.length <= KEY_HASH_BYTES) {
    throw malformed('a signature line is malformed')
  }
  const keyHash = Buffer.from(bytes.subarray(0, KEY_HASH_BYTES)).toString('hex')
  return { name, keyHash, signature: bytes.slice(KEY_HASH_BYTES) }
}

const malformed = (why: string): AkidbError =>
  new AkidbError('SIGNATURE', `the signed note does not check out: ${why}`, {
    hint: 'It was altered or torn; get it again from where it was made.',
  })
