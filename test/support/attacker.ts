import { createHash, randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { buffer } from 'node:stream/consumers'
import type { SealedStore } from '../../src/storage/object-store.ts'
import type { MinioServer } from './minio.ts'

/** One request of an attacker, below the prefix of a sealed store. */
export interface Attack {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** Absent: the bucket itself. */
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly query?: string
  readonly body?: string | Uint8Array
}

const BYPASS = { 'x-amz-bypass-governance-retention': 'true' }

/** Somebody with the root account of the server, at one address in it. */
export class Attacker {
  readonly #server: MinioServer
  readonly #bucket: string
  readonly #prefix: string

  constructor(server: MinioServer, { url }: Pick<SealedStore, 'url'>) {
    this.#server = server
    const [bucket = '', ...path] = url.replace('s3://', '').split('/')
    this.#bucket = bucket
    this.#prefix = `${path.join('/')}/`
  }

  /** @throws what the server answers */
  async send({ method, key, headers = {}, query = '', body = '' }: Attack): Promise<Answer> {
    const bytes = Buffer.from(body)
    const md5 = createHash('md5').update(bytes).digest('base64')
    const place = key === undefined ? {} : { objectName: this.#prefix + key }
    const sent = { ...headers, ...(method === 'GET' ? {} : { 'content-md5': md5 }) }
    const request = { method, bucketName: this.#bucket, ...place, headers: sent, query }
    const codes = [200, 204]
    const reply = await this.#server.client.makeRequestAsync(request, bytes, codes, 'us-east-1')
    return { headers: reply.headers, body: await buffer(reply) }
  }

  /** Keys below the prefix, in order. */
  async keys(): Promise<string[]> {
    const found: string[] = []
    for await (const { name } of this.#server.client.listObjectsV2(
      this.#bucket,
      this.#prefix,
      true,
    )) {
      found.push((name as string).slice(this.#prefix.length))
    }
    return found
  }

  /** Version id of what lies uppermost under a key. */
  async versionOf(key: string): Promise<string> {
    const { versionId } = await this.#server.client.statObject(this.#bucket, this.#prefix + key)
    return versionId ?? 'null'
  }

  /** Puts a delete marker above an object. */
  async hide(key: string): Promise<void> {
    await this.send({ method: 'DELETE', key })
  }

  /** Puts another version above it. */
  async overwrite(key: string, body: Uint8Array): Promise<void> {
    await this.send({ method: 'PUT', key, body })
  }

  /** As a server that replicates does: the version looks older than the server ever saw it. */
  async backdate(key: string, body: Uint8Array): Promise<void> {
    const headers = {
      'x-minio-source-mtime': '2020-01-01T00:00:00.000Z',
      'x-minio-source-replication-request': 'true',
      'x-minio-source-versionid': randomUUID(),
      'x-minio-source-etag': 'abc',
    }
    await this.send({ method: 'PUT', key, body, headers })
  }

  /** Deletes one version for good. */
  async destroy(key: string, versionId: string): Promise<void> {
    await this.send({ method: 'DELETE', key, headers: BYPASS, query: `versionId=${versionId}` })
  }

  /** Deletes the versions of every key that matches. @returns the keys */
  async destroyAll(target: SealedStore, keys: RegExp): Promise<string[]> {
    const found = (await Array.fromAsync(target.versions(''))).filter(({ key }) => keys.test(key))
    for (const { key, versionId } of found) await this.destroy(key, versionId)
    return found.map(({ key }) => key)
  }

  async retain(key: string, versionId: string, wish: string): Promise<void> {
    const query = `retention=&versionId=${versionId}`
    const body = `<Retention>${wish}</Retention>`
    await this.send({ method: 'PUT', key, headers: BYPASS, query, body })
  }

  async release(key: string, versionId: string): Promise<void> {
    const query = `legal-hold=&versionId=${versionId}`
    const body = '<LegalHold><Status>OFF</Status></LegalHold>'
    await this.send({ method: 'PUT', key, query, body })
  }

  async read(key: string, versionId?: string): Promise<Buffer> {
    const query = versionId === undefined ? '' : `versionId=${versionId}`
    return (await this.send({ method: 'GET', key, query })).body
  }
}

export interface Answer {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** What a retention says, for `retain`. */
export const retention = (mode: 'COMPLIANCE' | 'GOVERNANCE', until: Date): string =>
  `<Mode>${mode}</Mode><RetainUntilDate>${until.toISOString()}</RetainUntilDate>`
