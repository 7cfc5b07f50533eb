import type { RandomBytes } from '../core/clock.ts'
import { AkidbError } from '../errors/errors.ts'
import { decodeBase64, decodeUtf8, encodeBase64 } from './base64.ts'
import { isSafePoint, SEED_BYTES } from './ed25519.ts'
import { isKeyName } from './key-name.ts'
import { type KeyPair, keyPairOfSeed, publicKeyOf } from './key-pair.ts'
import {
  isPassphraseBox,
  openWithPassphrase,
  type PassphraseBox,
  sealWithPassphrase,
} from './passphrase-box.ts'
import type { PublicKey } from './signer.ts'

const FORMAT = 'akidb-key/1'
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/

/** A private key at rest. Its public half can be read without the passphrase. */
export interface PrivateKeyFile {
  readonly key: PublicKey
  readonly name: string
  /** ISO 8601, UTC. */
  readonly createdAt: string
  readonly secret: { readonly seed: Uint8Array } | PassphraseBox
}

export interface EncodeKeyOptions {
  readonly name: string
  readonly createdAt: string
  /** Absent: the seed stands there in plain. */
  readonly passphrase?: string
  readonly random: RandomBytes
}

/** JSON bytes of a private key, encrypted where there is a passphrase. */
export async function encodePrivateKey(
  pair: KeyPair,
  options: EncodeKeyOptions,
): Promise<Uint8Array> {
  const secret =
    options.passphrase === undefined
      ? { seed: encodeBase64(pair.seed) }
      : await sealWithPassphrase(pair.seed, options.passphrase, options.random)
  const file = {
    format: FORMAT,
    name: options.name,
    keyId: pair.key.keyId,
    publicKey: encodeBase64(pair.key.raw),
    createdAt: options.createdAt,
    secret,
  }
  return new Uint8Array(Buffer.from(`${JSON.stringify(file, null, 2)}\n`, 'utf8'))
}

/**
 * Parses the file of a private key; the secret stays closed.
 * @throws INTEGRITY where it is damaged, FORMAT_VERSION where it is of another format
 */
export function parsePrivateKey(bytes: Uint8Array, where: string): PrivateKeyFile {
  const value = parseObject(bytes, where)
  if (typeof value.format === 'string' && value.format !== FORMAT) {
    throw new AkidbError('FORMAT_VERSION', `${where} is of format ${value.format.slice(0, 64)}`, {
      hint: `This akidb reads ${FORMAT}.`,
    })
  }
  const { name, keyId, publicKey, createdAt } = value
  const raw = typeof publicKey === 'string' ? decodeBase64(publicKey) : undefined
  const secret = toSecret(value.secret)
  const texts = typeof name === 'string' && typeof createdAt === 'string'
  if (value.format !== FORMAT || !texts || raw === undefined || secret === undefined) {
    throw damaged(where)
  }
  if (!isKeyName(name) || !ISO_TIME.test(createdAt) || !isSafePoint(raw)) throw damaged(where)
  const key = publicKeyOf(raw, name)
  if (key.keyId !== keyId) throw damaged(where)
  return { key, name, createdAt, secret }
}

/**
 * The key pair in a parsed file.
 * @throws AUTH where it is locked and the passphrase missing or wrong
 * @throws INTEGRITY where the secret does not belong to the public key
 */
export async function unlockPrivateKey(
  file: PrivateKeyFile,
  passphrase: string | undefined,
): Promise<KeyPair> {
  const seed = await seedOf(file, passphrase)
  const where = `key "${file.name}"`
  if (seed.length !== SEED_BYTES) throw damaged(where)
  const pair = keyPairOfSeed(seed, file.name)
  if (pair.key.keyId !== file.key.keyId) throw damaged(where)
  return pair
}

async function seedOf(file: PrivateKeyFile, passphrase: string | undefined): Promise<Uint8Array> {
  if ('seed' in file.secret) return file.secret.seed
  if (passphrase !== undefined) {
    return openWithPassphrase(file.secret, passphrase, `key "${file.name}"`)
  }
  throw new AkidbError('AUTH', `key "${file.name}" is locked by a passphrase`, {
    hint: 'Give it with --passphrase-file, or run the command on a terminal.',
    details: { key: file.name, keyId: file.key.keyId },
  })
}

function toSecret(value: unknown): PrivateKeyFile['secret'] | undefined {
  if (isPassphraseBox(value)) return value
  if (typeof value !== 'object' || value === null || !('seed' in value)) return undefined
  const seed = typeof value.seed === 'string' ? decodeBase64(value.seed) : undefined
  return seed?.length === SEED_BYTES ? { seed } : undefined
}

function parseObject(bytes: Uint8Array, where: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(decodeUtf8(bytes) ?? '')
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Falls through to the one message for whatever is not a key file.
  }
  throw damaged(where)
}

const damaged = (where: string): AkidbError =>
  new AkidbError('INTEGRITY', `${where} is damaged`, {
    hint: 'Restore it from a backup, or make a new key with "akidb keys generate --replace".',
  })
