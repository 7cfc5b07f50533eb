import type { OpenedStore } from '../../src/db/store.ts'
import type { Fault, FaultProxy, ProxiedRequest } from '../support/fault-proxy.ts'
import { originStore } from './sealed-sites.ts'

/** A store with rows and a snapshot of them. */
export async function snapshotStore(): Promise<OpenedStore> {
  const store = await originStore()
  await (await store.collection('docs')).snapshots.create('friday')
  return store
}

/** So that the next pull copies them again. */
export async function dropBlobs({ environment: { store } }: OpenedStore): Promise<void> {
  for await (const { key } of store.list('blobs/')) await store.delete(key)
}

/** Requests that some work sends through the proxy, each of which may be spoiled. */
export async function withFaults<T>(
  proxy: FaultProxy,
  faultOf: (number: number, request: ProxiedRequest) => Fault | undefined,
  work: () => Promise<T>,
): Promise<{ readonly count: number; readonly failure?: unknown }> {
  let count = 0
  proxy.onRequest = (request) => faultOf(++count, request)
  try {
    await work()
    return { count }
  } catch (failure) {
    return { count, failure }
  } finally {
    proxy.onRequest = () => undefined
  }
}
