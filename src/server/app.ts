import { type Context, Hono } from 'hono'
import { AkidbError } from '../errors/errors.ts'
import type { Admission, BodyBudget } from './admission.ts'
import type { Answer } from './answer.ts'
import type { Collections } from './collections.ts'
import type { EventCounts } from './follow-events.ts'
import { errorAnswer, HttpRefusal } from './http-error.ts'
import type { Gauges, Metrics } from './metrics.ts'
import { checkOrigin } from './origin-check.ts'
import { readJsonBody } from './request-body.ts'

/** Told of every request, after its answer is made. */
export interface RequestNote {
  readonly method: string
  readonly route: string
  readonly status: number
  readonly elapsedMs: number
  readonly code?: string
  /** Where the failure is a bug: its stack. */
  readonly stack?: string
}

export interface AppParts {
  readonly collections: Collections
  readonly admission: Admission
  readonly metrics: Metrics
  /** Whether only this machine reaches the server. */
  readonly loopback: boolean
  readonly rowsAtRisk: () => Promise<number | undefined>
  readonly unsent?: () => Promise<Gauges['unsent']>
  /** Absent where no source of events is followed. */
  readonly events?: () => EventCounts
  readonly results?: () => Gauges['results']
  readonly onRequest: (note: RequestNote) => void
}

/** Answers one request, whatever it is; never rejects. */
export type Fetch = (request: Request) => Promise<Response>

interface Call {
  readonly name: string
  readonly request: Request
  readonly budget: BodyBudget
}

type Route = readonly [method: string, path: string, handler: (call: Call) => Promise<Answer>]

/** The HTTP routes (docs/server.md). */
export function createApp(parts: AppParts): Fetch {
  const app = new Hono()
  for (const [method, path, handler] of routesOf(parts.collections)) {
    app.on(method, path, (context) =>
      observed(parts, context, path, () => admitted(parts, context, handler)),
    )
  }
  app.get('/health', (context) => observed(parts, context, '/health', async () => health()))
  app.get('/ready', (context) => observed(parts, context, '/ready', () => ready(parts)))
  app.get('/metrics', (context) => observed(parts, context, '/metrics', () => scrape(parts)))
  app.all('*', (context) => observed(parts, context, 'other', async () => unknownRoute(context)))
  return async (request) => await app.fetch(request)
}

const COLLECTION = '/collections/:name'
const QUERIES = ['query', 'count', 'facet', 'scroll'] as const

function routesOf(collections: Collections): Route[] {
  const body = ({ request, budget }: Call) => readJsonBody(request, budget)
  return [
    ['POST', '/collections', async (call) => collections.create(await body(call))],
    ['GET', '/collections', () => collections.list()],
    ['GET', COLLECTION, ({ name }) => collections.show(name)],
    ['DELETE', COLLECTION, ({ name }) => collections.drop(name)],
    [
      'POST',
      `${COLLECTION}/vectors`,
      async (call) => collections.upsert(call.name, await body(call)),
    ],
    [
      'POST',
      `${COLLECTION}/search`,
      async (call) => collections.search(call.name, await body(call), call.request.signal),
    ],
    ...QUERIES.map(
      (kind): Route => [
        'POST',
        `${COLLECTION}/${kind}`,
        async (call) => collections[kind](call.name, await body(call), call.request.signal),
      ],
    ),
  ]
}

/** Runs one request, turns failures into answers, and counts it. */
async function observed(
  parts: AppParts,
  context: Context,
  route: string,
  work: () => Promise<Response>,
): Promise<Response> {
  const startMs = performance.now()
  const { method } = context.req
  const note = (status: number, extra: { code?: string; stack?: string } = {}): void => {
    const elapsedMs = performance.now() - startMs
    const { code } = extra
    const seconds = elapsedMs / 1_000
    const labels = { method: METHODS.has(method) ? method : 'other', route, status, seconds }
    parts.metrics.observe(code === undefined ? labels : { ...labels, code })
    parts.onRequest({ method: labels.method, route, status, elapsedMs, ...extra })
  }
  try {
    checkOrigin(context.req.raw.headers, { loopback: parts.loopback })
    const response = await work()
    note(response.status)
    return response
  } catch (error) {
    const { status, code, body, headers } = errorAnswer(error)
    const isBug = !(error instanceof AkidbError) && error instanceof Error
    note(status, { code, ...(isBug ? { stack: error.stack ?? error.message } : {}) })
    return jsonResponse(status, body, headers)
  }
}

/** Methods that become labels of metrics. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

async function admitted(
  parts: AppParts,
  context: Context,
  handler: (call: Call) => Promise<Answer>,
): Promise<Response> {
  const { status, json } = await parts.admission.run((budget) =>
    handler({ name: context.req.param('name') ?? '', request: context.req.raw, budget }),
  )
  return jsonResponse(status, json)
}

/** Alive: the process answers, whatever the store does. */
const health = (): Response => jsonResponse(200, '{"status":"ok"}')

/** Ready: it is not stopping, and the store can be read. */
async function ready(parts: AppParts): Promise<Response> {
  if (parts.admission.isStopping) {
    throw new HttpRefusal(503, 'UNREACHABLE', 'the server is stopping')
  }
  await parts.collections.list()
  return jsonResponse(200, '{"status":"ready"}')
}

async function scrape(parts: AppParts): Promise<Response> {
  const gauges: Gauges = {
    requestsInFlight: parts.admission.requests,
    rowsAtRisk: await parts.rowsAtRisk(),
    unsent: await parts.unsent?.(),
    ...(parts.events === undefined ? {} : { events: parts.events() }),
    results: parts.results?.(),
  }
  const headers = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }
  return new Response(parts.metrics.expose(gauges), { headers })
}

function unknownRoute(context: Context): never {
  const { method, path } = context.req
  throw new AkidbError('NOT_FOUND', `there is no ${method} ${path}`, {
    hint: 'docs/server.md lists what there is.',
  })
}

const jsonResponse = (
  status: number,
  json: string,
  headers: Readonly<Record<string, string>> = {},
): Response =>
  new Response(`${json}\n`, {
    status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      ...headers,
    },
  })
