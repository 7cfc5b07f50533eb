import { AkidbError } from '../../errors/errors.ts'
import type { ErrorCode } from '../../errors/exit-codes.ts'

/** What a server says of itself is cut to so much: it ends up in one line. */
const SAID_CHARS_MAX = 400

/** One try that failed, as the server or the network told it. */
export class S3Failure extends Error {
  /** HTTP status; 0 where no answer came. */
  readonly status: number
  /** The server's word (`NoSuchKey`), the system's (`ECONNRESET`), or one of OURS. */
  readonly code: string

  constructor(status: number, code: string, message: string, cause?: unknown) {
    super(message.slice(0, SAID_CHARS_MAX), cause === undefined ? undefined : { cause })
    this.status = status
    this.code = code.slice(0, SAID_CHARS_MAX)
  }
}

/** An answer that ended too soon. */
export const cut = (message: string): S3Failure => new S3Failure(0, 'CUT', message)

/** An answer that no S3 server gives: something else listens there, or sits in between. */
export const notS3 = (message: string, status = 0): S3Failure =>
  new S3Failure(status, 'NOT_S3', message)

/** Bytes that are not those that the server says it holds. */
export const wrongBytes = (message: string): S3Failure => new S3Failure(0, 'WRONG_BYTES', message)

/** Server words that another try may turn into success. */
const PASSING = new Set([
  'SlowDown',
  'SlowDownRead',
  'SlowDownWrite',
  'InternalError',
  'ServiceUnavailable',
  'RequestTimeout',
  'IncompleteBody',
  'OperationAborted',
  'ConditionalRequestConflict',
  'XMinioServerNotInitialized',
  'ServerNotInitialized',
])

const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'ERR_STREAM_PREMATURE_CLOSE',
  'TIMEOUT',
  'CUT',
])

/** Bytes that were damaged on their way: our own were checked before they left. */
const DAMAGED = new Set([
  'WRONG_BYTES',
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  'XAmzContentChecksumMismatch',
])

const isGarbled = ({ code }: S3Failure): boolean => DAMAGED.has(code) || code.startsWith('HPE_')

/** What was garbled once passes; what is garbled three times stays so. */
const GARBLED_TRIES_MAX = 3

/** Whether another try makes sense, after so many. */
export const isPassing = (failure: S3Failure, tries: number): boolean =>
  isGarbled(failure)
    ? tries < GARBLED_TRIES_MAX
    : PASSING.has(failure.code) ||
      NETWORK.has(failure.code) ||
      [408, 429, 500, 502, 503, 504].includes(failure.status)

/** Whether the server may have done what was asked although no answer came. */
export const isDoubtful = (failure: S3Failure): boolean =>
  failure.status === 0 || failure.status >= 500

interface Meaning {
  readonly code: ErrorCode
  readonly say: string
  readonly hint?: string
}

const meaning = (code: ErrorCode, say: string, hint?: string): Meaning =>
  hint === undefined ? { code, say } : { code, say, hint }

const CREDENTIALS = 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that may do this.'
const LOCK_AT_BIRTH = 'Object lock is switched on when a bucket is made: mc mb --with-lock.'
const IS_IT_S3 = 'Is the address that of an S3 server?'
const IS_IT_UP = 'Is the server up, and is its address right? Run the command again: it goes on.'

const noKms = meaning('AUTH', 'the server has no KMS', 'Leave --kms-key out, or set one up.')
const noKey = meaning('NOT_FOUND', 'the KMS has no such key', 'Make it: akidb kms create-key.')
/** Not NOT_FOUND: the object is there, and nobody may take it for one that is not. */
const keyGone = meaning(
  'INTEGRITY',
  'it is encrypted under a key that the KMS does not have',
  'Bring that key back from a backup of the KMS; one made anew does not open it.',
)
const otherKey = meaning(
  'INTEGRITY',
  'it is encrypted under another key than the one that the KMS has by that name',
  'Bring the former key back from a backup of the KMS.',
)
const kmsFails = meaning(
  'UNREACHABLE',
  "the server's KMS fails",
  'Does the server reach its KMS (KES), and may it use the key? Run the command again: it goes on.',
)
const noLock = meaning('RETENTION', 'the bucket has no object lock', LOCK_AT_BIRTH)
const noCopy = meaning('NOT_FOUND', 'the other server has no such bucket')
const damaged = meaning('INTEGRITY', 'the bytes are not those of their digest')
const quota = meaning('NO_SPACE', 'the bucket is at its quota')

/** Server words with a meaning of their own. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  NoSuchBucket: meaning(
    'NOT_FOUND',
    'there is no such bucket',
    'Is its name right? akidb makes no buckets. One to seal in is made with object lock.',
  ),
  NoSuchKey: meaning('NOT_FOUND', 'there is no such object'),
  NoSuchVersion: meaning('NOT_FOUND', 'there is no such version of the object'),
  NoSuchUpload: meaning('NOT_FOUND', 'the upload was given up', 'Run the command again.'),
  InvalidAccessKeyId: meaning('AUTH', 'the server does not know the access key', CREDENTIALS),
  SignatureDoesNotMatch: meaning('AUTH', 'the secret key is not the right one', CREDENTIALS),
  AccessDenied: meaning('AUTH', 'the server refuses', CREDENTIALS),
  ExpiredToken: meaning('AUTH', 'the session token has lapsed', 'Get new credentials.'),
  InvalidTokenId: meaning('AUTH', 'the session token is not valid', 'Get new credentials.'),
  AuthorizationHeaderMalformed: meaning(
    'AUTH',
    'the server does not take our signature',
    'Is the region right? Give it with --s3-region.',
  ),
  RequestTimeTooSkewed: meaning(
    'AUTH',
    "this machine's clock and the server's are too far apart",
    'Set both clocks; date -u shows this one.',
  ),
  InvalidBucketState: noLock,
  ObjectLockConfigurationNotFoundError: noLock,
  ObjectLocked: meaning('RETENTION', 'the object is locked'),
  'kms:KeyNotFound': noKey,
  'KMS.NotFoundException': noKey,
  'kms:InvalidCiphertextException': otherKey,
  'kms:KeyGenerationFailed': kmsFails,
  'kms:DecryptionFailed': kmsFails,
  'kms:NotAuthorized': meaning(
    'AUTH',
    'the KMS refuses the server',
    'A policy of the KMS (KES) must allow this to the identity of the S3 server.',
  ),
  KMSNotConfigured: noKms,
  BadDigest: damaged,
  XAmzContentSHA256Mismatch: damaged,
  XAmzContentChecksumMismatch: damaged,
  WRONG_BYTES: meaning('INTEGRITY', 'other bytes came than the server says it holds'),
  InvalidRange: meaning('INTEGRITY', 'the object is shorter than was promised'),
  PreconditionFailed: meaning('CONFLICT', 'the object was replaced meanwhile', 'Try again.'),
  EntityTooLarge: meaning('LIMIT', 'the object is too large for the server'),
  XMinioStorageFull: meaning('NO_SPACE', 'the server has no room left'),
  XMinioAdminBucketQuotaExceeded: quota,
  QuotaExceeded: quota,
  RemoteDestinationNotFoundError: noCopy,
  XMinioAdminRemoteTargetNotFoundError: noCopy,
  XMinioAdminReplicationRemoteConnectionError: meaning(
    'UNREACHABLE',
    'the server does not get at the bucket of the other one',
    'Is that one up, at this address as seen from the server, and are those its credentials?',
  ),
  XMinioAdminBucketRemoteAlreadyExists: meaning(
    'EXISTS',
    'the server knows another bucket, or another user, at that address',
    'See mc replicate ls; remove what is no longer meant.',
  ),
  NOT_S3: meaning('UNREACHABLE', 'what answers is no S3 server', IS_IT_S3),
  TIMEOUT: meaning('TIMEOUT', 'the server went silent', IS_IT_UP),
  ERR_INVALID_CHAR: meaning(
    'BAD_INPUT',
    'what is to be sent cannot stand in a header',
    'Are the credentials, the region and the name of the key each one plain line?',
  ),
}

/**
 * What a failure means to the operator. `what` was being done: "cannot write s3://…".
 * @param isRead whether an object was asked for; then NOT_FOUND says that it is not there
 */
export function meaningOf(failure: S3Failure, what: string, isRead = false): AkidbError {
  const { code, message } = failure
  const isLocked = isRead && MEANINGS[code] === noKey
  const known =
    (isLocked ? keyGone : undefined) ??
    wordedMeaning(failure) ??
    (Object.hasOwn(MEANINGS, code) ? MEANINGS[code] : undefined) ??
    tlsMeaning(code) ??
    statusMeaning(failure)
  // A server's message for what is missing says no more than that.
  const said = message === '' || /^NoSuch(Key|Bucket)$/.test(code) ? '' : ` (${message})`
  return new AkidbError(known.code, `${what}: ${known.say}${said}`, {
    ...(known.hint === undefined ? {} : { hint: known.hint }),
    details: { status: failure.status, server: code },
    ...(failure.cause === undefined ? {} : { cause: failure.cause }),
  })
}

/** Locks and keys speak in several codes; their words tell. */
function wordedMeaning({ code, message }: S3Failure): Meaning | undefined {
  if (/missing Object ?Lock ?Configuration/i.test(message)) return noLock
  if (/WORM protected|protected by object lock/i.test(message)) return MEANINGS.ObjectLocked
  if (code === 'NotImplemented' && /KMS|encryption/i.test(message)) return noKms
  return undefined
}

/** Codes of a TLS connection that did not come about. */
function tlsMeaning(code: string): Meaning | undefined {
  if (/^ERR_SSL_.*(CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE)/.test(code)) {
    const hint = 'Give --s3-client-cert and --s3-client-key.'
    return meaning('AUTH', 'the server refuses our certificate, or wants one', hint)
  }
  if (/^(ERR_SSL_|EPROTO$)/.test(code)) {
    return meaning('UNREACHABLE', 'it does not speak TLS', 'Is the address http:// there?')
  }
  if (/CERT|SELF_SIGNED|ISSUER|UNABLE_TO_VERIFY|HOSTNAME_MISMATCH|INVALID_CA/.test(code)) {
    const hint = 'Give the certificate authority with --s3-ca.'
    return meaning('AUTH', "the server's certificate is not trusted", hint)
  }
  return undefined
}

function statusMeaning(failure: S3Failure): Meaning {
  const { status, code } = failure
  if (status === 401 || status === 403) return meaning('AUTH', 'the server refuses', CREDENTIALS)
  if (status === 507) return meaning('NO_SPACE', 'the server has no room left')
  if (status >= 300 && status < 400) {
    const hint = 'No redirect is followed: credentials go only to the address that was named.'
    return meaning('UNREACHABLE', 'the server sends us elsewhere', hint)
  }
  if (code === '') return meaning('UNREACHABLE', `the server answers ${status}`, IS_IT_S3)
  if (status === 501) return meaning('BAD_INPUT', `the server cannot do that: ${code}`)
  if (isPassing(failure, 0) || isGarbled(failure) || status >= 500) {
    return meaning('UNREACHABLE', code, IS_IT_UP)
  }
  return meaning('BAD_INPUT', `the server says ${code}`)
}

/** Whether a try failed because the object was there already. */
export const isPresent = ({ status, code }: S3Failure): boolean =>
  status === 412 || code === 'PreconditionFailed'

/** Whether the object, its version or its upload is not there. */
export const isAbsent = ({ code }: S3Failure): boolean =>
  ['NoSuchKey', 'NoSuchVersion', 'NoSuchUpload'].includes(code)
