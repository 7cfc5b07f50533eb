import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ErrorCode } from '../../src/errors/exit-codes.ts'
import type { SealOptions } from '../../src/storage/object-store.ts'
import type { S3Access } from '../../src/storage/s3/s3-access.ts'
import { meaningOf, S3Failure } from '../../src/storage/s3/s3-errors.ts'
import { parseS3Url } from '../../src/storage/s3/s3-url.ts'
import { type Authority, describeTls, makeAuthority } from '../support/certificates.ts'
import { createBucket, describeMinio, startMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { accessTo, bodyOf, gather, listening, openBucket, startTlsFront } from '../support/s3.ts'
import { tempFolder } from '../support/temp-store.ts'

const encryption = { keyId: 'site-a', context: {} }

/** What an error says: code, exit code, a part of its message, a part of its hint. */
const says = (code: ErrorCode, exitCode: number, message: string, hint?: string) =>
  expect.objectContaining({
    code,
    exitCode,
    message: expect.stringContaining(message),
    ...(hint === undefined ? {} : { hint: expect.stringContaining(hint) }),
  })

describe('an address of a bucket', () => {
  it.each([
    ['s3://bucket', { bucket: 'bucket', prefix: '' }],
    ['s3://bucket/', { bucket: 'bucket', prefix: '' }],
    ['S3://a.b-c/x/y=1/', { bucket: 'a.b-c', prefix: 'x/y=1/' }],
  ])('is %s', (url, place) => {
    expect(parseS3Url(url)).toEqual(place)
  })

  it.each([
    's3://',
    's3://ab',
    's3://Bucket',
    's3://a..b',
    's3://bucket//x',
    's3://bucket/../x',
    's3://bucket/x y',
    's3://user@bucket/x',
    's3://bucket/x?y',
    's3://bucket/x\n',
    `s3://${'b'.repeat(64)}`,
  ])('is not %j', (url) => {
    expect(() => parseS3Url(url)).toThrow(says('USAGE', 2, 'no address of a bucket', 's3://bucket'))
  })
})

describe('an address of a server', () => {
  const named = (access: S3Access) => openBucket('s3://bucket', access)

  it('is named, never guessed', async () => {
    await expect(named({})).rejects.toEqual(says('USAGE', 2, 'no server', '--s3-endpoint'))
  })

  it.each(['localhost:9000', 'ftp://x', 'http://h/path', 'http://u:p@h', 'http://-x', 'http://x_'])(
    'is not %s',
    async (endpoint) => {
      await expect(named({ endpoint })).rejects.toMatchObject({ code: 'USAGE' })
    },
  )

  it('is of the loopback where nothing else may be reached', async () => {
    const offline = true
    for (const host of [
      's3.example.com',
      '10.0.0.1',
      'localhost.example.com',
      '127.0.0.1.nip.io',
    ]) {
      const opening = named({ endpoint: `http://${host}:9000`, offline })
      await expect(opening).rejects.toEqual(
        says('USAGE', 2, `--offline refuses the server ${host}`),
      )
    }
    for (const host of ['127.0.0.1', 'localhost', '[::1]']) {
      await (await named({ endpoint: `http://${host}:9000`, offline })).close()
    }
    const opening = named({ endpoint: 'http://localhost:9000', addressing: 'virtual', offline })
    await expect(opening).rejects.toEqual(says('USAGE', 2, '--offline', '--s3-addressing path'))
  })

  it('is no number where the bucket stands before it', async () => {
    const opening = named({ endpoint: 'http://127.0.0.1:1', addressing: 'virtual' })
    await expect(opening).rejects.toEqual(says('USAGE', 2, 'numbers', '--s3-addressing path'))
  })

  it('comes with both keys or none', async () => {
    for (const half of [
      { accessKey: 'a' },
      { secretKey: 's' },
      { accessKey: 'a', secretKey: '' },
    ]) {
      const opening = named({ endpoint: 'http://localhost:1', ...half })
      await expect(opening).rejects.toEqual(says('USAGE', 2, 'needs its secret', 'AWS_ACCESS_KEY'))
    }
  })
})

describeMinio('a server refuses', () => {
  const { server } = minioScene({ locked: ['locked'] })

  const sealing = async (access: S3Access, options: SealOptions = {}, bucket = 'locked') => {
    const store = await openBucket(`s3://${bucket}/a`, accessTo(server, access))
    return await store.seal('k', bodyOf('x'), options)
  }

  it('a bucket that is not there, whatever is done', async () => {
    const store = await openBucket('s3://absent/a', accessTo(server))
    const refused = says('NOT_FOUND', 21, 'there is no such bucket', 'object lock')
    const calls = [
      () => store.seal('k', bodyOf('x'), {}),
      () => store.get('k'),
      () => store.head('k'),
      () => store.headVersion('k', 'null'),
      () => store.lockState(),
      () => store.delete('k'),
      () => gather(store.list('')),
      () => gather(store.versions('')),
    ] as const
    for (const call of calls) await expect(call()).rejects.toEqual(refused)
  })

  it('a wrong secret, an unknown key, and nobody', async () => {
    const secret = says('AUTH', 23, 'the secret key is not the right one', 'AWS_SECRET_ACCESS_KEY')
    await expect(sealing({ secretKey: 'wrong-secret' })).rejects.toEqual(secret)
    const key = says('AUTH', 23, 'does not know the access key', 'AWS_ACCESS_KEY_ID')
    await expect(sealing({ accessKey: 'nobody' })).rejects.toEqual(key)
    const nobody = says('AUTH', 23, 'the server refuses', 'AWS_ACCESS_KEY_ID')
    await expect(sealing({ accessKey: '', secretKey: '' })).rejects.toEqual(nobody)
    const token = sealing({ sessionToken: 'none' })
    await expect(token).rejects.toMatchObject({ code: 'AUTH', exitCode: 23 })
  })

  it('and no error tells a secret', async () => {
    const secretKey = 'do-not-tell-this'
    const store = await openBucket('s3://locked', accessTo(server, { secretKey }))
    const error: unknown = await store.head('k').catch((caught: unknown) => caught)
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(secretKey)
    expect(String((error as Error).cause)).not.toContain(secretKey)
  })

  it('a key that its KMS does not know, or that is no name', async () => {
    const unknown = says('NOT_FOUND', 21, 'the KMS has no such key', 'akidb kms create-key')
    const keyed = (keyId: string) => sealing({}, { encryption: { keyId, context: {} } })
    await expect(keyed('nowhere')).rejects.toEqual(unknown)
    await expect(keyed('a\r\nx-amz-meta-b: c')).rejects.toMatchObject({ code: 'BAD_INPUT' })
    await expect(keyed('ключ')).rejects.toMatchObject({ code: 'BAD_INPUT' })
    // In a header of HTTP, but not as the bytes that are signed.
    const odd = says('BAD_INPUT', 26, 'cannot stand in a header', 'one plain line')
    await expect(keyed('clé')).rejects.toEqual(odd)
    await expect(sealing({ accessKey: 'clé' })).rejects.toEqual(odd)
    await expect(sealing({ region: 'ö' })).rejects.toEqual(odd)
    await expect(sealing({ sessionToken: 'clé' })).rejects.toEqual(odd)
  })

  it('to read under a key that its KMS lost, which is not an object that is not there', () => {
    const lost = new S3Failure(404, 'kms:KeyNotFound', 'key with given key ID does not exist')
    expect(meaningOf(lost, 'cannot write k').code).toBe('NOT_FOUND')
    const read = meaningOf(lost, 'cannot read k', true)
    expect(read).toEqual(says('INTEGRITY', 24, 'the KMS does not have', 'backup of the KMS'))
  })

  it('a clock that is far from its own', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 3_600_000 })
    try {
      const skewed = says('AUTH', 23, 'too far apart', 'date -u')
      await expect(sealing({})).rejects.toEqual(skewed)
    } finally {
      vi.useRealTimers()
    }
  })

  it('encryption where it has no KMS', async () => {
    const plain = await startMinio({ kms: false })
    try {
      await createBucket(plain, 'locked', { objectLock: true })
      const store = await openBucket('s3://locked/a', accessTo(plain))
      const refused = says('AUTH', 23, 'the server has no KMS', '--kms-key')
      await expect(store.seal('k', bodyOf('x'), { encryption })).rejects.toEqual(refused)
      expect(await store.head('k')).toBeUndefined()
    } finally {
      await plain.stop()
    }
  })

  it('TLS where it speaks none', async () => {
    const endpoint = server.url.replace('http:', 'https:')
    const refused = says('UNREACHABLE', 25, 'does not speak TLS', 'http://')
    await expect(sealing({ endpoint })).rejects.toEqual(refused)
  })
})

describe('a server that is not there', () => {
  const head = async (access: S3Access) =>
    await (await openBucket('s3://bucket', { retryForMs: 0, ...access })).head('k')

  it('refuses connections', async () => {
    const gone = await listening(createServer())
    await gone.close()
    const refused = says('UNREACHABLE', 25, 'ECONNREFUSED', 'Is the server up')
    await expect(head({ endpoint: gone.url })).rejects.toEqual(refused)
  })

  it('has no address', async () => {
    const unknown = says('UNREACHABLE', 25, 'bucket.invalid', 'Is the server up')
    await expect(head({ endpoint: 'http://bucket.invalid:1' })).rejects.toEqual(unknown)
  })

  it('takes connections, and is silent', async () => {
    const silent = await listening(createServer())
    const slow = says('TIMEOUT', 25, 'the server went silent', 'Is the server up')
    await expect(head({ endpoint: silent.url, idleTimeoutMs: 100 })).rejects.toEqual(slow)
    await silent.close()
  })

  it('falls silent in the middle of an answer', async () => {
    const silent = await listening(
      createServer((socket) => {
        socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'))
      }),
    )
    const store = await openBucket('s3://bucket', {
      ...{ endpoint: silent.url, idleTimeoutMs: 100, retryForMs: 0 },
    })
    await expect(store.get('k')).rejects.toEqual(says('TIMEOUT', 25, 'the server went silent'))
    await silent.close()
  })

  it('speaks something else', async () => {
    const mail = await listening(createServer((socket) => socket.end('220 mail ESMTP\r\n')))
    const garbled = says('UNREACHABLE', 25, 'HPE_', 'Is the server up')
    await expect(head({ endpoint: mail.url, retryForMs: 5_000 })).rejects.toEqual(garbled)
    await mail.close()
  })
})

describeTls('a server with TLS', () => {
  describeMinio('in front of MinIO', () => {
    const { server } = minioScene({ locked: ['locked'] })
    let authority: Authority
    beforeAll(() => {
      authority = makeAuthority()
    })
    afterAll(() => authority?.remove())

    const trusted = (endpoint: string, more: S3Access = {}) =>
      openBucket(
        's3://locked/tls',
        accessTo(server, { endpoint, caFile: authority.certFile, retryForMs: 500, ...more }),
      )

    it('is taken where its authority is trusted', async () => {
      const front = await startTlsFront(authority, server.port)
      const store = await trusted(front.url)
      const body = bodyOf('over TLS')
      const versionId = (await store.seal('k', body, { encryption })) ?? ''
      expect(await store.headVersion('k', versionId)).toMatchObject({
        keyId: 'site-a',
        checksum: await store.checksumOf(body),
      })
      expect(Buffer.from(await store.get('k')).toString()).toBe('over TLS')
      await store.close()
      await front.close()
    })

    it('is refused where it is not, and where its name is another', async () => {
      const front = await startTlsFront(authority, server.port)
      const stranger = await openBucket('s3://locked', accessTo(server, { endpoint: front.url }))
      const refused = says('AUTH', 23, 'is not trusted', '--s3-ca')
      await expect(stranger.head('k')).rejects.toEqual(refused)
      const renamed = await trusted(front.url.replace('127.0.0.1', 'localhost'))
      await expect(renamed.head('k')).rejects.toEqual(refused)
      await front.close()
    })

    it('may want to know its clients', async () => {
      const front = await startTlsFront(authority, server.port, { wantsClients: true })
      const nobody = await trusted(front.url)
      const refused = says('AUTH', 23, 'certificate', '--s3-client-cert')
      await expect(nobody.head('k')).rejects.toEqual(refused)
      const { certFile, keyFile } = authority.issue('client')
      const own = { clientCertFile: certFile, clientKeyFile: keyFile }
      expect(await (await trusted(front.url, own)).head('k')).toBeDefined()
      await front.close()
    })

    it('is not tried with files that are none', async () => {
      const { certFile, keyFile } = authority.issue('one')
      const other = authority.issue('two')
      const noPem = join(await tempFolder(), 'ca.pem')
      writeFileSync(noPem, 'certificate')
      const endpoint = 'https://127.0.0.1:1'
      await expect(trusted(endpoint, { caFile: noPem })).rejects.toMatchObject({
        code: 'BAD_INPUT',
      })
      const absent = trusted(endpoint, { caFile: `${noPem}x` })
      await expect(absent).rejects.toMatchObject({ code: 'NOT_FOUND' })
      const half = trusted(endpoint, { clientCertFile: certFile })
      await expect(half).rejects.toMatchObject({
        code: 'USAGE',
        hint: expect.stringContaining('--s3-client-key'),
      })
      for (const clientKeyFile of [noPem, other.keyFile, certFile]) {
        const mixed = trusted(endpoint, { clientCertFile: certFile, clientKeyFile })
        await expect(mixed).rejects.toMatchObject({ exitCode: expect.toBeOneOf([23, 26]) })
      }
      await (await trusted(endpoint, { clientCertFile: certFile, clientKeyFile: keyFile })).close()
    })
  })
})
