import { type ChildProcess, execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, vi } from 'vitest'
import type { FaultProxy } from '../support/fault-proxy.ts'
import { idsOf } from '../support/records.ts'
import { AKIDB, type ServeProcess, startServe } from '../support/serve-process.ts'
import type { Machine } from './machines.ts'

/** How commands of that machine reach the store. */
export const envOf = ({ at: { s3, stateHome } }: Machine): NodeJS.ProcessEnv => ({
  ...process.env,
  AKIDB_S3_ENDPOINT: s3.endpoint,
  AWS_ACCESS_KEY_ID: s3.accessKey,
  AWS_SECRET_ACCESS_KEY: s3.secretKey,
  XDG_STATE_HOME: stateHome,
})

/** What a write that was taken is answered with. */
export const OK = [200, undefined]

export interface LocalServer extends ServeProcess {
  /** Status of the answer, and its error's code. */
  upsert(ids: readonly string[]): Promise<readonly [number, string | undefined]>
  atRisk(): Promise<number>
  /** Waits until nothing is at risk. */
  settled(): Promise<void>
  /** One row that is in the bucket. */
  send(id: string): Promise<void>
}

export const UNTIL = { timeout: 20_000, interval: 20 }

/** A bucket that is away, and back. */
export const outages = (proxy: FaultProxy) => ({
  cut: (): void => {
    proxy.onRequest = () => ({ kind: 'cut-before' })
  },
  heal: (): void => {
    proxy.onRequest = () => undefined
  },
})

/** Ids of the rows of docs, as that machine reads them. */
export async function idsAt(machine: Machine): Promise<string[]> {
  const store = await machine.open('read')
  const ids = await idsOf(store.core('docs'))
  await store.close()
  return ids
}

/** Asks a server that acknowledges on the local disk. */
export function localServer(server: ServeProcess): LocalServer {
  const { url } = server
  const upsert: LocalServer['upsert'] = async (ids) => {
    const vectors = ids.map((id, i) => ({ id, vector: [1, i, 0, 0] }))
    const body = JSON.stringify({ vectors })
    const answer = await fetch(`${url}/collections/docs/vectors`, { method: 'POST', body })
    const { error } = (await answer.json()) as { error?: { code: string } }
    return [answer.status, error?.code]
  }
  const atRisk = async (): Promise<number> => {
    const text = await (await fetch(`${url}/metrics`)).text()
    return Number(/^akidb_rows_at_risk (\d+)$/m.exec(text)?.[1])
  }
  const settled = async (): Promise<void> =>
    await vi.waitFor(async () => expect(await atRisk()).toBe(0), UNTIL)
  const send = async (id: string): Promise<void> => {
    expect(await upsert([id])).toEqual(OK)
    await settled()
  }
  return { ...server, upsert, atRisk, settled, send }
}

/** A real `akidb serve --durability local` on a free port. */
export async function serveLocal(machine: Machine, children: ChildProcess[]): Promise<LocalServer> {
  const options = ['--durability', 'local']
  const [store, env] = [machine.at.url, envOf(machine)]
  return localServer(await startServe({ store, options, env, children }))
}

/** What `akidb status --json` prints. */
export const statusAt = async (machine: Machine): Promise<Record<string, unknown>> =>
  JSON.parse((await commandAt(machine, 'status')).stdout) as Record<string, unknown>

/** What `akidb <command> --json` prints, with its exit code. */
export async function commandAt(
  machine: Machine,
  ...argv: readonly string[]
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const all = ['--store', machine.at.url, '--json', ...argv]
  const env = { ...envOf(machine), AKIDB_RETRY_FOR: '2s' }
  return await promisify(execFile)(AKIDB, all, { env }).then(
    (ran) => ({ code: 0, ...ran }),
    (failed: { code: number; stdout: string; stderr: string }) => failed,
  )
}
