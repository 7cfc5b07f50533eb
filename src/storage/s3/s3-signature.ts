import { createHmac, hash } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { Headers } from './s3-answers.ts'
import { S3Failure } from './s3-errors.ts'

/** Who signs, and for where. */
export interface Signatory {
  readonly accessKey: string
  readonly secretKey: string
  readonly sessionToken?: string | undefined
  readonly region: string
  /** Signatures bear its time; servers take a quarter of an hour's difference. */
  readonly clock: Clock
}

/** A request as it goes out. */
export interface Unsigned {
  readonly method: string
  /** With its query, both encoded; that in the order of its names, then of values. */
  readonly path: string
  /** By their names in small letters, `host` among them. */
  readonly headers: Headers
  /** SHA-256 of the body, hex; or UNSIGNED_PAYLOAD. */
  readonly payload: string
}

/** Headers with those of the signature. */
export type Sign = (request: Unsigned) => Headers

/** Of a body that TLS protects. */
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD'

const ALGORITHM = 'AWS4-HMAC-SHA256'
/** What proxies change on the way, or a server reads before the signature. */
const UNSIGNED = new Set(['authorization', 'content-length', 'content-type', 'user-agent'])

/**
 * Makes signatures of AWS Signature Version 4, service s3. Source: Amazon S3 API reference,
 * "Authenticating Requests: Using the Authorization Header".
 *
 * The key of a day is derived once. The client derives it for every request: signing took a sixth
 * of the time of a small one, half of it for the key, and five native objects more.
 *
 * @throws S3Failure where what would be sent is not plain ASCII
 */
export function createSigner(signatory: Signatory): Sign {
  const { accessKey, sessionToken, region } = signatory
  const isPlain = PLAIN.test(accessKey + region)
  let now: Now = { seconds: Number.NaN, time: '', day: '', key: Buffer.alloc(0) }
  return ({ method, path, headers, payload }) => {
    now = nowOf(signatory, now)
    const { time, day, key } = now
    const sent: Record<string, string> = {
      ...headers,
      'x-amz-content-sha256': payload,
      'x-amz-date': time,
    }
    if (sessionToken !== undefined) sent['x-amz-security-token'] = sessionToken
    const names = Object.keys(sent).filter((name) => !UNSIGNED.has(name))
    const signed = names.sort().join(';')
    const lines = names.map((name) => `${name}:${plain(sent[name] ?? '')}\n`).join('')
    if (!isPlain || !PLAIN.test(lines)) throw notPlain(sent)
    const [where = '', query = ''] = path.split('?', 2)
    const request = `${method}\n${where}\n${query}\n${lines}\n${signed}\n${payload}`
    const scope = `${day}/${region}/s3/aws4_request`
    const text = `${ALGORITHM}\n${time}\n${scope}\n${hash('sha256', request)}`
    const signature = hmac(key, text).toString('hex')
    sent.authorization =
      `${ALGORITHM} Credential=${accessKey}/${scope}, ` +
      `SignedHeaders=${signed}, Signature=${signature}`
    return sent
  }
}

/** What signatures of one second, or one day, share. */
interface Now {
  /** Since 1970. */
  readonly seconds: number
  /** 20130524T000000Z */
  readonly time: string
  /** 20130524 */
  readonly day: string
  readonly key: Buffer
}

function nowOf(signatory: Signatory, former: Now): Now {
  const seconds = Math.floor(signatory.clock.nowMs() / 1_000)
  if (seconds === former.seconds) return former
  const time = new Date(seconds * 1_000).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const day = time.slice(0, 8)
  return { seconds, time, day, key: day === former.day ? former.key : keyOf(signatory, day) }
}

const keyOf = ({ secretKey, region }: Signatory, day: string): Buffer =>
  [day, region, 's3', 'aws4_request'].reduce(hmac, Buffer.from(`AWS4${secretKey}`))

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

/**
 * Beyond ASCII a header is other bytes than the signature is made of: the server would say that the
 * secret key is wrong, or what it says of a key that it cannot even look up.
 */
const PLAIN = /^[\t\n\x20-\x7e]*$/

function notPlain(headers: Headers): S3Failure {
  const named = Object.entries(headers).find(([, value]) => !PLAIN.test(value))?.[0]
  const text = `Invalid character in header content ["${named ?? 'authorization'}"]`
  return new S3Failure(0, 'ERR_INVALID_CHAR', text)
}

/** As a server reads a header's value: without space around it, one space for several. */
function plain(value: string): string {
  const trimmed = value.trim()
  return trimmed.includes('  ') ? trimmed.replaceAll(/ {2,}/g, ' ') : trimmed
}
