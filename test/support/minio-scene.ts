import { afterAll, afterEach, beforeAll } from 'vitest'
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts'
import { later } from './later.ts'
import { createBucket, type MinioOptions, type MinioServer, startMinio } from './minio.ts'
import type { BucketServer } from './s3.ts'

export interface SceneOptions extends MinioOptions {
  /** Buckets with object lock. */
  readonly locked?: readonly string[]
  /** Buckets without. */
  readonly plain?: readonly string[]
}

export interface MinioScene {
  readonly server: MinioServer
  /** In front of the server. It lets all pass until a test says otherwise, to that test's end. */
  readonly proxy: FaultProxy
  /** How the server is reached through the proxy. */
  readonly through: BucketServer
}

/**
 * A server with buckets, and a fault proxy, for all tests of a suite: called in the body of a
 * `describeMinio` before its hooks, which then find all of it in their `beforeAll`, and have it
 * until their `afterAll` is done. Used before that, it is an error.
 */
export function minioScene(options: SceneOptions): MinioScene {
  let made: StartedScene | undefined
  beforeAll(async () => {
    made = await startScene(options)
  })
  afterEach(() => made?.heal())
  afterAll(() => made?.end())
  return {
    server: later('the server', () => made?.server),
    proxy: later('the proxy', () => made?.proxy),
    through: later('the way through the proxy', () => made?.through),
  }
}

export interface StartedScene extends MinioScene {
  /** Lets everything pass. */
  heal(): void
  end(): Promise<void>
}

/** Starts a scene that no hook ends. Where it fails half-way, what was started has ended. */
export async function startScene(options: SceneOptions): Promise<StartedScene> {
  const { locked = [], plain = [], ...ofServer } = options
  await using ends = new AsyncDisposableStack()
  const server = await startMinio(ofServer)
  ends.defer(() => server.stop())
  for (const name of locked) await createBucket(server, name, { objectLock: true })
  for (const name of plain) await createBucket(server, name, { objectLock: false })
  const proxy = await startFaultProxy(server.port)
  ends.defer(() => proxy.close())
  const { accessKey, secretKey } = server
  const kept = ends.move()
  return {
    server,
    proxy,
    through: { url: proxy.url, accessKey, secretKey },
    heal: () => {
      proxy.onRequest = () => undefined
      proxy.gate = async () => undefined
      proxy.latencyMs = 0
    },
    end: () => kept.disposeAsync(),
  }
}
