import { getEventListeners } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import {
  bodyOf,
  type FakeAnswer,
  type FakeAnswers,
  type FakeServer,
  FakeStores,
  gather,
  listening,
  openBucket,
  patternOf,
  startFakeServer,
} from '../support/s3.ts'

const MIB = 1024 * 1024
const fakes = new FakeStores()
const against = fakes.open.bind(fakes)
afterEach(() => fakes.close())

const noServer = { code: 'UNREACHABLE', hint: expect.stringContaining('S3 server') }

/** An object of so many bytes, all of them `tag`. */
function rangeOf({ method, headers }: IncomingMessage, bytes: number, tag: number): FakeAnswer {
  const { range = '', 'if-match': wanted } = headers
  const etag = `"${tag}"`
  if (method === 'HEAD') return { headers: { etag, 'content-length': String(bytes) } }
  if (wanted !== etag)
    return { status: 412, body: '<Error><Code>PreconditionFailed</Code></Error>' }
  const [from = 0, to = 0] = range.replace('bytes=', '').split('-').map(Number)
  const content = { 'content-range': `bytes ${from}-${to}/${bytes}` }
  return { status: 206, headers: content, body: Buffer.alloc(to - from + 1, tag) }
}

describe('an object', () => {
  const get = async (answer: FakeAnswer) => {
    const { store } = await against(() => answer)
    return await store.get('k')
  }

  it.each([
    ['of no length', { headers: { 'transfer-encoding': 'chunked' }, body: 'abc' }],
    ['of part of it', { status: 206, body: 'abc' }],
    ['of more than any', { headers: { 'content-length': '9999999999999' } }],
  ])('is refused: %s', async (_, answer) => {
    await expect(get(answer)).rejects.toMatchObject(noServer)
  })

  it('is asked for three times where its checksum is not its own', async () => {
    const headers = { 'x-amz-checksum-sha256': Buffer.alloc(32).toString('base64') }
    const { store, server } = await against(() => ({ headers, body: 'abc' }))
    const wrong = { code: 'INTEGRITY', exitCode: 24 }
    await expect(store.get('k')).rejects.toMatchObject(wrong)
    expect(server.requests).toHaveLength(3)
  })

  it('is not taken for a range of it, nor a range for another', async () => {
    const range = { offset: 1, bytes: 2 }
    const ranged = (said: string, body: string, status = 206): FakeAnswer => ({
      ...{ status, body },
      headers: { 'content-range': said },
    })
    const answers = [
      { body: 'abc' },
      ranged('bytes 0-1/3', 'ab'),
      ranged('bytes 1-2/*', 'bc'),
      ranged('', 'bc'),
      ranged('bytes 1-1/3', 'b'),
      ranged('bytes 1-2/3', 'bc', 200),
      ranged('bytes 1-2/3', 'bcd'),
    ]
    for (const answer of answers) {
      const { store, server } = await against(() => answer)
      await expect(store.get('k', range)).rejects.toMatchObject(noServer)
      expect(server.requests).toHaveLength(1)
    }
    const short = await against(() => ranged('bytes 1-1/2', 'b'))
    await expect(short.store.get('k', range)).rejects.toMatchObject({ code: 'INTEGRITY' })
    const cut = await against(() => ranged('bytes 1-2/3', 'b'), { retryForMs: 100 })
    await expect(cut.store.get('k', range)).rejects.toMatchObject({ code: 'UNREACHABLE' })
  })

  it('that never ends is not read to its end', async () => {
    let chunks = 0
    const closed = Promise.withResolvers<void>()
    const endless = await listening(
      createServer((socket) => {
        const write = () => void (++chunks < 1_000 && socket.write(Buffer.alloc(MIB)))
        socket.once('data', () => {
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${1_000 * MIB}\r\n\r\n`)
          write()
        })
        socket.on('drain', write)
        socket.on('close', () => closed.resolve())
      }),
    )
    const store = await openBucket('s3://bucket', { endpoint: endless.url })
    await expect(store.get('k', { offset: 0, bytes: 10 })).rejects.toMatchObject(noServer)
    await closed.promise
    expect(chunks).toBeLessThan(100)
    await endless.close()
  })

  it('of another version is none', async () => {
    const headers = { 'x-amz-version-id': 'newest', 'content-length': '3' }
    const { store } = await against(() => ({ headers, body: 'abc' }))
    await expect(store.headVersion('k', 'sealed')).rejects.toMatchObject(noServer)
    await expect(gather(store.readVersion('k', 'sealed'))).rejects.toMatchObject(noServer)
    expect(await store.headVersion('k', 'newest')).toMatchObject({ bytes: 3 })
  })

  it('that is streamed is of the length, version and range that were asked for', async () => {
    const headers = { 'x-amz-version-id': 'v' }
    const stream = async (answer: FakeAnswer): Promise<string> => {
      const { store } = await against(() => answer, { retryForMs: 100 })
      const pieces: Buffer[] = []
      const take = (piece: Uint8Array) => void pieces.push(Buffer.from(piece))
      await store.streamVersion('k', 'v', 3, take)
      return Buffer.concat(pieces).toString()
    }
    const ranged = (said: string, body: string, more: object = {}): FakeAnswer => ({
      ...{ status: 206, body, headers: { ...headers, 'content-range': said } },
      ...more,
    })
    expect(await stream(ranged('bytes 0-2/3', 'abc'))).toBe('abc')
    const other = [ranged('bytes 0-2/4', 'abc'), ranged('bytes 0-1/2', 'ab')]
    for (const answer of other) {
      await expect(stream(answer)).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
    const wrong = [
      ranged('bytes 0-2/3', 'abcd'),
      ranged('bytes 0-2/3', 'ab'),
      ranged('bytes 1-2/3', 'bc'),
      ranged('bytes 0-2/3', 'abc', { status: 200 }),
      ranged('bytes 0-2/3', 'abc', { headers: { 'content-range': 'bytes 0-2/3' } }),
    ]
    for (const answer of wrong) await expect(stream(answer)).rejects.toMatchObject(noServer)
    // Whatever it says of why.
    await expect(stream({ status: 416 })).rejects.toMatchObject({ code: 'INTEGRITY' })
    const nothing = async (bytes: number, status = 200) => {
      const said = { status, headers: { ...headers, 'content-length': String(bytes) } }
      const { store } = await against(() => said)
      await store.streamVersion('k', 'v', 0, () => expect.fail('a piece of nothing'))
    }
    await nothing(0)
    await expect(nothing(1)).rejects.toMatchObject({ code: 'INTEGRITY' })
    await expect(nothing(0, 404)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('that is streamed ends where nobody wants more of it', async () => {
    const body = Buffer.alloc(8 * MIB)
    const headers = {
      'x-amz-version-id': 'v',
      'content-range': `bytes 0-${8 * MIB - 1}/${8 * MIB}`,
    }
    const { store, server } = await against(() => ({ status: 206, headers, body }))
    const full = new AkidbError('NO_SPACE', 'the disk is full')
    let pieces = 0
    const at = (second: boolean) => (): Promise<void> | undefined => {
      pieces++
      if (!second) throw full
      return pieces < 2 ? undefined : Promise.reject(full)
    }
    for (const second of [false, true]) {
      pieces = 0
      await expect(store.streamVersion('k', 'v', 8 * MIB, at(second))).rejects.toBe(full)
      expect(pieces).toBe(second ? 2 : 1)
    }
    expect(server.requests).toHaveLength(2)
  })

  it('that is replaced while it is read is not put together of both', async () => {
    let tag = 1
    const { store } = await against((request) => rangeOf(request, 3 * limits.s3ReadBytes, tag))
    const pieces = store.read('k')[Symbol.asyncIterator]()
    await pieces.next()
    tag = 2
    const rest = async () => {
      while ((await pieces.next()).done !== true);
    }
    await expect(rest()).rejects.toMatchObject({ code: 'CONFLICT', exitCode: 22 })
  })

  it('is not missing because somebody else answers 404', async () => {
    const { store } = await against(() => ({ status: 404, body: '<html>404</html>' }))
    await expect(store.get('k')).rejects.toMatchObject(noServer)
  })

  it('is not sought elsewhere', async () => {
    const other = await against(() => ({ body: 'abc' }))
    for (const status of [301, 302, 307, 308]) {
      const { store } = await against(() => ({ status, headers: { location: other.server.url } }))
      const sent = { code: 'UNREACHABLE', message: expect.stringContaining(other.server.url) }
      await expect(store.get('k')).rejects.toMatchObject(sent)
      await expect(store.put('k', Buffer.from('x'))).rejects.toMatchObject(sent)
    }
    expect(other.server.requests).toEqual([])
  })
})

describe('what is written', () => {
  const encryption = { keyId: 'site-a', context: {} }
  const etag = { etag: '"e"' }

  it('is not taken by who says nothing but yes', async () => {
    const { store } = await against(() => ({}))
    await expect(store.put('k', Buffer.from('x'))).rejects.toMatchObject(noServer)
  })

  it('is not taken unencrypted, nor as something else', async () => {
    const { store } = await against(() => ({ headers: etag }))
    const sealing = store.seal('k', bodyOf('x'), { encryption })
    await expect(sealing).rejects.toMatchObject({ code: 'INTEGRITY', exitCode: 24 })
    const headers = { ...etag, 'x-amz-checksum-sha256': 'other' }
    const other = await against(() => ({ headers }))
    const putting = other.store.put('k', Buffer.from('x'))
    await expect(putting).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('is never sent to its end where it is not what it was to be', async () => {
    let taken = 0
    const { store } = await against(() => {
      taken++
      return { headers: etag }
    })
    for (const body of [bodyOf('other'), bodyOf(patternOf(3 * MIB))]) {
      const sealing = store.seal('k', { ...body, sha256: '0'.repeat(64) }, {})
      await expect(sealing).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
    expect(taken).toBe(0)
    await store.seal('k', bodyOf('right'), {})
    expect(taken).toBe(1)
  })

  it('in parts is refused by an error that comes as a success', async () => {
    let completions = 0
    const answer: FakeAnswers = ({ method, url = '' }) => {
      if (method === 'HEAD') return { status: 404 }
      if (method === 'PUT') return { headers: etag }
      if (method === 'DELETE') return { status: 204 }
      if (url.endsWith('?uploads=')) {
        const id = '<UploadId>id</UploadId>'
        return { body: `<InitiateMultipartUploadResult>${id}</InitiateMultipartUploadResult>` }
      }
      const code = completions++ === 0 ? 'InternalError' : 'InvalidPart'
      return { body: `<?xml version="1.0"?>\n\n<Error><Code>${code}</Code></Error>` }
    }
    const { store, server } = await against(answer)
    const sealing = store.seal('k', bodyOf(patternOf(limits.s3PutBytesMax + 1)), {})
    await expect(sealing).rejects.toThrow('InvalidPart')
    expect(completions).toBe(2)
    expect(server.requests.at(-1)).toBe('DELETE /bucket/p/k?uploadId=id')
  })

  it('in parts is given up at the first that is refused', async () => {
    const answer: FakeAnswers = ({ method, url = '' }) => {
      if (method === 'HEAD') return { status: 404 }
      if (url.endsWith('?uploads=')) {
        const id = '<UploadId>id</UploadId>'
        return { body: `<InitiateMultipartUploadResult>${id}</InitiateMultipartUploadResult>` }
      }
      if (url.includes('partNumber=1&')) {
        return { status: 403, body: '<Error><Code>AccessDenied</Code></Error>' }
      }
      return method === 'DELETE' ? { status: 204 } : { status: 503 }
    }
    const { store, server } = await against(answer)
    const body = bodyOf(patternOf(3 * limits.s3PutBytesMax))
    const started = performance.now()
    await expect(store.seal('k', body, {})).rejects.toMatchObject({ code: 'AUTH' })
    expect(performance.now() - started).toBeLessThan(10_000)
    expect(server.requests.at(-1)).toContain('DELETE')
  })
})

describe('requests', () => {
  it('leave no listener, no warning and no connection behind', async () => {
    const warned = vi.spyOn(console, 'warn')
    const errors = ['SlowDown', 'InternalError', 'NoSuchKey']
    let count = 0
    const { store, server } = await against(() => {
      const code = errors[count++ % errors.length]
      const status = code === 'NoSuchKey' ? 404 : 503
      return { status, body: `<Error><Code>${code}</Code></Error>` }
    })
    const { signal } = new AbortController()
    const puts = Array.from({ length: 12 }, (_, i) =>
      store.put(`k${i}`, Buffer.from('x'), { signal }).catch(({ code }) => code),
    )
    expect(new Set(await Promise.all(puts))).toEqual(new Set(['NOT_FOUND']))
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    expect(warned).not.toHaveBeenCalled()
    expect(await connectionsOf(server)).toBeLessThanOrEqual(20)
    await store.close()
    await vi.waitFor(async () => expect(await connectionsOf(server)).toBe(0))
    await expect(store.head('k')).rejects.toMatchObject({ code: 'INTERNAL' })
  })

  it('that nobody waits for any more end', async () => {
    const [asked, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const server = await startFakeServer(async (request) => {
      const isNext = request.headers.range?.startsWith(`bytes=${limits.s3ReadBytes}-`) === true
      if (!isNext) return rangeOf(request, 3 * limits.s3ReadBytes, 1)
      request.socket.on('close', () => ended.resolve())
      asked.resolve()
      return await new Promise(() => undefined)
    })
    const store = await openBucket('s3://bucket', { endpoint: server.url })
    for await (const _ of store.read('k')) {
      await asked.promise
      break
    }
    await ended.promise
    await server.close()
  })

  it('tell a long and strange message in one bounded line', async () => {
    const message = `${'x'.repeat(50_000)}\u001b[2J`
    const body = `<Error><Code>Odd</Code><Message>${message}</Message></Error>`
    const { store } = await against(() => ({ status: 400, body }))
    const error = await store.head('k').catch((caught: Error) => caught)
    expect((error as Error).message.length).toBeLessThan(1_000)
    const other = await store.get('k').catch((caught: Error) => caught)
    expect((other as unknown as Error).message.length).toBeLessThan(1_000)
    const endless = await against(() => ({ status: 400, body: Buffer.alloc(MIB, 'x') }))
    await expect(endless.store.get('k')).rejects.toMatchObject({ code: 'UNREACHABLE' })
  })
})

const connectionsOf = ({ server }: FakeServer): Promise<number> =>
  new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
  )
