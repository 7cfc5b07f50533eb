import dns from 'node:dns'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { setUpTarget } from '../../src/index.ts'
import { type FakeAnswers, FakeStores } from '../support/s3.ts'
import { lifecycle, rule, words } from './bucket-rules.ts'

type Found = (error: null, found: unknown, family?: number) => void

interface RoleScene {
  readonly role: string
  readonly others: readonly string[]
  readonly to: string
  readonly asked?: string
  readonly left?: string
  readonly code?: string
}

describe('files of rules', () => {
  const fakes = new FakeStores()
  afterEach(() => {
    vi.restoreAllMocks()
    return fakes.close()
  })

  it.each([
    ['', /no JSON|JSON/],
    ['[]', /expected an object with "Rules"/],
    ['{"Rules":[]}', /expected rules/],
    ['{"Rules":[{}],"rules":1}', /no member "rules"/],
    ['{"Rules":[7]}', /Rules\[0\]: expected an object/],
    ['{"Rules":[{"Status":"Enabled"}]}', /needs an ID/],
    ['{"Rules":[{"ID":"a","Status":"enabled"}]}', /Status: expected Enabled or Disabled/],
    ['{"Rules":[{"ID":"a","Status":"Enabled","x><y":1}]}', /no member "x><y"/],
    ['{"Rules":[{"ID":"a\\u0001","Status":"Enabled"}]}', /control character/],
    ['{"Rules":[{"ID":"a","Status":"Enabled","Days":1.5}]}', /expected text, a whole number/],
    ['{"Rules":[{"ID":"a","Status":"Enabled","Days":null}]}', /expected text, a whole number/],
    ['{"Rules":[{"ID":"a","Status":"Enabled","Tags":[],"Tag":1}]}', /no member "Tag"/],
    [
      '{"Rules":[{"ID":"a","Status":"Enabled"},{"ID":"a","Status":"Disabled"}]}',
      /two rules of one ID/,
    ],
    [
      '{"Rules":[{"ID":"a","Status":"Enabled"},' +
        '{"ID":"b","Status":"Enabled","Destination":{"Bucket":"arn:x"}}]}',
      /rules of two kinds/,
    ],
    ['{"Role":"","Rules":[{"ID":"a","Status":"Enabled"}]}', /Role: only copies have one/],
    ['{"Role":"\\n","Rules":[{"ID":"a","Status":"Enabled"}]}', /Role: expected text/],
    [
      '{"Rules":[{"ID":"a","Status":"Enabled","Prefix":"x/","Filter":{"Prefix":""}}]}',
      /two prefixes/,
    ],
    [
      '{"Rules":[{"ID":"a","Status":"Enabled","Filter":{"Prefix":"x/","And":{"Prefix":""}}}]}',
      /two prefixes/,
    ],
    ['{"Rules":[{"ID":"a","Status":"Enabled","Destination":{}}]}', /expected a Bucket/],
    [`{"Rules":[${'{"A":'.repeat(20)}1${'}'.repeat(20)}]}`, /nests too deep/],
  ])('are refused before anything is asked: %s', async (text, message) => {
    const request = { target: 's3://evidence', s3: { endpoint: 'http://127.0.0.1:1' } }
    const failure = setUpTarget({ ...request, rules: [{ name: 'r.json', text }] })
    await expect(failure).rejects.toMatchObject({
      code: 'BAD_INPUT',
      message: expect.stringMatching(message),
    })
  })

  const NO_RULES = { status: 404, body: '<Error><Code>NoSuchLifecycleConfiguration</Code></Error>' }
  const NOTHING = '<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>'
  const asked = async (answer: FakeAnswers, rules = lifecycle(rule('r'))) => {
    const { server } = await fakes.open((request, body) =>
      /[?&]versions/.test(request.url ?? '') ? { body: NOTHING } : answer(request, body),
    )
    const s3 = { endpoint: server.url, accessKey: 'a', secretKey: 's', retryForMs: 0 }
    return { server, set: setUpTarget({ target: 's3://bucket/site-a', s3, rules: [rules] }) }
  }

  it('are not taken for set where the server has them not', async () => {
    const { server, set } = await asked(({ method }) => (method === 'PUT' ? {} : NO_RULES))
    await expect(set).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(server.requests.filter((line) => line.includes('lifecycle'))).toEqual([
      'GET /bucket?lifecycle=',
      'PUT /bucket?lifecycle=',
      'GET /bucket?lifecycle=',
    ])
  })

  const document = (content: string) =>
    `<LifecycleConfiguration>${content}</LifecycleConfiguration>`
  const former = (content: string) => `<Rule>${content}<Status>Enabled</Status></Rule>`

  it('leave all else as it stands there, white space and what is unknown too', async () => {
    const kept =
      former('<ID> of &#xA;"us" </ID><Prefix> x/ </Prefix><New><A/><B>1</B><B> </B></New>') +
      former('<Prefix></Prefix><Filter>\n  </Filter>')
    let stored = document(
      `\r\n ${kept}<Since>2026</Since>${former('<ID>r</ID><Prefix>site-a/</Prefix>')}`,
    )
    const { set } = await asked(({ method }, body) => {
      if (method === 'PUT') stored = body.toString()
      return { body: stored }
    })
    expect(words(await set)).toEqual(['r changed'])
    const [, content = ''] = /<LifecycleConfiguration xmlns="[^"]*">(.*)<\/Life/s.exec(stored) ?? []
    const own =
      '<Rule><ID>r</ID><Status>Enabled</Status><Filter><Prefix>site-a/</Prefix></Filter>' +
      '<NoncurrentVersionExpiration><NoncurrentDays>9</NoncurrentDays>' +
      '</NoncurrentVersionExpiration></Rule>'
    const plain = kept.replace('<A/>', '<A></A>').replace('\n  ', '')
    expect(content).toBe(`${plain}${own}<Since>2026</Since>`)
  })

  it('are there where the server writes a time in another way', async () => {
    let stored = document('')
    const { set } = await asked(
      ({ method }, body) => {
        if (method === 'PUT') stored = body.toString().replace('01-01<', '01-01T00:00:00.000Z<')
        return { body: stored }
      },
      lifecycle(rule('r', { Expiration: { Date: '2040-01-01' } })),
    )
    expect(words(await set)).toEqual(['r added'])
    expect(stored).toContain('<Date>2040-01-01T00:00:00.000Z</Date>')
  })

  it.each([
    ['an attribute', { body: document(former('<Filter kind="1"><Prefix>x</Prefix></Filter>')) }],
    ['a comment', { body: document(`<!-- ours -->${former('<ID>1</ID>')}`) }],
    ['text that is no entity', { body: document(former('<ID><![CDATA[a&b]]></ID>')) }],
    ['a name of its own', { body: document(former('<x:ID>1</x:ID>')) }],
    ['no answer', { status: 405, body: '<Error><Code>MethodNotAllowed</Code></Error>' }],
  ])('are not set where what is there would be lost: %s', async (_, answer) => {
    const { server, set } = await asked(() => answer)
    await expect(set).rejects.toMatchObject({ code: 'BAD_INPUT' })
    expect(server.requests.filter((line) => line.startsWith('PUT'))).toEqual([])
  })

  const A = 'arn:minio:replication::1:a'
  const B = 'arn:minio:replication::2:b'
  const AWS = 'arn:aws:s3:::b'
  it.each([
    ['of a MinIO gives way where rules say the same', { role: A, others: [A], to: B, left: '' }],
    ['of a MinIO gives way to the only rule', { role: A, others: [], to: B, left: '' }],
    ['of a MinIO stays for the same target', { role: A, others: [A], to: A, left: A }],
    ['that is another stays', { role: 'arn:aws:iam::1:role/r', others: [AWS], to: AWS }],
    ['is that of the file', { role: 'x', asked: 'y', others: [AWS], to: AWS, left: 'y' }],
    ['of a MinIO is no way round', { role: A, others: [AWS], to: B, code: 'CONFLICT' }],
    ['of a MinIO is no way round for another', { role: A, others: [B], to: B, code: 'CONFLICT' }],
  ] as const)('for copies: the Role %s', async (_, scene) => {
    const { role, others, to, asked, left = role, code }: RoleScene = scene
    const text = (id: string, bucket: string) =>
      `<Rule><ID>${id}</ID><Destination><Bucket>${bucket}</Bucket></Destination></Rule>`
    const rules = others.map((bucket, i) => text(`o${i}`, bucket)).join('')
    const own = `<Rule><ID>r</ID><Status>Enabled</Status><Filter><Prefix>site-a/</Prefix></Filter>`
    const changes = '<ReplicaModifications><Status>Enabled</Status></ReplicaModifications>'
    const added = `<SourceSelectionCriteria>${changes}</SourceSelectionCriteria>`
    const end = `<Destination><Bucket>${to}</Bucket></Destination></Rule>`
    const mine = `${own}${to === AWS ? '' : added}${end}`
    const root = 'ReplicationConfiguration'
    let stored = `<${root}><Role>${role}</Role>${rules}${mine}</${root}>`
    const { server } = await fakes.open(({ method, url = '' }, body) => {
      if (/[?&]versions/.test(url)) return { body: NOTHING }
      if (method === 'PUT') stored = body.toString()
      return { body: stored }
    })
    const s3 = { endpoint: server.url, accessKey: 'a', secretKey: 's', retryForMs: 0 }
    const asks = { ...(asked === undefined ? {} : { Role: asked }) }
    const Rules = [
      { ID: 'r', Status: 'Enabled', Filter: { Prefix: 'site-a/' }, Destination: { Bucket: to } },
    ]
    const set = setUpTarget({
      ...{ target: 's3://bucket/site-a', s3 },
      rules: [{ name: 'r.json', text: JSON.stringify({ ...asks, Rules }) }],
    })
    if (code !== undefined) return await expect(set).rejects.toMatchObject({ code })
    expect(words(await set)).toEqual([`r ${left === role ? 'none' : 'changed'}`])
    expect(/<Role>(.*)<\/Role>/.exec(stored)?.[1] ?? '').toBe(left)
  })

  it('are not written again where they are there', async () => {
    const rules = lifecycle(rule('r'))
    const there =
      '<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status>' +
      '<Filter><Prefix>site-a/</Prefix></Filter><NoncurrentVersionExpiration>' +
      '<NoncurrentDays>9</NoncurrentDays></NoncurrentVersionExpiration></Rule>' +
      '</LifecycleConfiguration>'
    const { server, set } = await asked(() => ({ body: there }), rules)
    expect(words(await set)).toEqual(['r none'])
    expect(server.requests.filter((line) => line.includes('lifecycle'))).toEqual([
      'GET /bucket?lifecycle=',
    ])
  })

  it('give a bucket that is known there the credentials of today', async () => {
    const arn = 'arn:minio:replication::x:copy'
    const known = [{ endpoint: '127.0.0.1:1', secure: true, targetbucket: 'copy', arn }]
    const copies = { Destination: { Bucket: 'https://127.0.0.1:1/copy' } }
    const { server } = await fakes.open(({ url = '', method }) => {
      if (!url.startsWith('/minio/')) return { body: NOTHING }
      return { body: JSON.stringify(method === 'PUT' ? arn : known) }
    })
    const s3 = { endpoint: server.url, accessKey: 'a', secretKey: 's', retryForMs: 0 }
    const request = { target: 's3://bucket/site-a', s3, rules: [lifecycle(rule('r', copies))] }
    await setUpTarget({ ...request, replica: { accessKey: 'b', secretKey: 't' } }).catch(() => {})
    expect(server.requests.filter((line) => line.startsWith('PUT /minio/'))).toEqual([
      'PUT /minio/admin/v3/set-remote-target?bucket=bucket&creds=true&update=true',
    ])
  })

  it('are given up at once where the server does not get at the other one', async () => {
    const said = { status: 503, body: '{"Code":"XMinioAdminReplicationRemoteConnectionError"}' }
    const { server } = await fakes.open(({ url = '', method }) => {
      if (url.startsWith('/minio/')) return method === 'PUT' ? said : { body: '[]' }
      return { body: '<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>' }
    })
    const copies = { Destination: { Bucket: 'https://127.0.0.1:1/copy' } }
    const s3 = { endpoint: server.url, accessKey: 'a', secretKey: 's', retryForMs: 60_000 }
    const request = { target: 's3://evidence/site-a', s3, rules: [lifecycle(rule('r', copies))] }
    const replica = { accessKey: 'a', secretKey: 's' }
    await expect(setUpTarget({ ...request, replica })).rejects.toMatchObject({
      code: 'UNREACHABLE',
      hint: expect.stringContaining('are those its credentials'),
    })
    expect(server.requests.filter((line) => line.startsWith('PUT /minio/'))).toHaveLength(1)
  })

  it.each([
    ['nothing', { body: '' }],
    ['no JSON', { body: '<html>' }],
    ['something else', { body: '{"endpoint":7}' }],
    ['an error in JSON', { status: 404, body: '{"Code":"NoSuchThing","Message":"no"}' }],
    ['an error that is cut', { status: 404, body: '{"Code":' }],
  ])('name no bucket by its address at a server that says %s', async (_, answer) => {
    const copies = { Destination: { Bucket: 'https://127.0.0.1:1/copy' } }
    const { set } = await asked(
      ({ url = '' }) => (url.startsWith('/minio/') ? answer : NO_RULES),
      lifecycle(rule('r', copies)),
    )
    await expect(set).rejects.toMatchObject({
      code: expect.stringMatching(/^(BAD_INPUT|UNREACHABLE|USAGE)$/),
    })
  })

  it.each([
    'https://user:password@host/copy',
    'https://host/copy/deeper',
    'https://host',
    'https://host/copy?x=1',
    'https://[/copy',
  ])('name no bucket by %s', async (address) => {
    const copies = { Destination: { Bucket: address } }
    const { server, set } = await asked(() => NO_RULES, lifecycle(rule('r', copies)))
    await expect(set).rejects.toMatchObject({
      code: 'BAD_INPUT',
      message: expect.not.stringContaining('password'),
    })
    expect(server.requests.filter((line) => !line.includes('versions'))).toEqual([])
  })

  it('for copies are told of to the server where buckets stand before its name', async () => {
    vi.spyOn(dns, 'lookup').mockImplementation(((_: string, options: object, done: Found) =>
      'all' in options
        ? done(null, [{ address: '127.0.0.1', family: 4 }])
        : done(null, '127.0.0.1', 4)) as never)
    const hosts = new Set<string>()
    const known = {
      ...{ endpoint: 'site-b:443', secure: true, targetbucket: 'copy' },
      arn: 'arn:minio:replication::1:copy',
    }
    const { server } = await fakes.open(({ url = '', headers }) => {
      hosts.add(`${headers.host?.replace(/:.*/, '')} ${url.replace(/[?].*/, '')}`)
      if (url.startsWith('/minio/')) return { body: JSON.stringify([known]) }
      return url.includes('versions') ? { body: NOTHING } : NO_RULES
    })
    const copies = { Destination: { Bucket: 'https://site-b/copy' } }
    const endpoint = server.url.replace('127.0.0.1', 'localhost')
    const s3 = { endpoint, addressing: 'virtual', accessKey: 'a', secretKey: 's' } as const
    const request = { target: 's3://bucket', s3, rules: [lifecycle(rule('r', copies))] }
    expect(await setUpTarget({ ...request, dryRun: true })).toMatchObject([{ to: known.arn }])
    expect([...hosts]).toEqual([
      'bucket.localhost /',
      'localhost /minio/admin/v3/list-remote-targets',
    ])
  })

  it('say no more of the other bucket than fits one message', async () => {
    const copies = { Destination: { Bucket: `https://${'a'.repeat(20_000)}/copy` } }
    const rules = [lifecycle(rule('r', copies))]
    const { server } = await fakes.open(({ url = '' }) => ({
      body: url.startsWith('/minio/') ? '[]' : NOTHING,
    }))
    const s3 = { endpoint: server.url, accessKey: 'a', secretKey: 's', retryForMs: 0 }
    const replica = { accessKey: 'a', secretKey: 's' }
    await expect(
      setUpTarget({ target: 's3://bucket/site-a', s3, rules, replica }),
    ).rejects.toMatchObject({ code: 'LIMIT' })
  })

  it('are for the keys of the target alone', async () => {
    const request = { target: 's3://evidence/site-a', s3: { endpoint: 'http://127.0.0.1:1' } }
    for (const prefix of ['', 'site-ab/', 'site-b/']) {
      const rules = [lifecycle(rule('r', { Filter: { Prefix: prefix } }))]
      await expect(setUpTarget({ ...request, rules })).rejects.toMatchObject({
        code: 'BAD_INPUT',
        hint: expect.stringContaining('site-a/'),
      })
    }
  })
})
