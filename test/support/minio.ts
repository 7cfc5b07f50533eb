import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Client } from 'minio'
import { describe } from 'vitest'

const REGION = 'us-east-1'
const KMS_KEY = 'site-a'
const START_MS_MAX = 60_000
const POLL_MS = 20
const PROBE_MS_MAX = 5_000
const LOG_TAIL_CHARS = 4_000
// Below the ports that systems give to outgoing connections: none of those takes the port of a
// killed server before its restart.
const PORT_MIN = 15_000
const PORT_MAX = 32_000

const script = new URL('../../scripts/build-test-servers.mjs', import.meta.url).href
const { minioPath } = (await import(script)) as { minioPath: string }

/** A running (or killed, or restarted) MinIO server of this test's own, on loopback. */
export interface MinioServer {
  /** 'http://127.0.0.1:<port>' */
  readonly url: string
  readonly port: number
  readonly accessKey: string
  readonly secretKey: string
  /** Name of the only key of its key store, where it was started with one. */
  readonly kmsKey: 'site-a'
  /** Where its data lies. */
  readonly folder: string
  /** Of the process that was started last. */
  readonly pid: number
  /** A client with the root credentials, which neither retries nor keeps connections. */
  readonly client: Client
  /** SIGKILL; resolves when the process is gone. Does nothing where it is gone already. */
  kill(): Promise<void>
  /** Kills it where it runs; starts it with the same port, data and keys; ready when resolved. */
  restart(): Promise<void>
  /** Kills it, and removes its data unless the caller gave the folder. */
  stop(): Promise<void>
}

export interface MinioOptions {
  /** With a key store that holds the key "site-a"; default true. */
  readonly kms?: boolean
  /** Where its data lies; default: a temporary folder. */
  readonly folder?: string
  /** Default: a free one. */
  readonly port?: number
  /** Further variables of its environment, which win over those set here. */
  readonly env?: Readonly<Record<string, string>>
}

/** Path of the MinIO binary, undefined where it is not built. */
export const minioBinary = (): string | undefined => (existsSync(minioPath) ? minioPath : undefined)

/**
 * Tests that need a MinIO server. Where it is not built they are skipped (the run's setup has said
 * so), with CI=true the file fails. Start the server in a hook inside `body`.
 */
export function describeMinio(name: string, body: () => void): void {
  const absent = minioBinary() === undefined
  if (absent && process.env.CI === 'true') {
    throw new Error('MinIO is not built, and CI=true needs it: node scripts/build-test-servers.mjs')
  }
  describe.skipIf(absent)(name, body)
}

/**
 * Starts a MinIO server with random credentials; it dies with this process, however that ends.
 *
 * @throws with the end of its log where it ends before it answers, or does not within 60 s
 */
export async function startMinio(options: MinioOptions = {}): Promise<MinioServer> {
  const binary = minioBinary()
  if (binary === undefined) throw new Error('MinIO is not built')
  const own = await mkdtemp(join(tmpdir(), 'akidb-minio-'))
  const folder = options.folder ?? join(own, 'data')
  await mkdir(folder, { recursive: true })
  const port = options.port ?? (await freePort())
  const env = environmentOf(own, options)
  const consolePort = await freePort(port)
  const server = new LocalMinio({ binary, own, folder, port, consolePort, env })
  try {
    await server.restart()
    return server
  } catch (error) {
    await server.stop()
    throw error
  }
}

/** Makes a bucket; with `objectLock` it keeps versions and takes retention. */
export async function createBucket(
  server: MinioServer,
  name: string,
  options: { readonly objectLock: boolean },
): Promise<void> {
  await server.client.makeBucket(name, REGION, { ObjectLocking: options.objectLock })
}

// Nothing of the caller's environment is passed on: no proxy, no MINIO_ variable, no home.
const environmentOf = (own: string, options: MinioOptions): Record<string, string> => ({
  HOME: own,
  MINIO_ROOT_USER: randomBytes(8).toString('hex'),
  MINIO_ROOT_PASSWORD: randomBytes(16).toString('hex'),
  MINIO_BROWSER: 'off',
  MINIO_UPDATE: 'off',
  // Takes 256 MiB of buffers at most, and a drive that is the system's own.
  MINIO_CI_CD: '1',
  ...(options.kms === false
    ? {}
    : { MINIO_KMS_SECRET_KEY: `${KMS_KEY}:${randomBytes(32).toString('base64')}` }),
  ...options.env,
})

interface LocalSettings {
  readonly binary: string
  /** Removed by stop(). */
  readonly own: string
  readonly folder: string
  readonly port: number
  readonly consolePort: number
  readonly env: Readonly<Record<string, string>>
}

class LocalMinio implements MinioServer {
  readonly kmsKey = KMS_KEY
  readonly url: string
  readonly port: number
  readonly folder: string
  readonly accessKey: string
  readonly secretKey: string
  readonly client: Client
  readonly #settings: LocalSettings
  readonly #log: string
  #child: ChildProcess | undefined

  constructor(settings: LocalSettings) {
    this.#settings = settings
    this.#log = join(settings.own, 'minio.log')
    this.port = settings.port
    this.folder = settings.folder
    this.url = `http://127.0.0.1:${settings.port}`
    this.accessKey = settings.env.MINIO_ROOT_USER ?? ''
    this.secretKey = settings.env.MINIO_ROOT_PASSWORD ?? ''
    this.client = new Client({
      endPoint: '127.0.0.1',
      port: settings.port,
      useSSL: false,
      accessKey: this.accessKey,
      secretKey: this.secretKey,
      region: REGION,
      // A connection that was kept would break at the first request after a restart.
      transportAgent: new Agent({ keepAlive: false }),
      retryOptions: { disableRetry: true },
    })
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error('MinIO was not started')
    return this.#child.pid
  }

  async restart(): Promise<void> {
    await this.kill()
    const { binary, folder, port, consolePort, env } = this.#settings
    const addresses = ['--address', `127.0.0.1:${port}`]
    const consoleAddress = ['--console-address', `127.0.0.1:${consolePort}`]
    // A file, not a pipe: a test may block its own process for longer than a pipe holds lines.
    const log = openSync(this.#log, 'a')
    const child = spawn(binary, ['server', ...addresses, ...consoleAddress, folder], {
      env,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    await once(child, 'spawn')
    // One that is forgotten does not keep this process from ending.
    child.unref()
    this.#child = child
    const watchdog = watch(this.pid)
    child.once('exit', () => watchdog.kill('SIGKILL'))
    await this.#untilReady(child)
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || hasEnded(child)) return
    const ended = once(child, 'exit')
    child.ref()
    child.kill('SIGKILL')
    await ended
  }

  async stop(): Promise<void> {
    await this.kill()
    await rm(this.#settings.own, { recursive: true, force: true })
  }

  async #untilReady(child: ChildProcess): Promise<void> {
    const until = Date.now() + START_MS_MAX
    for (;;) {
      if (await this.#answers()) return
      const ended = hasEnded(child)
      if (ended || Date.now() > until) {
        const tail = (await readFile(this.#log, 'utf8')).slice(-LOG_TAIL_CHARS)
        await this.kill()
        throw new Error(`MinIO ${ended ? 'ended' : 'did not answer'} at its start:\n${tail}`)
      }
      await setTimeout(POLL_MS)
    }
  }

  /** Whether it lives, has read its accounts, and is not somebody else's server at this port. */
  async #answers(): Promise<boolean> {
    try {
      const signal = AbortSignal.timeout(PROBE_MS_MAX)
      const reply = await fetch(`${this.url}/minio/health/live`, { signal })
      await reply.body?.cancel()
      if (!reply.ok) return false
      await this.client.listBuckets()
      return true
    } catch {
      return false
    }
  }
}

const hasEnded = (child: ChildProcess): boolean =>
  child.exitCode !== null || child.signalCode !== null

/**
 * A shell that kills a process when this one ends in whatever way: its input closes then. A test
 * runner ends its workers by signals, at which no exit handler runs.
 */
export function watch(pid: number): ChildProcess {
  const watchdog = spawn('sh', ['-c', `read -r line; kill -9 ${pid}`], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watchdog.unref()
  return watchdog
}

/** A port of 127.0.0.1 that nobody listens at, other than `taken`. */
export async function freePort(taken?: number): Promise<number> {
  for (;;) {
    const port = randomInt(PORT_MIN, PORT_MAX)
    if (port !== taken && (await isFree(port))) return port
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
