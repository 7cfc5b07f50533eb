import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  JetStreamApiError,
  jetstream,
  jetstreamManager,
} from '@nats-io/jetstream'
import {
  type Authenticator,
  type ConnectionOptions,
  connect,
  errors,
  jwtAuthenticator,
  type NatsConnection,
  nkeyAuthenticator,
  nkeys,
  type TlsOptions,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { TlsFiles } from '../tls-files.ts'
import type { BucketEvents, EventPlace } from './bucket-events.ts'
import { readNotification } from './event-records.ts'
import { EventsRefused, type FollowParts, followLink, type LinkNews } from './follow-link.ts'
import { type NatsAccess, type NatsPeer, readNatsPeer } from './nats-access.ts'
import type { NatsCredentials } from './nats-credentials.ts'

/** Time to connect, and of one question to the server. */
const ANSWER_TIMEOUT_MS = 10_000
const MS_IN_NS = 1_000_000

/**
 * Events of a store in a bucket whose server publishes them to a NATS server with JetStream
 * (MinIO's notify_nats), through a consumer of this process alone, which the server forgets by
 * itself. It begins with what comes after it was made, for everything before is listed; nothing is
 * acknowledged.
 *
 * The library's own reconnecting is switched off: each connection begins with a listing, and goes
 * only to the address that was named, not to those that a server tells of. Each reads the files
 * anew: credentials end, and are renewed.
 *
 * Source: MinIO, internal/event/target/nats.go; NATS ADR-37.
 *
 * @throws as readNatsPeer; BAD_INPUT for a damaged seed
 */
export async function openNatsEvents(
  place: EventPlace,
  { access, ...parts }: FollowParts & { readonly access: NatsAccess },
): Promise<BucketEvents> {
  const first = await readNatsPeer(access)
  optionsOf(first)
  const name = (): string => `akidb-${Buffer.from(parts.random(8)).toString('hex')}`
  const now = (): number => parts.clock.nowMs()
  const open = (signal: AbortSignal) => listen({ access, place, name: name(), now }, signal)
  return followLink({ url: `${first.url} (${first.subject})`, open }, parts)
}

interface Listening {
  readonly access: NatsAccess
  readonly place: EventPlace
  readonly now: () => number
  /** Of the consumer: with one, the server's permissions can name the subject too. */
  readonly name: string
}

async function* listen(
  { access, place, name, now }: Listening,
  signal: AbortSignal,
): AsyncGenerator<LinkNews> {
  const peer = await readNatsPeer(access)
  let connection: NatsConnection | undefined
  const end = (): void => void connection?.close().catch(() => undefined)
  signal.addEventListener('abort', end)
  try {
    connection = await connect(optionsOf(peer))
    signal.throwIfAborted()
    const messages = await consume(connection, peer, name)
    yield { type: 'connected' }
    const silence = watch(messages)
    for await (const message of messages) yield* newsOf(message.data, place)
    throw silence.failure ?? (await connection.closed()) ?? ended(peer)
  } catch (error) {
    signal.throwIfAborted()
    throw meaningOf(error, peer, now())
  } finally {
    signal.removeEventListener('abort', end)
    await connection?.close().catch(() => undefined)
  }
}

function optionsOf({ host, hostPort, tls, credentials }: NatsPeer): ConnectionOptions {
  return {
    servers: hostPort,
    name: 'akidb',
    reconnect: false,
    ignoreClusterUpdates: true,
    timeout: ANSWER_TIMEOUT_MS,
    pingInterval: limits.eventPingMs,
    maxPingOut: Math.floor(limits.eventSilenceMs / limits.eventPingMs),
    ...(credentials === undefined ? {} : { authenticator: authenticatorOf(credentials) }),
    ...(tls === undefined ? {} : { tls: tlsOf(host, tls) }),
  }
}

/**
 * What is given here goes to Node as it is. Of an address of numbers the library says no name, and
 * Node would look for "localhost" in the certificate.
 */
function tlsOf(host: string, { ca, cert, key }: TlsFiles): TlsOptions & { readonly host: string } {
  return {
    host,
    ...(ca === undefined ? {} : { ca: ca.toString() }),
    ...(cert === undefined ? {} : { cert: cert.toString() }),
    ...(key === undefined ? {} : { key: key.toString() }),
  }
}

function authenticatorOf(credentials: NatsCredentials): Authenticator {
  switch (credentials.kind) {
    case 'jwt':
      return jwtAuthenticator(credentials.jwt, checkedSeed(credentials.seed))
    case 'nkey':
      return nkeyAuthenticator(checkedSeed(credentials.seed))
    case 'password':
      return usernamePasswordAuthenticator(credentials.user, credentials.password)
    case 'token':
      return tokenAuthenticator(credentials.token)
  }
}

/** A seed has a check sum of its own. */
function checkedSeed(seed: Uint8Array): Uint8Array {
  try {
    // A copy: what is cleared is what was given.
    nkeys.fromSeed(Uint8Array.from(seed)).clear()
    return seed
  } catch {
    throw new AkidbError('BAD_INPUT', 'the seed in the file of --nats-credentials is damaged', {
      hint: 'Copy the file again: a letter of the seed is wrong.',
    })
  }
}

async function consume(
  connection: NatsConnection,
  peer: NatsPeer,
  name: string,
): Promise<ConsumerMessages> {
  const manager = await jetstreamManager(connection, { timeout: ANSWER_TIMEOUT_MS })
  const stream = peer.stream ?? (await manager.streams.find(peer.subject))
  await manager.consumers.add(stream, {
    name,
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.New,
    filter_subject: peer.subject,
    inactive_threshold: limits.eventSilenceMs * MS_IN_NS,
    mem_storage: true,
    num_replicas: 1,
  })
  const consumer = await jetstream(connection).consumers.get(stream, name)
  return await consumer.consume({
    max_messages: limits.eventMessagesMax,
    idle_heartbeat: limits.eventPingMs,
    bind: true,
    abort_on_missing_resource: true,
  })
}

/** Ends the messages where the server is silent: then the consumer, or the way to it, is gone. */
function watch(messages: ConsumerMessages): { readonly failure: AkidbError | undefined } {
  const state: { failure: AkidbError | undefined } = { failure: undefined }
  const follow = async (): Promise<void> => {
    for await (const { type } of messages.status()) {
      if (!ENDS.has(type)) continue
      state.failure = new AkidbError('UNREACHABLE', `the NATS server's consumer is gone (${type})`)
      messages.stop()
    }
  }
  void follow().catch(() => undefined)
  return state
}

const ENDS = new Set(['heartbeats_missed', 'consumer_deleted', 'consumer_not_found'])

function* newsOf(data: Uint8Array, place: EventPlace): Generator<LinkNews> {
  if (data.byteLength > limits.eventBytesMax) {
    yield { type: 'gap', why: `a message over ${limits.eventBytesMax} bytes` }
    return
  }
  const events = readNotification(Buffer.from(data).toString('utf8'), place)
  if (events === undefined) yield { type: 'gap', why: 'a message that is no notification' }
  else if (events.length > 0) yield { type: 'events', events }
}

const ended = ({ url }: NatsPeer): AkidbError =>
  new AkidbError('UNREACHABLE', `${url} ended the connection`)

/** API errors of JetStream. Source: nats-server, server/errors.json. */
const STREAM_NOT_FOUND = 10_059
const NOT_ENABLED = [10_039, 10_076]

function meaningOf(error: unknown, peer: NatsPeer, nowMs: number): unknown {
  const { url, subject, stream } = peer
  if (error instanceof AkidbError || !(error instanceof Error)) return error
  const what = `cannot follow ${subject} at ${url}`
  const why = `${what}: ${error.message.slice(0, 400)}`
  const options = { cause: error }
  if (isOneOf(error, errors.PermissionViolationError)) {
    return new EventsRefused('AUTH', why, { ...options, hint: PERMISSIONS })
  }
  if (isOneOf(error, errors.AuthorizationError, errors.UserAuthenticationExpiredError)) {
    return new EventsRefused('AUTH', why, { ...options, hint: refusalHint(peer, nowMs) })
  }
  const code = error instanceof JetStreamApiError ? error.code : 0
  const isAbsent = code === STREAM_NOT_FOUND || /no stream matches subject/.test(error.message)
  if (isAbsent) {
    const missing = stream === undefined ? `no stream takes "${subject}"` : `no stream "${stream}"`
    return new EventsRefused('NOT_FOUND', `${what}: ${missing}`, { ...options, hint: STREAM })
  }
  if (NOT_ENABLED.includes(code) || error.name === 'JetStreamNotEnabled') {
    return new EventsRefused('BAD_INPUT', `${what}: the server has no JetStream`, options)
  }
  if (/certificate|self.signed|issuer/i.test(error.message)) {
    return new AkidbError('AUTH', why, { ...options, hint: 'Give its authority with --nats-ca.' })
  }
  return new AkidbError('UNREACHABLE', why, options)
}

type ErrorClass = abstract new (...given: never[]) => Error

const isOneOf = (error: Error, ...classes: readonly ErrorClass[]): boolean =>
  [error, error.cause].some((each) => classes.some((one) => each instanceof one))

function refusalHint({ credentials }: NatsPeer, nowMs: number): string {
  if (credentials === undefined) return 'The server asks who you are: give --nats-credentials.'
  const endsMs = credentials.kind === 'jwt' ? (credentials.expiresSeconds ?? Infinity) * 1000 : NaN
  if (endsMs <= nowMs) {
    const end = new Date(endsMs).toISOString()
    return `These credentials ended at ${end}: put new ones into the file; it is read again.`
  }
  return 'The server does not take these credentials. Put others into the file; it is read again.'
}

const PERMISSIONS = 'Grant this user what templates/README.md lists.'
const STREAM = 'Make it: nats stream add <name> --subjects <subject>.'
