import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { initStore } from '../../src/db/open/init.ts'
import { type OpenedStore, openStore } from '../../src/db/store.ts'
import { Admission } from '../../src/server/admission.ts'
import { type AppParts, createApp, type Fetch, type RequestNote } from '../../src/server/app.ts'
import { serveCollections } from '../../src/server/collections.ts'
import { Metrics } from '../../src/server/metrics.ts'

/** A new store in a temporary folder. */
export async function makeStoreFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'akidb-server-'))
  await initStore({ url: folder, noKey: true })
  return folder
}

export const removeFolder = (folder: string): Promise<void> =>
  rm(folder, { recursive: true, force: true })

/** The routes on an open store, without a socket. */
export interface TestApp {
  readonly fetch: Fetch
  readonly notes: RequestNote[]
  readonly admission: Admission
  readonly metrics: Metrics
}

export function appOf(parts: Pick<AppParts, 'collections'> & Partial<AppParts>): TestApp {
  const notes: RequestNote[] = []
  const admission = new Admission()
  const metrics = new Metrics()
  const fetch = createApp({
    admission,
    metrics,
    loopback: true,
    rowsAtRisk: async () => 7,
    onRequest: (note) => void notes.push(note),
    ...parts,
  })
  return { fetch, notes, admission, metrics }
}

export const appOn = (store: OpenedStore): TestApp =>
  appOf({ collections: serveCollections(store, undefined) })

export const openForWriting = (folder: string): Promise<OpenedStore> =>
  openStore({ url: folder, mode: 'write', threads: 1 }) as Promise<OpenedStore>

export interface Reply {
  readonly status: number
  readonly text: string
  readonly json: Record<string, unknown> & { readonly error?: Record<string, string> }
  readonly headers: Headers
}

/** Sends one request; an object becomes its JSON body, text and bytes are sent as they are. */
export async function send(
  fetch: Fetch,
  [method, path]: readonly [string, string],
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array
  const init: RequestInit & { duplex: 'half' } = {
    method,
    headers: { host: '127.0.0.1:8080', ...headers },
    duplex: 'half',
    ...(body === undefined ? {} : { body: isRaw ? (body as Body) : bodyOf(body) }),
  }
  const response = await fetch(new Request(`http://127.0.0.1:8080${path}`, init))
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
  return {
    status: response.status,
    text,
    json: isJson ? (JSON.parse(text) as Reply['json']) : {},
    headers: response.headers,
  }
}

type Body = NonNullable<RequestInit['body']>

const bodyOf = (body: unknown): Body =>
  body instanceof ReadableStream ? body : JSON.stringify(body)
