import { scrypt } from 'node:crypto'
import type { RandomBytes } from '../core/clock.ts'
import { AkidbError } from '../errors/errors.ts'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { BOX_KEY_BYTES, BOX_NONCE_BYTES, BOX_OVERHEAD_BYTES, openBox, sealBox } from './ed25519.ts'

/** Cost of new boxes: 128 MiB and a third of a second. Source: RFC 7914. */
const COST = { n: 2 ** 17, r: 8, p: 1 } as const
/** What is accepted on reading: a hostile file must not exhaust memory or time. */
const COST_MAX = { n: 2 ** 20, r: 32, p: 16 } as const
const N_MIN = 2 ** 14
const MEMORY_BYTES_MAX = 512 * 1024 * 1024
/** Bound on n·r·p: 64 times the work of a new box. */
const WORK_MAX = 64 * COST.n * COST.r * COST.p
const SALT_BYTES = 32
const SALT_BYTES_MIN = 16
const SALT_BYTES_MAX = 64
const PLAIN_BYTES_MAX = 1024 * 1024

/**
 * Secret bytes under a passphrase: scrypt, then NaCl's secretbox. JSON-ready; binary fields are
 * base64.
 */
export interface PassphraseBox {
  readonly kdf: 'scrypt'
  readonly n: number
  readonly r: number
  readonly p: number
  readonly salt: string
  readonly nonce: string
  readonly box: string
}

/** Encrypts `plain` under a passphrase (as UTF-8 of its NFC form). */
export async function sealWithPassphrase(
  plain: Uint8Array,
  passphrase: string,
  random: RandomBytes,
): Promise<PassphraseBox> {
  if (passphrase === '') {
    throw new AkidbError('USAGE', 'the passphrase is empty', {
      hint: 'Give one, or none at all for a key without passphrase.',
    })
  }
  const salt = random(SALT_BYTES)
  const nonce = random(BOX_NONCE_BYTES)
  const key = await deriveKey(passphrase, salt, COST)
  const box = sealBox(plain, nonce, key)
  return {
    kdf: 'scrypt',
    ...COST,
    salt: encodeBase64(salt),
    nonce: encodeBase64(nonce),
    box: encodeBase64(box),
  }
}

/**
 * The plain bytes of a box.
 * @param what for messages, for example 'key "default"'
 * @throws AUTH where the passphrase is wrong (or the box was altered: they cannot be told apart)
 * @throws INTEGRITY where the box is malformed or its cost is out of bounds
 */
export async function openWithPassphrase(
  box: PassphraseBox,
  passphrase: string,
  what: string,
): Promise<Uint8Array> {
  const parts = partsOf(box)
  if (parts === undefined) {
    throw new AkidbError('INTEGRITY', `the encryption of ${what} is malformed`, {
      hint: 'Restore it from a backup ("akidb keys backup").',
    })
  }
  const key = await deriveKey(passphrase, parts.salt, box)
  const plain = openBox(parts.box, parts.nonce, key)
  if (plain !== undefined) return plain
  throw new AkidbError('AUTH', `the passphrase of ${what} is wrong`, {
    hint: 'Try again; there is no way around a lost passphrase but a new key.',
  })
}

/** Whether a parsed JSON value has the shape of a box; bounds are checked when it is opened. */
export function isPassphraseBox(value: unknown): value is PassphraseBox {
  if (typeof value !== 'object' || value === null) return false
  const box = value as Record<string, unknown>
  return (
    box.kdf === 'scrypt' &&
    [box.n, box.r, box.p].every((cost) => typeof cost === 'number') &&
    [box.salt, box.nonce, box.box].every((text) => typeof text === 'string')
  )
}

function partsOf(box: PassphraseBox) {
  const salt = decodeBase64(box.salt)
  const nonce = decodeBase64(box.nonce)
  const sealed = decodeBase64(box.box)
  if (salt === undefined || nonce === undefined || sealed === undefined) return undefined
  const fits =
    isCostBounded(box) &&
    salt.length >= SALT_BYTES_MIN &&
    salt.length <= SALT_BYTES_MAX &&
    nonce.length === BOX_NONCE_BYTES &&
    sealed.length >= BOX_OVERHEAD_BYTES &&
    sealed.length <= PLAIN_BYTES_MAX * 2
  return fits ? { salt, nonce, box: sealed } : undefined
}

function isCostBounded({ n, r, p }: { n: number; r: number; p: number }): boolean {
  const whole = [n, r, p].every((cost) => Number.isInteger(cost) && cost > 0)
  const powerOfTwo = whole && Number.isInteger(Math.log2(n))
  return (
    powerOfTwo &&
    n >= N_MIN &&
    n <= COST_MAX.n &&
    r <= COST_MAX.r &&
    p <= COST_MAX.p &&
    128 * n * r <= MEMORY_BYTES_MAX &&
    n * r * p <= WORK_MAX
  )
}

function deriveKey(
  passphrase: string,
  salt: Uint8Array,
  { n, r, p }: { readonly n: number; readonly r: number; readonly p: number },
): Promise<Uint8Array> {
  const secret = Buffer.from(passphrase.normalize('NFC'), 'utf8')
  const options = { N: n, r, p, maxmem: 128 * n * r + 128 * r * (p + 2) + 1024 * 1024 }
  return new Promise((resolve, reject) => {
    scrypt(secret, salt, BOX_KEY_BYTES, options, (error, key) => {
      if (error === null) resolve(new Uint8Array(key))
      else reject(error)
    })
  })
}
