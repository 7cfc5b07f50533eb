import { open } from 'node:fs/promises'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { withFsErrors } from '../fs-errors.ts'

export type NatsCredentials =
  | {
      readonly kind: 'jwt'
      readonly jwt: string
      readonly seed: Uint8Array
      /** When they end, in seconds since 1970; undefined: never. */
      readonly expiresSeconds: number | undefined
    }
  | { readonly kind: 'nkey'; readonly seed: Uint8Array }
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string }

/** Mode bits of group and others. */
const OTHERS = 0o077
const SEED = /^SU[A-Z2-7]{56}$/
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
/** A damaged seed, one of another kind, or a JWT alone: nothing to send to a server as a token. */
const NO_TOKEN = /^(S[A-Z2-7]{20,}|eyJ.*|)$/
const LATEST_SECONDS = 8.64e12

/**
 * Credentials from a file that nobody else can read: a `.creds` file as `nsc` writes it, or one
 * line: an nkey's seed (`SU…`), `user:password`, or a token, which has no colon. Nothing of what is
 * in the file stands in an error.
 *
 * Source: nats.go, ParseDecoratedJWT and ParseDecoratedNKey; NATS, client protocol (CONNECT).
 *
 * @throws NOT_FOUND; AUTH for a file that others can read; BAD_INPUT for one of something else
 */
export async function readNatsCredentials(path: string): Promise<NatsCredentials> {
  const text = await readSecret(path)
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''))
  if (/-----BEGIN NATS USER JWT-----/.test(text)) {
    return readDecorated(lines) ?? refuse(path, 'a damaged .creds file')
  }
  const [line = '', ...more] = lines
  if (more.length > 1 || (more[0] ?? '') !== '') return refuse(path, 'no credentials for NATS')
  if (SEED.test(line)) return { kind: 'nkey', seed: Buffer.from(line) }
  const colon = line.indexOf(':')
  if (colon > 0) {
    return { kind: 'password', user: line.slice(0, colon), password: line.slice(colon + 1) }
  }
  if (colon < 0 && /^[\x21-\x7e]*$/.test(line) && !NO_TOKEN.test(line)) {
    return { kind: 'token', token: line }
  }
  return refuse(path, 'no credentials for NATS')
}

function readDecorated(lines: readonly string[]): NatsCredentials | undefined {
  const jwt = decorated(lines, 'NATS USER JWT')
  const seed = decorated(lines, 'USER NKEY SEED')
  if (!JWT.test(jwt) || !SEED.test(seed)) return undefined
  const claims = claimsOf(jwt)
  if (claims === undefined) return undefined
  const { exp } = claims
  const expiresSeconds =
    typeof exp === 'number' && exp > 0 && exp <= LATEST_SECONDS ? exp : undefined
  return { kind: 'jwt', jwt, seed: Buffer.from(seed), expiresSeconds }
}

/** The one line between `-----BEGIN <name>-----` and the next line of dashes. */
function decorated(lines: readonly string[], name: string): string {
  const at = lines.findIndex((line) => line.trim() === `-----BEGIN ${name}-----`)
  const isClosed = at >= 0 && /^-{3,}.*-{3,}$/.test((lines[at + 2] ?? '').trim())
  return isClosed ? (lines[at + 1] ?? '').trim() : ''
}

/** The server checks the signature; here only the date is of interest. */
function claimsOf(jwt: string): { readonly exp?: unknown } | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
    return typeof claims === 'object' && claims !== null ? claims : undefined
  } catch {
    // The parser's message would quote what it read.
    return undefined
  }
}

const refuse = (path: string, what: string): never => {
  throw new AkidbError('BAD_INPUT', `${path} holds ${what}`, {
    hint: 'A .creds file, or one line: the seed of an nkey (SU…), user:password, or a token.',
    details: { path },
  })
}

const readSecret = (path: string): Promise<string> =>
  withFsErrors('cannot read', path, async () => {
    const file = await open(path, 'r')
    try {
      const { mode, size } = await file.stat()
      if ((mode & OTHERS) !== 0) {
        const shown = (mode & 0o777).toString(8)
        throw new AkidbError('AUTH', `${path} can be read by others (mode ${shown})`, {
          hint: `chmod 600 ${path}`,
          details: { path },
        })
      }
      if (size > limits.natsCredentialsBytesMax) {
        throw new AkidbError('BAD_INPUT', `${path} is too large for credentials`)
      }
      return (await file.readFile()).toString('utf8')
    } finally {
      await file.close()
    }
  })
