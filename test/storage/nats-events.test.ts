import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { nkeys, type TlsOptions } from '@nats-io/transport-node'
import { NotificationConfig, QueueConfig } from 'minio'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import type { BucketEvents } from '../../src/storage/events/bucket-events.ts'
import type { NatsAccess } from '../../src/storage/events/nats-access.ts'
import { openNatsEvents } from '../../src/storage/events/nats-events.ts'
import { systemClock } from '../../src/storage/system-clock.ts'
import { NewsReader } from '../support/bucket-news.ts'
import { describeTls, makeAuthority } from '../support/certificates.ts'
import { createBucket, type MinioServer, minioBinary, startMinio } from '../support/minio.ts'
import { describeNats, type NatsServer, openStream, startNats } from '../support/nats.ts'
import { noPauses } from '../support/s3.ts'

const place = { bucket: 'bucket', prefix: 'a+b/', below: 'collections/' }
const MANIFEST = 'collections/docs/manifests/1.json'
const SUBJECT = 'bucketevents'
const clock = {
  nowMs: () => systemClock.nowMs(),
  sleep: (_ms: number, signal?: AbortSignal) => systemClock.sleep(1, signal),
}
const message = (key: string): string => {
  const s3 = { bucket: { name: 'bucket' }, object: { key: encodeURIComponent(key) } }
  const EventName = 's3:ObjectCreated:Put'
  return JSON.stringify({
    ...{ EventName, Key: `bucket/${key}` },
    Records: [{ eventName: EventName, s3 }],
  })
}
const readers: NewsReader[] = []
const follow = (events: BucketEvents): NewsReader => {
  const reader = new NewsReader(events)
  readers.push(reader)
  return reader
}
const eventsAt = (access: NatsAccess, at = place): Promise<BucketEvents> =>
  openNatsEvents(at, { clock, random: noPauses, access })

let folder: string
let server: NatsServer | undefined
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'akidb-nats-files-'))
})
afterEach(async () => {
  for (const reader of readers.splice(0)) await reader.stop()
  await server?.stop()
  server = undefined
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const fileOf = (name: string, text: string, mode = 0o600): string => {
  const path = join(folder, name)
  writeFileSync(path, text, { mode })
  return path
}

describeNats('events of a bucket, from a NATS server', () => {
  it('are those of the store, and what came before is not told', async () => {
    server = await startNats()
    const publish = await openStream(await server.connect(), 'EVENTS', SUBJECT)
    await publish(message('a+b/collections/old'))
    const reader = follow(await eventsAt({ url: server.url }))
    await reader.next('connected')
    await publish(message('a+b/blobs/0/aa/x'))
    await publish(message(`a b/${MANIFEST}`))
    await publish(message(`a+b/${MANIFEST}`))
    expect(await reader.keys(1)).toEqual([`created ${MANIFEST}`])
    expect(reader.heard).toHaveLength(2)
  })

  it('that cannot be read are gaps', async () => {
    server = await startNats()
    const publish = await openStream(await server.connect(), 'EVENTS', SUBJECT)
    const reader = follow(await eventsAt({ url: server.url, stream: 'EVENTS' }))
    await reader.next('connected')
    for (const bad of ['', '{"Records":7}', new Uint8Array(limits.eventBytesMax + 1)]) {
      await publish(bad)
      await reader.next('gap')
    }
    await publish(message(`a+b/${MANIFEST}`))
    expect(await reader.keys(1)).toEqual([`created ${MANIFEST}`])
  })

  it('come again after the server was killed, and the gap is told', async () => {
    server = await startNats()
    await openStream(await server.connect(), 'EVENTS', SUBJECT)
    const reader = follow(await eventsAt({ url: server.url }))
    await reader.next('connected')
    await server.kill()
    expect((await reader.next('lost')).error.code).toBe('UNREACHABLE')
    await server.restart()
    await reader.next('connected')
    // The first connection may come back some seconds later.
    await jetstream(await server.connect()).publish(SUBJECT, message(`a+b/${MANIFEST}`))
    expect(await reader.keys(1)).toEqual([`created ${MANIFEST}`])
  })

  it('many of them come in order, whoever reads slowly', async () => {
    server = await startNats()
    const publish = await openStream(await server.connect(), 'EVENTS', SUBJECT)
    const reader = follow(await eventsAt({ url: server.url }))
    await reader.next('connected')
    const count = 4 * limits.eventMessagesMax
    const sent = Array.from({ length: count }, (_, n) => `collections/docs/${n}`)
    await Promise.all(sent.map((key) => publish(message(`a+b/${key}`))))
    expect((await reader.keys(count)).toSorted()).toEqual(
      sent.map((key) => `created ${key}`).toSorted(),
    )
  })

  it('are lost with their stream, and refused until there is one', async () => {
    server = await startNats()
    const connection = await server.connect()
    await openStream(connection, 'EVENTS', SUBJECT)
    const reader = follow(await eventsAt({ url: server.url, stream: 'EVENTS' }))
    await reader.next('connected')
    await (await jetstreamManager(connection)).streams.delete('EVENTS')
    await reader.next('lost')
    expect((await reader.next('refused')).error).toMatchObject({ code: 'NOT_FOUND' })
    const publish = await openStream(connection, 'EVENTS', SUBJECT)
    await reader.next('connected')
    await publish(message(`a+b/${MANIFEST}`))
    await reader.keys(1)
  })

  it('are refused without JetStream, without a stream, and to strangers', async () => {
    server = await startNats([], { jetStream: false })
    const none = await follow(await eventsAt({ url: server.url })).next('refused')
    expect(none.error.message).toContain('no JetStream')
    await server.stop()
    server = await startNats(['authorization { user: u, password: "p:w" }'])
    const stranger = await follow(await eventsAt({ url: server.url })).next('refused')
    expect(stranger.error).toMatchObject({ code: 'AUTH' })
    const credentialsFile = fileOf('password', 'u:p:w\n')
    const known = follow(await eventsAt({ url: server.url, credentialsFile }))
    expect((await known.next('refused')).error).toMatchObject({ code: 'NOT_FOUND' })
    await openStream(await server.connect({ user: 'u', pass: 'p:w' }), 'EVENTS', SUBJECT)
    await known.next('connected')
  })

  it('need no more permissions than the templates name', async () => {
    const template = readFileSync(new URL('../../templates/README.md', import.meta.url), 'utf8')
    const subjects = [...template.matchAll(/`(\$JS\.API\.[A-Za-z.*>]+)`/g)].map(
      ([, each]) => `"${each}"`,
    )
    expect(subjects.length).toBeGreaterThan(3)
    const permissions = `publish: [${subjects.join(', ')}], subscribe: ["_INBOX.>"]`
    const users = [
      '{ user: admin, password: a }',
      `{ user: akidb, password: b, permissions: { ${permissions} } }`,
      '{ user: nobody, password: c, permissions: { publish: ["x"], subscribe: ["_INBOX.>"] } }',
    ]
    server = await startNats([`authorization { users: [${users.join(', ')}] }`])
    const admin = await server.connect({ user: 'admin', pass: 'a' })
    const publish = await openStream(admin, 'BUCKETEVENTS', SUBJECT)
    const known = { url: server.url, credentialsFile: fileOf('akidb', 'akidb:b') }
    const reader = follow(await eventsAt(known))
    await reader.next('connected')
    await publish(message(`a+b/${MANIFEST}`))
    expect(await reader.keys(1)).toEqual([`created ${MANIFEST}`])
    const nobody = { url: server.url, credentialsFile: fileOf('nobody', 'nobody:c') }
    const refused = await follow(await eventsAt(nobody)).next('refused')
    expect(refused.error).toMatchObject({ code: 'AUTH' })
  })

  it('are for who holds the key of a user', async () => {
    const user = nkeys.createUser()
    const seed = Buffer.from(user.getSeed()).toString()
    server = await startNats([`authorization { users: [{ nkey: "${user.getPublicKey()}" }] }`])
    const reader = follow(
      await eventsAt({ url: server.url, credentialsFile: fileOf('seed', `${seed}\n`) }),
    )
    expect((await reader.next('refused')).error).toMatchObject({ code: 'NOT_FOUND' })
  })

  it('end at once when nobody wants them', async () => {
    server = await startNats()
    await openStream(await server.connect(), 'EVENTS', SUBJECT)
    const reader = follow(await eventsAt({ url: server.url }))
    await reader.stop()
    const connected = follow(await eventsAt({ url: server.url }))
    await connected.next('connected')
    await connected.stop()
    expect(connected.heard).toEqual([{ type: 'connected' }])
  })
})

describeTls('a NATS server with TLS', () => {
  describeNats('', () => {
    it('is believed where its authority is trusted, and never without TLS', async () => {
      const authority = makeAuthority()
      const { certFile, keyFile } = authority.issue('server', 'IP:127.0.0.1')
      server = await startNats([`tls { cert_file: "${certFile}", key_file: "${keyFile}" }`])
      const url = server.url.replace('nats:', 'tls:')
      const unknown = await follow(await eventsAt({ url })).next('lost')
      expect(unknown.error).toMatchObject({ code: 'AUTH' })
      const reader = follow(await eventsAt({ url, caFile: authority.certFile }))
      expect((await reader.next('refused')).error).toMatchObject({ code: 'NOT_FOUND' })
      const ca = readFileSync(authority.certFile, 'utf8')
      const tls: TlsOptions & { host: string } = { ca, host: '127.0.0.1' }
      await openStream(await server.connect({ tls }), 'EVENTS', SUBJECT)
      await reader.next('connected')
      await server.stop()
      server = await startNats()
      const plain = follow(await eventsAt({ url: server.url.replace('nats:', 'tls:') }))
      expect((await plain.next('lost')).error.message).toMatch(/tls/i)
    })
  })
})

describe.skipIf(minioBinary() === undefined)('MinIO', () => {
  describeNats('publishes to a NATS server', () => {
    let minio: MinioServer | undefined
    afterEach(async () => await minio?.stop())

    it('what we read', async () => {
      server = await startNats()
      await openStream(await server.connect(), 'EVENTS', SUBJECT)
      minio = await startMinio({
        env: {
          MINIO_NOTIFY_NATS_ENABLE_SITE: 'on',
          MINIO_NOTIFY_NATS_ADDRESS_SITE: `127.0.0.1:${server.port}`,
          MINIO_NOTIFY_NATS_SUBJECT_SITE: SUBJECT,
          MINIO_NOTIFY_NATS_JETSTREAM_SITE: 'on',
        },
      })
      await createBucket(minio, 'bucket', { objectLock: false })
      const queue = new QueueConfig('arn:minio:sqs::SITE:nats')
      queue.addFilterPrefix('a+b/collections/')
      queue.addEvent('s3:ObjectCreated:*')
      queue.addEvent('s3:ObjectRemoved:*')
      const config = new NotificationConfig()
      config.add(queue)
      await minio.client.setBucketNotification('bucket', config)
      const reader = follow(await eventsAt({ url: server.url }))
      await reader.next('connected')
      await minio.client.putObject('bucket', 'a+b/blobs/x', Buffer.from('x'))
      await minio.client.putObject('bucket', `a+b/${MANIFEST}`, Buffer.from('x'))
      await minio.client.removeObject('bucket', `a+b/${MANIFEST}`)
      expect(await reader.keys(2)).toEqual([`created ${MANIFEST}`, `removed ${MANIFEST}`])
    })
  })
})
