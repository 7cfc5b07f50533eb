import { AkidbError } from '../../errors/errors.ts'
import type { ErrorCode } from '../../errors/exit-codes.ts'

/** One try that failed, as the server or the network told it. */
export class KesFailure extends Error {
  /** HTTP status; 0 where no answer came. */
  readonly status: number
  /** The system's word (`ECONNRESET`), one of ours (`TIMEOUT`), or `KES` for the server's own. */
  readonly code: string

  constructor(status: number, code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.status = status
    this.code = code
  }
}

/** What went wrong in a try, as a KesFailure. */
export function failureOf(error: unknown): KesFailure {
  if (error instanceof KesFailure) return error
  const { code, message } = error as { code?: unknown; message?: unknown }
  return new KesFailure(0, typeof code === 'string' ? code : 'CUT', String(message), error)
}

/** The request never left this machine, or nobody took it. */
const UNSENT = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN'])
const CUT_OFF = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'CUT', 'TIMEOUT'])
const PASSING_STATUSES = new Set([408, 429, 500, 502, 503, 504])

/** Whether another try may end better. */
export const isPassing = ({ status, code }: KesFailure): boolean =>
  UNSENT.has(code) || CUT_OFF.has(code) || PASSING_STATUSES.has(status)

/** Whether the server may have done what was asked although it did not say so. */
export const isDoubtful = ({ status, code }: KesFailure): boolean =>
  CUT_OFF.has(code) || status >= 500

/** What was asked for, for messages. */
export interface Asked {
  /** "cannot describe the key "a" at https://…" */
  readonly what: string
  /** SHA-256 of the client's public key, as KES policies name it. */
  readonly identity: string
  /** Set where the request changes something: says how to find out whether it did. */
  readonly doubtHint?: string
}

interface Meaning {
  readonly code: ErrorCode
  readonly say: string
  readonly hint: string
}

/** What a failure means to the operator. */
export function meaningOf(failure: KesFailure, { what, identity, doubtHint }: Asked): AkidbError {
  const { status, code, message } = failure
  const found = code === 'KES' ? answerMeaning(failure, identity) : networkMeaning(failure)
  const hint = doubtHint !== undefined && isDoubtful(failure) ? doubtHint : found.hint
  const details = { status, ...(code === 'KES' ? { server: message } : { system: code }) }
  return new AkidbError(found.code, `${what}: ${found.say}`, { hint, details, cause: failure })
}

/** KES says most by status alone, and by its words which 400 it is. */
function answerMeaning({ status, message }: KesFailure, identity: string): Meaning {
  if (status === 404 && message !== '') {
    const hint = 'Make it with akidb kms create-key, or at the KES server.'
    return { code: 'NOT_FOUND', say: 'there is no such key', hint }
  }
  if ((status === 401 || status === 403) && message !== '') {
    const hint = `A policy of the KES server must allow this to the identity ${identity}.`
    return { code: 'AUTH', say: 'the server refuses', hint }
  }
  if (PASSING_STATUSES.has(status)) {
    const hint = 'Are the KES server and its key store up? Run the command again.'
    return { code: 'UNREACHABLE', say: `the server says ${status} ${message}`.trim(), hint }
  }
  if (status === 400) {
    const known = BAD_REQUESTS.find(([words]) => words.test(message))
    if (known !== undefined) return known[1]
    const hint = 'Names of keys have at most 80 letters, digits, - and _.'
    return { code: 'BAD_INPUT', say: `the server says ${message}`, hint }
  }
  const hint = 'Is the address that of a KES server?'
  return { code: 'UNREACHABLE', say: `the server says ${status} ${message}`.trim(), hint }
}

/** Words of KES v0.17 (2022) to 2025-03-12, which all have the status 400. */
const BAD_REQUESTS: readonly (readonly [RegExp, Meaning])[] = [
  [
    /^key (already exists|does already exist)/,
    {
      code: 'EXISTS',
      say: 'there is a key of this name',
      hint: 'Use it as it is (akidb kms status tells whether it works), or take another name.',
    },
  ],
  [
    /ciphertext is not authentic/,
    {
      code: 'INTEGRITY',
      say: 'the ciphertext or its context is not what this key sealed',
      hint: 'It was changed, or sealed by another key or under another context.',
    },
  ],
  [
    /client certificate/,
    {
      code: 'AUTH',
      say: 'the server does not take the client certificate',
      hint: 'Give one certificate with --kes-client-cert, and its key with --kes-client-key.',
    },
  ],
]

/** OpenSSL's words for a server's certificate that does not hold. */
const SERVER_CERT =
  /^(CERT_|CRL_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|INVALID_|HOSTNAME_|ERR_TLS_CERT_)/

function networkMeaning({ code, message }: KesFailure): Meaning {
  if (code === 'TIMEOUT') {
    const hint = 'Is the KES server busy, or cut off? Run the command again.'
    return { code: 'TIMEOUT', say: `the server went silent: ${message}`, hint }
  }
  if (code === 'TOO_LONG') {
    const hint = 'Is the address that of a KES server? See kesAnswerBytesMax in docs/limits.md.'
    return { code: 'LIMIT', say: message, hint }
  }
  if (code === 'NOT_KES') {
    return { code: 'UNREACHABLE', say: message, hint: 'Is the address that of a KES server?' }
  }
  if (SERVER_CERT.test(code)) {
    const hint =
      'Give the authority of its certificate with --kes-ca; that certificate must name the host ' +
      'of --kes-endpoint.'
    return { code: 'AUTH', say: `the server's certificate was refused (${code})`, hint }
  }
  if (/ALERT.*(CERT|UNKNOWN_CA|ACCESS_DENIED)/.test(code)) {
    const hint =
      'The server must trust the authority of --kes-client-cert, and that must be a certificate ' +
      'for clients (clientAuth).'
    return { code: 'AUTH', say: `the server refuses our certificate (${code})`, hint }
  }
  const hint = 'Is the KES server up, and is --kes-endpoint right? KES speaks TLS only.'
  return { code: 'UNREACHABLE', say: code === 'CUT' ? message : code, hint }
}
