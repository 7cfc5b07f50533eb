import { AkidbError } from '../errors/errors.ts'
import { decodeBase64, decodeUtf8, encodeBase64 } from './base64.ts'
import { publicKeyOfSpki, spkiOf } from './ed25519.ts'
import { isKeyName } from './key-name.ts'
import { publicKeyOf } from './key-pair.ts'
import type { PublicKey } from './signer.ts'

/** Longest public key file that is read. */
export const PUBLIC_KEY_FILE_BYTES_MAX = 4096

const BEGIN = '-----BEGIN PUBLIC KEY-----'
const END = '-----END PUBLIC KEY-----'
const NAME_LINE = /^# name: (.*)$/

/**
 * A public key as PEM (RFC 7468, SubjectPublicKeyInfo of RFC 8410), with its name in a comment line
 * before it where it has one. `openssl pkey -pubin` reads it.
 */
export function encodePublicKey(key: PublicKey): string {
  const name = key.name === undefined ? '' : `# name: ${key.name}\n`
  return `${name}${BEGIN}\n${encodeBase64(spkiOf(key.raw))}\n${END}\n`
}

/**
 * The Ed25519 key in a PEM text. Comment lines ("# …") and blank lines may stand before and after;
 * nothing else may.
 * @param where for messages, for example the file's path
 * @throws BAD_INPUT
 */
export function parsePublicKey(bytes: Uint8Array, where: string): PublicKey {
  if (bytes.length > PUBLIC_KEY_FILE_BYTES_MAX) throw badKey(where, 'it is too long')
  const text = decodeUtf8(bytes)
  if (text === undefined) throw badKey(where, 'it is not UTF-8')
  const lines = text.split(/\r?\n/).map((line) => line.trimEnd())
  const begin = lines.indexOf(BEGIN)
  const end = lines.indexOf(END)
  const around = [...lines.slice(0, Math.max(0, begin)), ...lines.slice(end + 1)]
  if (begin < 0 || end < begin || !around.every((line) => line === '' || line.startsWith('#'))) {
    throw badKey(where, 'it is not one public key in PEM')
  }
  const der = decodeBase64(lines.slice(begin + 1, end).join(''))
  const raw = der === undefined ? undefined : publicKeyOfSpki(der)
  if (raw === undefined) throw badKey(where, 'it is not an Ed25519 key')
  return publicKeyOf(raw, nameIn(lines.slice(0, begin)))
}

function nameIn(comments: readonly string[]): string | undefined {
  for (const line of comments) {
    const name = NAME_LINE.exec(line)?.[1]
    if (name !== undefined && isKeyName(name)) return name
  }
  return undefined
}

const badKey = (where: string, why: string): AkidbError =>
  new AkidbError('BAD_INPUT', `${where} holds no public key: ${why}`, {
    hint: 'Give the file that "akidb keys export" wrote.',
  })
