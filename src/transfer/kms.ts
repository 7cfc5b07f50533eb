import { timingSafeEqual } from 'node:crypto'
import { limits } from '../core/limits.ts'
import { eachAtOnce } from '../core/slots.ts'
import { AkidbError, hasCode } from '../errors/errors.ts'
import type { ErrorCode } from '../errors/exit-codes.ts'
import type { KesAccess } from '../storage/kes/kes-access.ts'
import type { KesStatus } from '../storage/kes/kes-answers.ts'
import type { KesClient } from '../storage/kes/kes-client.ts'
import { type ActRequest, auditedAct } from './audited-act.ts'
import { withKeyServer } from './key-server.ts'

/** A key server, and who asks it. */
export interface KmsRequest extends KesAccess {
  readonly signal?: AbortSignal
}

export interface KmsStatusRequest extends KmsRequest {
  /** Keys to try; absent or none: all, up to limits.kesStatusKeysMax. */
  readonly keys?: readonly string[]
}

/** Whether a key can be used. */
export interface KmsKeyStatus {
  readonly id: string
  /** ISO 8601 in UTC; absent where the server does not tell us. */
  readonly createdAt?: string
  /** Whether a data key was sealed by it and came back the same. */
  readonly works: boolean
  /** Why it does not work. */
  readonly problem?: { readonly code: ErrorCode; readonly message: string; readonly hint?: string }
}

export interface KmsStatusResult {
  readonly endpoint: string
  /** What the server's policies call us: SHA-256 of our public key, hex. */
  readonly identity: string
  readonly serverVersion: string
  /** Of one small request, over a connection that is open already. */
  readonly latencyMs: number
  /** Absent, as all about the key store, where the policy of our identity hides the status. */
  readonly uptimeMs?: number
  readonly keyStoreReachable?: boolean
  readonly keyStoreLatencyMs?: number
  readonly keys: readonly KmsKeyStatus[]
  /** There are more keys than were tried: name those that matter. */
  readonly more?: true
  /** The policy of our identity does not let us list keys: name those to try. */
  readonly listingRefused?: true
}

export interface KmsCreateKeyRequest extends KesAccess, ActRequest {
  /** Name of the key: at most 80 letters, digits, - and _. */
  readonly id: string
}

export interface KmsCreateKeyResult {
  readonly id: string
  readonly endpoint: string
}

/**
 * State of a key server (MinIO KES), and of each key whether it works: a data key is sealed by it,
 * opened again, and thrown away. Changes nothing there.
 *
 * A key that does not work is no failure of the call (see `works` and `problem`), nor is a policy
 * that does not let us list keys (see `listingRefused`).
 *
 * @throws USAGE, NOT_FOUND, AUTH, BAD_INPUT for the files and the address; AUTH where the server
 *   does not know us; UNREACHABLE, TIMEOUT; LIMIT for more keys than limits.kesStatusKeysMax
 */
export function kmsStatus(request: KmsStatusRequest): Promise<KmsStatusResult> {
  return withKeyServer(request, async (client) => {
    const { signal } = request
    const version = await client.version(signal)
    const startMs = performance.now()
    const state = await visibleState(client, signal)
    const latencyMs = Math.round((performance.now() - startMs) * 10) / 10
    const { ids, more, listingRefused } = await keysToTry(client, request)
    const keys: KmsKeyStatus[] = []
    await eachAtOnce(ids.entries(), limits.kesRequestsMax, async ([i, id]) => {
      keys[i] = await tryKey(client, id, signal)
    })
    return {
      endpoint: client.url,
      identity: client.identity,
      serverVersion: state?.version ?? version,
      latencyMs,
      ...(state === undefined ? {} : withoutVersion(state)),
      keys,
      ...(more ? { more } : {}),
      ...(listingRefused ? { listingRefused } : {}),
    }
  })
}

/**
 * Makes a key at a key server, and says so in the audit log of the store that was named.
 *
 * @throws EXISTS where there is one of that name; else as kmsStatus. After UNREACHABLE and TIMEOUT
 *   the key may have been made: kmsStatus tells
 */
export function kmsCreateKey(request: KmsCreateKeyRequest): Promise<KmsCreateKeyResult> {
  const { id, endpoint = '', signal } = request
  const act = { act: 'kms.create-key', details: { id, endpoint } }
  return auditedAct(request, act, () =>
    withKeyServer(request, async (client) => {
      await client.createKey(id, signal)
      return { id, endpoint: client.url }
    }),
  )
}

/** Policies of clients that only use keys seldom allow it. */
async function visibleState(
  client: KesClient,
  signal: AbortSignal | undefined,
): Promise<KesStatus | undefined> {
  try {
    return await client.status(signal)
  } catch (error) {
    if (hasCode(error, 'AUTH')) return undefined
    throw error
  }
}

const withoutVersion = ({ version: _, ...rest }: KesStatus): Omit<KesStatus, 'version'> => rest

async function keysToTry(
  client: KesClient,
  { keys = [], signal }: KmsStatusRequest,
): Promise<{
  readonly ids: readonly string[]
  readonly more: boolean
  readonly listingRefused: boolean
}> {
  const max = limits.kesStatusKeysMax
  if (keys.length > max) {
    throw new AkidbError('LIMIT', `${keys.length} keys are over the limit of ${max}`, {
      hint: 'See docs/limits.md.',
      details: { limit: 'kesStatusKeysMax', max },
    })
  }
  const known = { more: false, listingRefused: false }
  if (keys.length > 0) return { ...known, ids: [...new Set(keys)] }
  try {
    // One page holds more than may be tried.
    const { ids, continueAt } = await client.listKeys(undefined, signal)
    const more = ids.length > max || continueAt !== undefined
    return { ...known, ids: ids.slice(0, max), more }
  } catch (error) {
    // What else the server tells stays worth to be shown.
    if (!isRefused(error)) throw error
    return { ...known, ids: [], listingRefused: true }
  }
}

/** By the policy of our identity; who has no certificate that counts is another matter. */
const isRefused = (error: unknown): boolean =>
  hasCode(error, 'AUTH') && (error.details.status === 401 || error.details.status === 403)

async function tryKey(
  client: KesClient,
  id: string,
  signal: AbortSignal | undefined,
): Promise<KmsKeyStatus> {
  let createdAt: string | undefined
  try {
    createdAt = await creationOf(client, id, signal)
    await roundTrip(client, id, signal)
    return { id, ...(createdAt === undefined ? {} : { createdAt }), works: true }
  } catch (error) {
    // Where the server itself is lost, all others would only wait for it too.
    if (!(error instanceof AkidbError) || error.details.status === 0) throw error
    const { code, message, hint } = error
    const problem = { code, message, ...(hint === undefined ? {} : { hint }) }
    return { id, ...(createdAt === undefined ? {} : { createdAt }), works: false, problem }
  }
}

/** A policy may allow the use of a key and not its description. */
async function creationOf(
  client: KesClient,
  id: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    return (await client.describeKey(id, signal)).createdAt
  } catch (error) {
    if (hasCode(error, 'AUTH')) return undefined
    throw error
  }
}

const CONTEXT = new TextEncoder().encode('akidb kms status')

async function roundTrip(
  client: KesClient,
  id: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { plaintext, ciphertext } = await client.generateDataKey(id, CONTEXT, signal)
  const opened = await client.decryptDataKey(id, { ciphertext, context: CONTEXT }, signal)
  const isSame = timingSafeEqual(plaintext, opened)
  plaintext.fill(0)
  opened.fill(0)
  if (isSame) return
  throw new AkidbError('INTEGRITY', `the key "${id}" opens a data key to other bytes`, {
    hint: 'Do not use it: what it seals would be lost.',
  })
}
