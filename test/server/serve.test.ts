import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { auditEntries } from '../../src/db/open/audit-ops.ts'
import { type ServeStoreRequest, serveStore } from '../../src/server/serve-store.ts'
import { makeStoreFolder, removeFolder } from './support.ts'

let folder: string
let running: TestServer[]

beforeEach(async () => {
  folder = await makeStoreFolder()
  running = []
})

afterEach(async () => {
  for (const server of running) await server.stop().catch(() => undefined)
  await removeFolder(folder)
})

interface TestServer {
  readonly url: string
  readonly port: number
  readonly log: Readonly<Record<string, unknown>>[]
  stop(): Promise<{ readonly requests: number }>
}

/** A server on a free port of the loopback. */
async function start(options: Partial<ServeStoreRequest> = {}): Promise<TestServer> {
  const stopping = new AbortController()
  const log: Readonly<Record<string, unknown>>[] = []
  const ready = Promise.withResolvers<{ url: string; port: number }>()
  const ended = serveStore({
    url: folder,
    host: '127.0.0.1',
    port: 0,
    threads: 1,
    signal: stopping.signal,
    onReady: ready.resolve,
    onLog: (entry) => void log.push(entry),
    ...options,
  })
  ended.catch(ready.reject)
  const address = await ready.promise
  const stop = (): Promise<{ readonly requests: number }> => {
    stopping.abort()
    return ended
  }
  const server = { ...address, log, stop }
  running.push(server)
  return server
}

const post = (url: string, body: unknown): Promise<Response> =>
  fetch(url, { method: 'POST', body: JSON.stringify(body) })

async function hits(url: string, body: unknown): Promise<string[]> {
  const answer = (await (await post(`${url}/collections/docs/search`, body)).json()) as {
    readonly hits: readonly { readonly id: string }[]
  }
  return answer.hits.map(({ id }) => id)
}

/** Sends bytes on a connection of its own and gives back all that comes until it ends. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((done, failed) => {
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket.on('data', (piece) => {
      answer += piece.toString('latin1')
    })
    socket.on('error', failed)
    socket.on('close', () => done(answer))
    socket.write(text)
  })
}

describe('a server', () => {
  it('answers, stops when told to, and its rows are there when it starts again', async () => {
    const first = await start()
    expect((await fetch(`${first.url}/ready`)).status).toBe(200)
    await post(`${first.url}/collections`, { name: 'docs', vector_dim: 2 })
    await post(`${first.url}/collections/docs/vectors`, { vectors: [{ id: 'a', vector: [1, 0] }] })
    expect(await hits(first.url, { vector: [1, 0] })).toEqual(['a'])
    expect(await first.stop()).toMatchObject({ requests: 4 })
    await expect(fetch(`${first.url}/health`)).rejects.toThrow()
    const second = await start()
    expect(await hits(second.url, { vector: [1, 0] })).toEqual(['a'])
    const shown = await (await fetch(`${second.url}/collections/docs`)).json()
    expect(shown).toMatchObject({ count: 1, segments: [{ rows: 1 }] })
  })

  it('answers what it has begun before it stops', async () => {
    const server = await start()
    await post(`${server.url}/collections`, { name: 'docs', vector_dim: 2 })
    const body = JSON.stringify({ vectors: [{ id: 'a', vector: [1, 0] }] })
    const socket = connect(server.port, '127.0.0.1')
    const answered = new Promise<string>((done) => {
      let answer = ''
      socket.on('data', (piece) => {
        answer += piece.toString('latin1')
      })
      socket.on('close', () => done(answer))
    })
    const head = `POST /collections/docs/vectors HTTP/1.1\r\nHost: 127.0.0.1\r\n`
    socket.write(`${head}Content-Length: ${body.length}\r\n\r\n${body.slice(0, 10)}`)
    const { count } = await counted(server)
    const stopped = server.stop()
    socket.write(body.slice(10))
    expect(await answered).toMatch(/^HTTP\/1\.1 200 /)
    expect(await stopped).toMatchObject({ requests: count + 1 })
    expect(await hits((await start()).url, { vector: [1, 0] })).toEqual(['a'])
  })

  /** Waits until a request is being answered, and counts those that were. */
  async function counted(server: TestServer): Promise<{ count: number }> {
    let count = 1
    const inFlight = async (): Promise<string> => {
      count++
      const text = await (await fetch(`${server.url}/metrics`)).text()
      return /^akidb_http_requests_in_flight (\d+)$/m.exec(text)?.[1] ?? ''
    }
    await expect.poll(inFlight, { interval: 5 }).toBe('1')
    return { count }
  }

  it('answers again what was asked before, says how often, and audits each', async () => {
    const first = await start()
    await post(`${first.url}/collections`, { name: 'docs', vector_dim: 2 })
    await post(`${first.url}/collections/docs/vectors`, { vectors: [{ id: 'a', vector: [1, 0] }] })
    await first.stop()
    const server = await start()
    const request = { vector: [1, 0], filter: { must: [] } }
    for (let i = 0; i < 3; i++) expect(await hits(server.url, request)).toEqual(['a'])
    expect(await hits(server.url, { ...request, top_k: 2 })).toEqual(['a'])
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toContain('akidb_result_cache_lookups_total{result="hit"} 2')
    expect(metrics).toContain('akidb_result_cache_lookups_total{result="miss"} 2')
    expect(metrics).toMatch(/^akidb_result_cache_entries 2$/m)
    // Rows of the write-ahead log alone are seen at once.
    await post(`${server.url}/collections/docs/vectors`, { vectors: [{ id: 'b', vector: [1, 0] }] })
    expect(await hits(server.url, request)).toEqual(['a', 'b'])
    await server.stop()
    let queries = 0
    for await (const { act, details } of auditEntries({ url: folder })) {
      if (act === 'search') queries += Number(details?.queries)
    }
    expect(queries).toBe(5)
  })

  it('is the only one of its store: the second is told who holds the lock', async () => {
    await start()
    // A second process; within one, openStore shares the store.
    const { LogOwner } = await import('../../src/db/wal/log-owner.ts')
    const { openEnvironment } = await import('../../src/db/open/open-environment.ts')
    const environment = await openEnvironment({ url: folder, mode: 'write' })
    await expect(LogOwner.start(environment, { timer: false })).rejects.toMatchObject({
      code: 'LOCKED',
    })
    await environment.close()
  })

  it('says so where its port is taken, or its address is not ours', async () => {
    const { port } = await start()
    await expect(start({ port })).rejects.toMatchObject({ code: 'LOCKED' })
    await expect(start({ host: '203.0.113.1' })).rejects.toMatchObject({ code: 'USAGE' })
  })

  it('warns where others can reach it', async () => {
    const server = await start({ host: '0.0.0.0' })
    expect(server.log).toContainEqual(expect.objectContaining({ event: 'warning' }))
  })

  it('refuses a body by its announced length without waiting for it', async () => {
    const { port } = await start()
    const length = limits.serverBodyBytesMax + 1
    const head = `POST /collections HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n`
    const answer = await raw(port, `${head}Content-Length: ${length}\r\n\r\n{`)
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(answer).toContain('"code":"LIMIT"')
  })

  it('refuses headers over the limit, and what is no HTTP', async () => {
    const { port, url } = await start()
    const long = 'x'.repeat(limits.serverHeaderBytesMax)
    const head = 'GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n'
    expect(await raw(port, `${head}X: ${long}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /)
    expect(await raw(port, 'hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
    expect(await raw(port, 'GET /health HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
    expect((await fetch(`${url}/health`)).status).toBe(200)
  })

  it('logs each request and audits its searches in batches', async () => {
    const server = await start()
    await post(`${server.url}/collections`, { name: 'docs', vector_dim: 2 })
    for (let i = 0; i < 3; i++) await hits(server.url, { vector: [1, i] })
    // Whoever counts learns of the records too.
    await post(`${server.url}/collections/docs/count`, {})
    await post(`${server.url}/collections/docs/facet`, { key: 'a' })
    await post(`${server.url}/collections/docs/scroll`, {})
    await server.stop()
    const requests = server.log.filter(({ event }) => event === 'request')
    expect(requests).toHaveLength(7)
    expect(requests[0]).toMatchObject({ method: 'POST', route: '/collections', status: 201 })
    const searches = []
    for await (const entry of auditEntries({ url: folder })) {
      if (entry.act === 'search') searches.push(entry)
    }
    expect(searches).toHaveLength(1)
    expect(searches[0]?.details).toMatchObject({ queries: 6 })
  })
})
