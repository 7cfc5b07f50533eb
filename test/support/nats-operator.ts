import { nkeys } from '@nats-io/transport-node'

type KeyPair = ReturnType<typeof nkeys.createUser>

/** An operator with one account, as `nsc` would make them. */
export interface NatsOperator {
  /** Lines of a server's configuration: it takes users of this account, with JetStream, alone. */
  readonly settings: readonly string[]
  /** A user's `.creds` file. */
  credentials(options?: UserOptions): string
}

export interface UserOptions {
  /** When it ends, in seconds since 1970; default: never. */
  readonly expiresSeconds?: number
  /** Signed by an account that the server does not know. */
  readonly isForeign?: boolean
  /** The user's key is not the one that the JWT names. */
  readonly hasOtherKey?: boolean
  /** What it may publish to; default: everything. */
  readonly publish?: readonly string[]
}

/**
 * Source: github.com/nats-io/jwt v2 (claims of version 2), docs.nats.io "Memory Resolver".
 */
export function makeOperator(): NatsOperator {
  const operator = nkeys.createOperator()
  const system = nkeys.createAccount()
  const account = nkeys.createAccount()
  const sign = (type: string, key: KeyPair, claims: object, issuer = operator) =>
    encodeJwt({ type, subject: key.getPublicKey(), claims }, issuer)
  const systemKey = system.getPublicKey()
  const accounts = [
    [systemKey, sign('account', system, { limits: LIMITS })],
    [account.getPublicKey(), sign('account', account, { limits: { ...LIMITS, ...JETSTREAM } })],
  ]
  return {
    settings: [
      `operator: "${sign('operator', operator, { system_account: systemKey })}"`,
      `system_account: "${systemKey}"`,
      'resolver: MEMORY',
      `resolver_preload { ${accounts.map(([key, jwt]) => `${key}: "${jwt}"`).join(', ')} }`,
    ],
    credentials: ({ expiresSeconds, isForeign, hasOtherKey, publish } = {}) => {
      const user = nkeys.createUser()
      const pub = publish === undefined ? {} : { allow: publish }
      const claims = { pub, sub: {}, subs: -1, data: -1, payload: -1 }
      const subject = user.getPublicKey()
      const issuer = isForeign === true ? nkeys.createAccount() : account
      const jwt = encodeJwt({ type: 'user', subject, claims, expiresSeconds }, issuer)
      return credentialsFile(jwt, hasOtherKey === true ? nkeys.createUser() : user)
    },
  }
}

const LIMITS = {
  ...{ subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true },
  ...{ conn: -1, leaf: -1 },
}
const JETSTREAM = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }

interface Claims {
  readonly type: string
  readonly subject: string
  readonly claims: object
  readonly expiresSeconds?: number | undefined
}

function encodeJwt({ type, subject, claims, expiresSeconds }: Claims, issuer: KeyPair): string {
  const body = {
    ...(expiresSeconds === undefined ? {} : { exp: expiresSeconds }),
    ...{ jti: subject, iat: Math.floor(Date.now() / 1000), iss: issuer.getPublicKey() },
    ...{ name: type, sub: subject, nats: { ...claims, type, version: 2 } },
  }
  const signed = [{ typ: 'JWT', alg: 'ed25519-nkey' }, body]
    .map((part) => base64url(JSON.stringify(part)))
    .join('.')
  return `${signed}.${base64url(issuer.sign(Buffer.from(signed)))}`
}

const base64url = (bytes: string | Uint8Array): string => Buffer.from(bytes).toString('base64url')

const credentialsFile = (jwt: string, user: KeyPair): string =>
  `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
${Buffer.from(user.getSeed()).toString()}
------END USER NKEY SEED------
`
