import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import type { Answer } from '../../src/server/answer.ts'
import type { Collections } from '../../src/server/collections.ts'
import { HTTP_STATUS } from '../../src/server/http-error.ts'
import { SearchJournal } from '../../src/server/search-journal.ts'
import { ROOT } from '../support/sources.ts'
import { appOf, send } from './support.ts'

const OK: Answer = { status: 200, json: '{}' }

/** Routes that do nothing but what a test wants. */
const fake = (parts: Partial<Collections>): Collections => ({
  create: async () => OK,
  list: async () => OK,
  show: async () => OK,
  drop: async () => OK,
  upsert: async () => OK,
  search: async () => OK,
  query: async () => OK,
  count: async () => OK,
  facet: async () => OK,
  scroll: async () => OK,
  ...parts,
})

const UPSERT = ['POST', '/collections/docs/vectors'] as const

describe('a body', () => {
  const { fetch } = appOf({ collections: fake({}) })

  it('is refused by its announced length, before any of it is read', async () => {
    const headers = { 'content-length': String(limits.serverBodyBytesMax + 1) }
    let pulled = 0
    const body = new ReadableStream({
      pull: (controller) => {
        pulled++
        controller.enqueue(Buffer.from('{}'))
        controller.close()
      },
    })
    const reply = await send(fetch, UPSERT, body, headers)
    expect(reply.status).toBe(413)
    expect(reply.json.error).toMatchObject({ code: 'LIMIT' })
    // The stream itself fills its queue once.
    expect(pulled).toBeLessThanOrEqual(1)
  })

  it('is refused as it streams beyond the limit, and the rest is not taken', async () => {
    const piece = Buffer.alloc(8 * 1024 * 1024, ' ')
    let pieces = 0
    let cancelled = false
    const body = new ReadableStream({
      pull: (controller) => {
        pieces++
        controller.enqueue(piece)
      },
      cancel: () => {
        cancelled = true
      },
    })
    const reply = await send(fetch, UPSERT, body)
    expect(reply.status).toBe(413)
    expect(cancelled).toBe(true)
    expect(pieces * piece.byteLength).toBeLessThan(limits.serverBodyBytesMax * 1.5)
  })

  it('of any content type is JSON, but multipart and encoded ones are not', async () => {
    for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
      expect((await send(fetch, UPSERT, '{}', { 'content-type': type })).status).toBe(200)
    }
    for (const headers of [
      { 'content-type': 'multipart/form-data; boundary=x' },
      { 'content-encoding': 'gzip' },
    ]) {
      const reply = await send(fetch, UPSERT, '{}', headers)
      expect(reply.status).toBe(400)
      expect(reply.json.error).toMatchObject({ code: 'BAD_INPUT' })
    }
  })

  it.each([
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22]), 400],
    ['a byte order mark', Buffer.from('\uFEFF{}'), 400],
    ['deep nesting', '['.repeat(200) + ']'.repeat(200), 413],
  ])('is refused for %s', async (_, body, status) => {
    expect((await send(fetch, UPSERT, body)).status).toBe(status)
  })
})

describe('requests from elsewhere', () => {
  const collections = fake({})
  const app = appOf({ collections })

  it.each(['127.0.0.1:8080', 'localhost:8080', 'LOCALHOST', '[::1]:8080', '127.9.9.9'])(
    'reach the loopback under the name %s',
    async (host) => {
      expect((await send(app.fetch, ['GET', '/collections'], undefined, { host })).status).toBe(200)
    },
  )

  it.each(['evil.example:8080', '127.0.0.1.evil.example', '', '10.0.0.1', 'localhost.evil'])(
    'do not under the name "%s"',
    async (host) => {
      for (const path of ['/collections', '/health', '/metrics', '/nothing']) {
        const reply = await send(app.fetch, ['GET', path], undefined, { host })
        expect(reply.status).toBe(403)
        expect(reply.json.error).toMatchObject({ code: 'AUTH' })
      }
    },
  )

  it('may use any name where the server listens to all, but no page of another host', async () => {
    const open = appOf({ collections, loopback: false })
    const host = 'db.example:8080'
    const ask = (origin: string) =>
      send(open.fetch, UPSERT, '{}', { host, origin }).then((reply) => reply.status)
    expect(await ask('http://db.example:8080')).toBe(200)
    for (const origin of ['http://evil.example', 'http://db.example', 'null']) {
      expect(await ask(origin)).toBe(403)
    }
  })
})

describe('many requests', () => {
  it('are turned away beyond the limit, and taken again when others are done', async () => {
    let release = (): void => undefined
    const blocked = new Promise<void>((done) => {
      release = done
    })
    const { fetch, admission } = appOf({
      collections: fake({ show: () => blocked.then(() => OK) }),
    })
    const show = () => send(fetch, ['GET', '/collections/docs'])
    const running = Array.from({ length: limits.serverRequestsMax }, show)
    await expect.poll(() => admission.requests).toBe(limits.serverRequestsMax)
    const refused = await show()
    expect(refused.status).toBe(503)
    expect(refused.headers.get('retry-after')).toBe('1')
    expect((await send(fetch, ['GET', '/health'])).status).toBe(200)
    release()
    for (const reply of await Promise.all(running)) expect(reply.status).toBe(200)
    expect((await show()).status).toBe(200)
  })

  it('do not hold more bytes together than the limit', async () => {
    let release = (): void => undefined
    const blocked = new Promise<void>((done) => {
      release = done
    })
    const { fetch, admission } = appOf({
      collections: fake({ upsert: () => blocked.then(() => OK) }),
    })
    const full = Math.floor(limits.serverBodiesBytesMax / limits.serverBodyBytesMax)
    const headers = { 'content-length': String(limits.serverBodyBytesMax) }
    const running = Array.from({ length: full }, () => send(fetch, UPSERT, '{}', headers))
    await expect.poll(() => admission.requests).toBe(full)
    expect((await send(fetch, UPSERT, '{}', { 'content-length': '2' })).status).toBe(503)
    release()
    await Promise.all(running)
    expect((await send(fetch, UPSERT, '{}', { 'content-length': '2' })).status).toBe(200)
  })
})

describe('a failure', () => {
  it('that is a bug tells the log its stack and the client nothing', async () => {
    const show = async (): Promise<Answer> => {
      throw new TypeError('secret detail')
    }
    const { fetch, notes } = appOf({ collections: fake({ show }) })
    const reply = await send(fetch, ['GET', '/collections/docs'])
    expect(reply.status).toBe(500)
    expect(reply.text).not.toContain('secret')
    expect(notes.at(-1)).toMatchObject({ status: 500, code: 'INTERNAL' })
    expect(notes.at(-1)?.stack).toContain('secret detail')
  })

  it('has the status of its code', async () => {
    for (const [code, status] of Object.entries(HTTP_STATUS)) {
      const show = async (): Promise<Answer> => {
        throw new AkidbError(code as keyof typeof HTTP_STATUS, 'why', { hint: 'how' })
      }
      const reply = await send(appOf({ collections: fake({ show }) }).fetch, [
        'GET',
        '/collections/docs',
      ])
      expect(reply.status).toBe(status)
      expect(reply.json).toEqual({ error: { code, message: 'why', hint: 'how' } })
    }
  })

  it('has the status that the page says', () => {
    const page = readFileSync(join(ROOT, 'docs/server.md'), 'utf8')
    const rows = [...page.matchAll(/^\| (\d{3}) \| ((?:`[A-Z_]+`(?:, )?)+) \|/gm)]
    const said = rows.flatMap(([, status, codes = '']) =>
      [...codes.matchAll(/`([A-Z_]+)`/g)].map(([, code]) => [code, Number(status)]),
    )
    expect(Object.fromEntries(said)).toEqual(HTTP_STATUS)
  })
})

describe('/metrics', () => {
  it('counts requests, errors and times by route in the text format', async () => {
    const { fetch } = appOf({ collections: fake({}) })
    await send(fetch, ['GET', '/collections/a'])
    await send(fetch, ['GET', '/collections/b'])
    await send(fetch, ['GET', '/nothing"\n'])
    const { text, headers } = await send(fetch, ['GET', '/metrics'])
    expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const route = 'route="/collections/:name"'
    expect(text).toContain(`akidb_http_requests_total{method="GET",${route},status="200"} 2`)
    expect(text).toContain(`akidb_http_request_duration_seconds_bucket{${route},le="+Inf"} 2`)
    expect(text).toContain(`akidb_http_request_duration_seconds_count{${route}} 2`)
    expect(text).toContain('akidb_errors_total{code="NOT_FOUND"} 1')
    expect(text).toContain('akidb_wal_rows 7')
    for (const line of text.trimEnd().split('\n')) {
      expect(line).toMatch(
        /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-+.e\d]+)$/,
      )
    }
  })
})

describe('audited searches', () => {
  const search = { collection: 'docs', stateRoot: 'ab', query: '{}' }

  it('are gathered by collection and state', async () => {
    const batches: unknown[] = []
    const journal = new SearchJournal({
      onSearches: async (some) => void batches.push(...some),
      required: false,
      onFailure: () => undefined,
    })
    await journal.note(search)
    await journal.note({ ...search, query: '{"k":1}' })
    await journal.note({ ...search, stateRoot: 'cd' })
    expect(batches).toEqual([])
    await journal.flush()
    expect(batches).toEqual([
      { collection: 'docs', stateRoot: 'ab', queries: ['{}', '{"k":1}'] },
      { collection: 'docs', stateRoot: 'cd', queries: ['{}'] },
    ])
  })

  it('are written at once where they are many', async () => {
    let written = 0
    const journal = new SearchJournal({
      onSearches: async (some) => {
        for (const { queries } of some) written += queries.length
      },
      required: false,
      onFailure: () => undefined,
    })
    for (let i = 0; i < limits.serverAuditSearchesMax; i++) await journal.note(search)
    expect(written).toBe(limits.serverAuditSearchesMax)
  })

  it('are refused where they must be written and cannot be, and not lost', async () => {
    let broken = true
    const written: unknown[] = []
    const failures: unknown[] = []
    const journal = new SearchJournal({
      onSearches: async (some) => {
        if (broken) throw new AkidbError('NO_SPACE', 'the disk is full')
        written.push(...some)
      },
      required: true,
      onFailure: (error) => void failures.push(error),
    })
    journal.check()
    await journal.note(search)
    await journal.flush()
    expect(failures).toHaveLength(1)
    expect(() => journal.check()).toThrow(/audited/)
    broken = false
    await journal.flush()
    journal.check()
    expect(written).toHaveLength(1)
  })
})
