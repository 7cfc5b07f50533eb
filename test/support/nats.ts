import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { type ConnectionOptions, connect, type NatsConnection } from '@nats-io/transport-node'
import { describe } from 'vitest'
import { freePort, watch } from './minio.ts'

const START_MS_MAX = 30_000
const POLL_MS = 20

const script = new URL('../../scripts/build-test-servers.mjs', import.meta.url).href
const { natsPath } = (await import(script)) as { natsPath: string }

/** A running nats-server of this test's own, on the loopback. */
export interface NatsServer {
  readonly port: number
  /** `nats://127.0.0.1:<port>` */
  readonly url: string
  /** A connection of the test's own; the server's end is not its failure. */
  connect(options?: ConnectionOptions): Promise<NatsConnection>
  kill(): Promise<void>
  /** The same port and data. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/**
 * Tests that need a nats-server. Where it is not built they are skipped (the run's setup has said
 * so), with CI=true the file fails.
 */
export function describeNats(name: string, body: () => void): void {
  const absent = !existsSync(natsPath)
  if (absent && process.env.CI === 'true') {
    throw new Error('nats-server is not built: node scripts/build-test-servers.mjs')
  }
  describe.skipIf(absent)(name, body)
}

/** @param settings lines of its configuration, beside JetStream, port and folder */
export async function startNats(
  settings: readonly string[] = [],
  { jetStream = true }: { readonly jetStream?: boolean } = {},
): Promise<NatsServer> {
  const folder = await mkdtemp(join(tmpdir(), 'akidb-nats-'))
  const port = await freePort()
  const store = jetStream ? [`jetstream { store_dir: "${join(folder, 'data')}" }`] : []
  const lines = [`listen: "127.0.0.1:${port}"`, ...store, ...settings]
  await writeFile(join(folder, 'nats.conf'), lines.join('\n'))
  const server = new LocalNats(folder, port)
  await server.restart()
  return server
}

/** A stream that takes one subject, and what publishes to it. */
export async function openStream(
  connection: NatsConnection,
  name: string,
  subject: string,
): Promise<(payload: string | Uint8Array) => Promise<unknown>> {
  const manager = await jetstreamManager(connection)
  await manager.streams.add({ name, subjects: [subject] })
  const client = jetstream(connection)
  return (payload) => client.publish(subject, payload)
}

class LocalNats implements NatsServer {
  readonly port: number
  readonly url: string
  readonly #folder: string
  readonly #connections: NatsConnection[] = []
  #child: ChildProcess | undefined

  constructor(folder: string, port: number) {
    this.#folder = folder
    this.port = port
    this.url = `nats://127.0.0.1:${port}`
  }

  async connect(options: ConnectionOptions = {}): Promise<NatsConnection> {
    const servers = `127.0.0.1:${this.port}`
    const connection = await connect({ servers, maxReconnectAttempts: -1, ...options })
    this.#connections.push(connection)
    return connection
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.ref()
    child.kill('SIGKILL')
    await ended
  }

  async restart(): Promise<void> {
    await this.kill()
    const log = openSync(join(this.#folder, 'log'), 'a')
    const args = ['-c', join(this.#folder, 'nats.conf')]
    const child = spawn(natsPath, args, { env: {}, stdio: ['ignore', log, log] })
    closeSync(log)
    await once(child, 'spawn')
    child.unref()
    this.#child = child
    const watchdog = watch(child.pid ?? 0)
    child.once('exit', () => watchdog.kill('SIGKILL'))
    const until = Date.now() + START_MS_MAX
    while (!(await answers(this.port))) {
      if (child.exitCode === null && Date.now() < until) await setTimeout(POLL_MS)
      else throw new Error(`nats-server: ${await readFile(join(this.#folder, 'log'), 'utf8')}`)
    }
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections) await connection.close()
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** Whether it greets whoever connects. */
const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connectSocket(port, '127.0.0.1')
    socket.once('data', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
