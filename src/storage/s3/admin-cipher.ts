import { type Argon2Parameters, argon2, createCipheriv, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { AkidbError } from '../../errors/errors.ts'

const deriveKey = promisify(argon2) as (
  algorithm: 'argon2id',
  parameters: Argon2Parameters,
) => Promise<Buffer>

const SALT_BYTES = 32
const NONCE_BYTES = 8
/** One fragment; requests to the admin API are far smaller. */
const FRAGMENT_BYTES_MAX = 16 * 1024
/** Argon2id (RFC 9106), AES-256-GCM. */
const KIND = 0x00
const ARGON2 = { parallelism: 4, memory: 64 * 1024, passes: 1, tagLength: 32 } as const
const LAST_FRAGMENT = 0x80

/**
 * Encrypts what MinIO's admin API wants secret, under the secret key of who asks: salt, kind of
 * cipher, nonce, and one sealed fragment. Source: madmin-go, EncryptData; sio-go, which numbers
 * fragments in the nonce from 1, and gives each the seal of nothing (number 0) as associated data.
 *
 * @throws LIMIT for a content of more than 16 KiB
 */
export async function encryptForAdmin(secretKey: string, content: Uint8Array): Promise<Buffer> {
  if (content.byteLength > FRAGMENT_BYTES_MAX) {
    throw new AkidbError('LIMIT', `credentials and address are over ${FRAGMENT_BYTES_MAX} bytes`)
  }
  const [salt, nonce] = [randomBytes(SALT_BYTES), randomBytes(NONCE_BYTES)]
  const key = await deriveKey('argon2id', { ...ARGON2, message: secretKey, nonce: salt })
  const seal = (number: number, data: Uint8Array, associated: Uint8Array): Buffer => {
    const sequence = Buffer.alloc(4)
    sequence.writeUInt32LE(number)
    const cipher = createCipheriv('aes-256-gcm', key, Buffer.concat([nonce, sequence]))
    cipher.setAAD(associated)
    return Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()])
  }
  const none = Buffer.alloc(0)
  const associated = Buffer.concat([Buffer.of(LAST_FRAGMENT), seal(0, none, none)])
  return Buffer.concat([salt, Buffer.of(KIND), nonce, seal(1, content, associated)])
}
