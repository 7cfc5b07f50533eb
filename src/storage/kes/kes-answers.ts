import { type Instant, instantOf } from '../../core/instant.ts'
import { limits } from '../../core/limits.ts'
import {
  type Check,
  list,
  literal,
  object,
  optional,
  ShapeError,
  text,
  whole,
} from '../../core/shape.ts'
import { KesFailure } from './kes-errors.ts'
import type { KesAnswer } from './kes-transport.ts'

/** A server's state. */
export interface KesStatus {
  readonly version: string
  readonly uptimeMs: number
  /** Whether the server reaches the store of its keys. */
  readonly keyStoreReachable: boolean
  /** Rounded up to 1 ms by the server; absent where the key store is not reachable. */
  readonly keyStoreLatencyMs?: number
}

/** A key, as the server describes it. */
export interface KesKey {
  readonly id: string
  /** ISO 8601 in UTC; absent where the server does not know. */
  readonly createdAt?: string
  /** `AES256` or `ChaCha20`, in older servers `AES256-GCM_SHA256` and the like. */
  readonly algorithm?: string
}

/** Some names of keys, and where the rest begins. */
export interface KesKeyPage {
  readonly ids: readonly string[]
  readonly continueAt?: string
}

/** A key for data, as it is and as it is kept: sealed by a key that never leaves the server. */
export interface DataKey {
  /** 32 bytes. Overwrite it after use. */
  readonly plaintext: Uint8Array
  readonly ciphertext: Uint8Array
}

/** @throws KesFailure NOT_KES where it is not what KES says there */
export const readVersion = (answer: KesAnswer): string =>
  checked(answer, object({ version: line }, true)).version

export function readStatus(answer: KesAnswer): KesStatus {
  const found = checked(answer, STATUS)
  const isLost = found.keystore_unreachable === true || found.keystore_unavailable === true
  const latencyMs = found.keystore_latency
  return {
    version: found.version,
    // Servers before 2023-10 count nanoseconds; no other has run for 31 years.
    uptimeMs: found.uptime < 1e9 ? found.uptime * 1_000 : Math.round(found.uptime / 1e6),
    keyStoreReachable: !isLost,
    ...(isLost || latencyMs === undefined ? {} : { keyStoreLatencyMs: latencyMs }),
  }
}

export function readKey(answer: KesAnswer, id: string): KesKey {
  const { name, created_at, algorithm } = checked(answer, KEY)
  if (name !== id) throw notKes(`it describes "${name}" in place of "${id}"`)
  const instant = created_at === undefined ? undefined : instantOf(created_at)
  // The year 1 is how Go writes "no time".
  const isKnown = instant !== undefined && instant.seconds > 0
  const createdAt = isKnown ? isoOf(instant) : undefined
  return {
    id,
    ...(createdAt === undefined ? {} : { createdAt }),
    ...(algorithm === undefined ? {} : { algorithm }),
  }
}

const isoOf = ({ seconds, nanoseconds }: Instant): string =>
  new Date(seconds * 1_000 + Math.floor(nanoseconds / 1e6)).toISOString()

/** One page: `{names, continue_at}`, or a JSON line a key in servers before 2023-10. */
export function readKeyPage(answer: KesAnswer): KesKeyPage {
  // Those name no type where they list nothing.
  if (!answer.contentType.startsWith('application/json')) {
    const lines = answer.body.split('\n').filter((each) => each !== '')
    return { ids: lines.map((body) => checked({ ...answer, body }, NAME).name).toSorted() }
  }
  const { names, continue_at } = checked(answer, PAGE)
  const more = continue_at === undefined || continue_at === '' ? {} : { continueAt: continue_at }
  return { ids: names ?? [], ...more }
}

export const readDataKey = (answer: KesAnswer): DataKey => checked(answer, DATA_KEY)

export const readPlaintext = (answer: KesAnswer): Uint8Array =>
  checked(answer, object({ plaintext: base64(32, 32) }, true)).plaintext

const isAny: Check<string> = text()

/** Text that stays one line of a message, and is not endless. */
const line: Check<string> = text(/^[^\p{Cc}]{1,512}$/u)

/** Standard base64 with its padding (RFC 4648, section 4), of so many bytes. */
const base64 =
  (bytesMin: number, bytesMax: number): Check<Uint8Array> =>
  (value, path) => {
    const written = isAny(value, path)
    const bytes = new Uint8Array(Buffer.from(written, 'base64'))
    const isExact = Buffer.from(bytes).toString('base64') === written
    if (isExact && bytes.length >= bytesMin && bytes.length <= bytesMax) return bytes
    throw new ShapeError(`${path}: expected ${bytesMin} to ${bytesMax} bytes in base64`)
  }

const STATUS = object(
  {
    version: line,
    uptime: whole(),
    keystore_latency: optional(whole()),
    keystore_unreachable: optional(literal(true, false)),
    keystore_unavailable: optional(literal(true, false)),
  },
  true,
)

const KEY = object({ name: line, created_at: optional(line), algorithm: optional(isAny) }, true)
const NAME = object({ name: line }, true)

/** Go writes an empty list as null where it never had a member. */
const names: Check<readonly string[] | undefined> = (value, path) =>
  value === null ? undefined : list(line)(value, path)
const PAGE = object({ names, continue_at: optional(isAny) }, true)

const DATA_KEY = object(
  { plaintext: base64(32, 32), ciphertext: base64(1, limits.kesSealedBytesMax) },
  true,
)

function checked<T>({ body }: KesAnswer, check: Check<T>): T {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch (cause) {
    throw notKes('it is no JSON', cause)
  }
  try {
    return check(parsed, 'answer')
  } catch (cause) {
    if (cause instanceof ShapeError) throw notKes(cause.message, cause)
    throw cause
  }
}

const notKes = (why: string, cause?: unknown): KesFailure =>
  new KesFailure(200, 'NOT_KES', `its answer is not that of a KES server: ${why}`, cause)
