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
  credsAuthenticator,
  errors,
  type NatsConnection,
  nkeyAuthenticator,
  type TlsOptions,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { TlsFiles } from '../tls-files.ts'
import type { BucketEvents, EventPlace } from './bucket-events.ts'
import { readNotification } from './event-records.ts'
import { EventsRefused, type FollowParts, followLink, type LinkNews } from './follow-link.ts'
import {
  type NatsAccess,
  type NatsCredentials,
  type NatsPeer,
  readNatsPeer,
} from './nats-access.ts'

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
 * only to the address that was named, not to those that a server tells of.
 *
 * Source: MinIO, internal/event/target/nats.go; NATS ADR-37.
 *
 * @throws as readNatsPeer
 */
export async function openNatsEvents(
  place: EventPlace,
  { access, ...parts }: FollowParts & { readonly access: NatsAccess },
): Promise<BucketEvents> {
  const peer = await readNatsPeer(access)
  const name = (): string => `akidb-${Buffer.from(parts.random(8)).toString('hex')}`
  const open = (signal: AbortSignal) => listen({ peer, place, name: name() }, signal)
  return followLink({ url: `${peer.url} (${peer.subject})`, open }, parts)
}

interface Listening {
  readonly peer: NatsPeer
  readonly place: EventPlace
  /** Of the consumer: with one, the server's permissions can name the subject too. */
  readonly name: string
}

async function* listen(
  { peer, place, name }: Listening,
  signal: AbortSignal,
): AsyncGenerator<LinkNews> {
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
    throw meaningOf(error, peer)
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
  if (credentials.kind === 'jwt') return credsAuthenticator(credentials.file)
  if (credentials.kind === 'nkey') return nkeyAuthenticator(credentials.seed)
  return usernamePasswordAuthenticator(credentials.user, credentials.password)
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

function meaningOf(error: unknown, { url, subject, stream }: NatsPeer): unknown {
  if (error instanceof AkidbError || !(error instanceof Error)) return error
  const what = `cannot follow ${subject} at ${url}`
  const why = `${what}: ${error.message.slice(0, 400)}`
  const options = { cause: error }
  if (isRefusal(error)) return new EventsRefused('AUTH', why, { ...options, hint: CREDENTIALS })
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

const isRefusal = (error: Error): boolean =>
  [error, error.cause].some(
    (each) =>
      each instanceof errors.AuthorizationError ||
      each instanceof errors.UserAuthenticationExpiredError ||
      each instanceof errors.PermissionViolationError,
  )

const CREDENTIALS = 'Give --nats-credentials, or grant this user the stream (see templates).'
const STREAM = 'Make it: nats stream add <name> --subjects <subject>.'
