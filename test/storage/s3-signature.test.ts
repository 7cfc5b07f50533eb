import { describe, expect, it } from 'vitest'
import { createSigner, UNSIGNED_PAYLOAD, type Unsigned } from '../../src/storage/s3/s3-signature.ts'
import { createTransport } from '../../src/storage/s3/s3-transport.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { accessTo, startFakeServer } from '../support/s3.ts'

const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
const WELCOME = '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072'
const host = 'examplebucket.s3.amazonaws.com'
const signatory = {
  accessKey: 'AKIAIOSFODNN7EXAMPLE',
  secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  region: 'us-east-1',
}
const clockAt = (time: string) => ({ nowMs: () => Date.parse(time), sleep: async () => {} })
const sign = createSigner({ ...signatory, clock: clockAt('2013-05-24T00:00:00Z') })
const get = (path: string): Unsigned => ({
  method: 'GET',
  path,
  headers: { host },
  payload: EMPTY,
})
const signatureOf = (headers: Readonly<Record<string, string>>): string =>
  /Signature=(\w+)$/.exec(headers.authorization ?? '')?.[1] ?? ''

/** Source: Amazon S3 API reference, "Examples: Signature Calculations". */
describe('a signature is that of the published example', () => {
  it('of a range of an object', () => {
    const headers = { host, range: 'bytes=0-9', 'user-agent': 'any' }
    const signed = sign({ ...get('/test.txt'), headers })
    expect(signed).toEqual({
      host,
      range: 'bytes=0-9',
      'user-agent': 'any',
      'x-amz-content-sha256': EMPTY,
      'x-amz-date': '20130524T000000Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, ' +
        'SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, ' +
        'Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    })
  })

  it('of an object that is put', () => {
    const headers = {
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      'content-length': '21',
      date: 'Fri, 24 May 2013 00:00:00 GMT',
      host,
    }
    const put = { method: 'PUT', path: '/test%24file.text', headers, payload: WELCOME }
    const expected = '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd'
    expect(signatureOf(sign(put))).toBe(expected)
  })

  it('of a query', () => {
    const lifecycle = 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'
    expect(signatureOf(sign(get('/?lifecycle=')))).toBe(lifecycle)
    const list = '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'
    expect(signatureOf(sign(get('/?max-keys=2&prefix=J')))).toBe(list)
  })
})

describe('a signature', () => {
  it('reads values as a server does', () => {
    const valued = (note: string) =>
      signatureOf(sign({ ...get('/'), headers: { host, 'x-amz-meta-note': note } }))
    expect(valued('  a   b ')).toBe(valued('a b'))
    expect(valued('a b')).not.toBe(valued('ab'))
  })

  it('has a key of the day, the next day too', () => {
    let time = Date.parse('2013-05-23T23:59:59Z')
    const clock = { nowMs: () => time, sleep: async () => {} }
    const over = createSigner({ ...signatory, clock })
    const former = over(get('/?lifecycle='))
    expect(former['x-amz-date']).toBe('20130523T235959Z')
    time += 1_000
    expect(over(get('/?lifecycle='))).toEqual(sign(get('/?lifecycle=')))
    expect(signatureOf(former)).not.toBe(signatureOf(sign(get('/?lifecycle='))))
  })

  it('covers a session token, and a body or none', () => {
    const clock = clockAt('2013-05-24T00:00:00Z')
    const session = createSigner({ ...signatory, sessionToken: 'token', clock })
    const signed = session({ ...get('/'), payload: UNSIGNED_PAYLOAD })
    expect(signed).toMatchObject({
      'x-amz-security-token': 'token',
      'x-amz-content-sha256': UNSIGNED_PAYLOAD,
    })
    expect(signed.authorization).toContain(';x-amz-date;x-amz-security-token,')
    expect(signatureOf(signed)).not.toBe(signatureOf(session(get('/'))))
  })
})

it('a query is sent in the order in which it is signed, values too', async () => {
  const server = await startFakeServer(async () => ({}))
  const transport = await createTransport({ endpoint: server.url })
  const query = { b: ['2', '10', '1'], 'a-b': '', a: '' }
  const answer = await transport.send({ method: 'GET', bucket: 'plain', query })
  expect(answer.statusCode).toBe(200)
  answer.destroy()
  expect(server.requests).toEqual(['GET /plain?a=&a-b=&b=1&b=10&b=2'])
  transport.close()
  await server.close()
})

describeMinio('a signed query', () => {
  const { server } = minioScene({ plain: ['plain'] })

  it('is in order where one name begins like another', async () => {
    const transport = await createTransport(accessTo(server))
    const query = { 'location-x': '1', location: '', 'location.y': ['2', '10', '1'] }
    const answer = await transport.send({ method: 'GET', bucket: 'plain', query })
    expect(answer.statusCode).toBe(200)
    answer.destroy()
    transport.close()
  })
})
