import type { Clock, RandomBytes } from '../../core/clock.ts'
import { runningSha256, sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { checkKey } from '../keys.ts'
import type * as store from '../object-store.ts'
import { readFreeSpace } from './minio-admin.ts'
import type { S3Access } from './s3-access.ts'
import { headersOnly } from './s3-answers.ts'
import { checksumOf } from './s3-body.ts'
import { Bucket } from './s3-bucket.ts'
import { listObjects, listVersions } from './s3-list.ts'
import {
  checkVersionId,
  deleteObject,
  headVersion,
  putLegalHold,
  putRetention,
  readLockState,
} from './s3-lock.ts'
import { abortOldUploads } from './s3-parts.ts'
import { headOf, readPieces, readRange, readWhole } from './s3-read.ts'
import type { S3Transport } from './s3-request.ts'
import { lifecycleRuleOf, readRules, replicationRuleOf } from './s3-rules.ts'
import { streamTo } from './s3-stream.ts'
import { upload } from './s3-upload.ts'
import { parseS3Url, type S3Place, s3UrlOf } from './s3-url.ts'

export interface S3StoreOptions extends S3Access {
  readonly clock: Clock
  readonly random: RandomBytes
  /** Holds bodies while they are staged; asked for at the first. */
  readonly spool: () => store.ObjectStore
}

/**
 * A store in a bucket of any server that speaks S3. What it can do is asked of the server where it
 * matters (`lockState`), never assumed.
 *
 * @throws USAGE for addresses that are none
 */
export async function openS3Store(
  url: string,
  options: S3StoreOptions,
): Promise<store.SealedStore> {
  const place = parseS3Url(url)
  const { createTransport } = await import('./s3-transport.ts')
  return new S3Store(place, await createTransport(options), options)
}

/** Uploads that were begun so long ago belong to nobody. */
const UPLOAD_AGE_MAX_MS = 24 * 3_600_000

class S3Store implements store.SealedStore {
  readonly url: string
  readonly capabilities: store.StoreCapabilities = {
    conditionalPut: true,
    append: false,
    localFiles: false,
    versions: true,
    retention: true,
    legalHold: true,
    serverEncryption: true,
    checksums: true,
  }
  readonly #bucket: Bucket
  readonly #admin: Bucket | undefined
  readonly #prefix: string
  readonly #transport: S3Transport
  readonly #openSpool: () => store.ObjectStore
  #opened: store.ObjectStore | undefined
  readonly #clock: Clock
  readonly #random: RandomBytes

  constructor(place: S3Place, transport: S3Transport, options: S3StoreOptions) {
    this.url = s3UrlOf(place)
    this.#prefix = place.prefix
    this.#transport = transport
    this.#openSpool = options.spool
    this.#clock = options.clock
    this.#random = options.random
    const common = {
      transport,
      clock: options.clock,
      random: () => (options.random(1)[0] ?? 0) / 256,
      signal: options.signal,
      onOutage: options.onOutage,
    }
    const retryForMs = options.retryForMs ?? limits.s3RetryForMs
    this.#bucket = new Bucket({ ...common, bucket: place.bucket, retryForMs })
    // Where buckets stand before the host, this would be another host.
    if (options.addressing === 'virtual') return
    this.#admin = new Bucket({ ...common, bucket: 'minio', retryForMs: 0 })
  }

  async get(key: string, range?: store.ByteRange): Promise<Uint8Array> {
    const at = this.#object(key, 'read')
    return range === undefined ? await readWhole(at) : await readRange(at, range)
  }

  async getBounded(key: string, bytesMax: number): Promise<Uint8Array> {
    return await readWhole(this.#object(key, 'read'), bytesMax)
  }

  async *read(
    key: string,
    options: { offset?: number; pieceBytes?: number } = {},
  ): AsyncGenerator<Uint8Array> {
    for await (const piece of readPieces(this.#object(key, 'read'), options)) yield piece.slice()
  }

  async getVersion(key: string, versionId: string, range: store.ByteRange): Promise<Uint8Array> {
    return await readRange(this.#version(key, versionId, 'read'), range)
  }

  async *readVersion(
    key: string,
    versionId: string,
    options: { offset?: number; pieceBytes?: number } = {},
  ): AsyncGenerator<Uint8Array> {
    yield* readPieces(this.#version(key, versionId, 'read'), options)
  }

  async streamVersion(
    key: string,
    versionId: string,
    bytes: number,
    sink: store.PieceSink,
  ): Promise<void> {
    await streamTo(this.#version(key, versionId, 'read'), bytes, sink)
  }

  async put(
    key: string,
    body: Uint8Array,
    options: store.PutOptions = {},
  ): Promise<store.PutResult> {
    checkKey(key)
    options.signal?.throwIfAborted()
    const copy = body.slice()
    const source = { bytes: copy.length, sha256: sha256Hex(copy), open: () => one(copy) }
    const version = await upload({
      ...this.#object(key, 'write'),
      body: source,
      options: options.signal === undefined ? {} : { signal: options.signal },
      replace: options.mode === 'replace',
      notAfterMs: options.notAfterMs,
    })
    return version === undefined ? 'exists' : 'created'
  }

  async stage(): Promise<store.StagedObject> {
    const name = `spool-${Buffer.from(this.#random(12)).toString('hex')}`
    this.#opened ??= this.#openSpool()
    const spool = this.#opened
    const staged = await spool.stage()
    const digest = runningSha256()
    let bytesWritten = 0
    return {
      get bytesWritten() {
        return bytesWritten
      },
      write: async (bytes) => {
        digest.update(bytes)
        await staged.write(bytes)
        bytesWritten += bytes.length
      },
      commit: async (key) => {
        checkKey(key)
        await staged.commit(name)
        try {
          const open = (offset: number) => spool.read(name, { offset })
          const body = { bytes: bytesWritten, sha256: digest.hex(), open }
          return (await this.seal(key, body, {})) === undefined ? 'exists' : 'created'
        } finally {
          await spool.delete(name)
        }
      },
      abort: () => staged.abort(),
    }
  }

  async head(key: string): Promise<store.ObjectInfo | undefined> {
    const head = await headOf(this.#object(key, 'look at'))
    return head && { key, bytes: head.bytes, modifiedMs: head.modifiedMs }
  }

  async *list(prefix: string, options: store.ListOptions = {}): AsyncGenerator<store.ObjectInfo> {
    checkPrefix(prefix)
    yield* listObjects(this.#listing(prefix), options)
  }

  versions(prefix: string): AsyncGenerator<store.ObjectVersion> {
    checkPrefix(prefix)
    return listVersions(this.#listing(prefix))
  }

  #listing(prefix: string) {
    const what = `cannot list ${this.url}/${prefix}`
    return { bucket: this.#bucket, storePrefix: this.#prefix, prefix, what }
  }

  /** In a bucket with versions all of them go for good, the newest last, and leave no marker. */
  async delete(key: string, how: store.DeleteOptions = {}): Promise<boolean> {
    const tidies = how.tidies === true
    const at = { ...this.#object(key, 'delete'), tidies }
    const head = await headOf(at)
    if (head === undefined) return false
    const versions: string[] = []
    if (head.headers['x-amz-version-id'] !== undefined) {
      for await (const found of listVersions({ ...this.#listing(key), tidies })) {
        if (found.key !== key) break
        versions.unshift(found.versionId)
      }
    }
    if (versions.length === 0) await deleteObject(at, how)
    for (const versionId of versions) {
      await deleteObject({ ...this.#version(key, versionId, 'delete'), tidies }, how)
    }
    return true
  }

  async append(key: string): Promise<void> {
    checkKey(key)
    throw unable('append to')
  }

  async truncate(key: string): Promise<void> {
    checkKey(key)
    throw unable('truncate')
  }

  /** To the second: what the server's answers are stamped with. */
  async nowMs(): Promise<number> {
    const headers = await this.#bucket.call({
      method: 'GET',
      query: { location: '' },
      what: `cannot reach ${this.url}`,
      read: headersOnly,
    })
    const nowMs = Date.parse(headers.date ?? '')
    return Number.isNaN(nowMs) ? this.#clock.nowMs() : nowMs
  }

  localPath(): undefined {
    return undefined
  }

  async sweepTemporary(): Promise<number> {
    const beforeMs = (await this.nowMs()) - UPLOAD_AGE_MAX_MS
    const what = `cannot list the unfinished uploads of ${this.url}`
    return await abortOldUploads(this.#bucket, { prefix: this.#prefix, beforeMs, what })
  }

  async close(): Promise<void> {
    this.#transport.close()
  }

  async seal(
    key: string,
    body: store.SealedBody,
    options: store.SealOptions,
  ): Promise<string | undefined> {
    return await upload({ ...this.#object(key, 'write'), body, options })
  }

  async headVersion(key: string, versionId: string): Promise<store.SealedInfo | undefined> {
    return await headVersion(this.#version(key, versionId, 'look at'), key)
  }

  async setRetention(key: string, versionId: string, retention: store.Retention): Promise<void> {
    await putRetention(this.#version(key, versionId, 'extend the retention of'), retention)
  }

  async setLegalHold(key: string, versionId: string, on: boolean): Promise<void> {
    const verb = on ? 'put a legal hold on' : 'release the legal hold on'
    await putLegalHold(this.#version(key, versionId, verb), on)
  }

  async deleteVersion(key: string, versionId: string): Promise<void> {
    await deleteObject(this.#version(key, versionId, 'delete'))
  }

  async lockState(): Promise<store.LockState> {
    return await readLockState(this.#bucket, `cannot look at bucket ${this.#bucket.name}`)
  }

  async replicationRules(): Promise<readonly store.ReplicationRule[]> {
    const what = `cannot look at the replication of bucket ${this.#bucket.name}`
    const rules = await readRules(this.#bucket, 'replication', what)
    return this.#ours(rules.map(replicationRuleOf))
  }

  async lifecycleRules(): Promise<readonly store.LifecycleRule[]> {
    const what = `cannot look at the lifecycle rules of bucket ${this.#bucket.name}`
    const rules = await readRules(this.#bucket, 'lifecycle', what)
    return this.#ours(rules.map(lifecycleRuleOf))
  }

  async freeSpace(): Promise<store.FreeSpace | undefined> {
    return this.#admin === undefined ? undefined : await readFreeSpace(this.#admin)
  }

  /** Rules for keys of this store, or for some of them. */
  #ours<T extends { readonly prefix: string }>(rules: readonly T[]): readonly T[] {
    const own = this.#prefix
    return rules.filter(({ prefix }) => own.startsWith(prefix) || prefix.startsWith(own))
  }

  checksumOf(body: store.SealedBody): Promise<string> {
    return checksumOf(body)
  }

  #version(key: string, versionId: string, verb: string) {
    return { ...this.#object(key, verb), versionId: checkVersionId(versionId) }
  }

  #object(key: string, verb: string) {
    checkKey(key)
    return { bucket: this.#bucket, key: this.#prefix + key, what: this.#what(verb, key) }
  }

  #what(verb: string, key: string): string {
    return `cannot ${verb} ${this.url}/${key}`
  }
}

function checkPrefix(prefix: string): void {
  if (prefix !== '') checkKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix)
}

async function* one(body: Uint8Array): AsyncGenerator<Uint8Array> {
  yield body
}

const unable = (verb: string): AkidbError =>
  new AkidbError('INTERNAL', `nobody can ${verb} an object in a bucket`)
