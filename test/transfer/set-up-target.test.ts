import dns from 'node:dns'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { doctorTarget, type RuleChange, setUpTarget } from '../../src/index.ts'
import { describeMinio } from '../support/minio.ts'
import { addUser, template } from '../support/minio-admin.ts'
import { minioScene } from '../support/minio-scene.ts'
import { accessTo, bodyOf, type FakeAnswers, FakeStores, openBucket } from '../support/s3.ts'

const LIFECYCLE = { name: 'lifecycle.json', text: template('lifecycle.json') }
const lifecycle = (...Rules: readonly object[]) => ({
  name: 'rules.json',
  text: JSON.stringify({ Rules }),
})
const rule = (ID: string, more: object = {}) => ({
  ...{ ID, Status: 'Enabled', Filter: { Prefix: 'site-a/' } },
  ...{ NoncurrentVersionExpiration: { NoncurrentDays: 9 } },
  ...more,
})
const words = (changes: readonly RuleChange[]) => changes.map(({ id, change }) => `${id} ${change}`)

type Found = (error: null, found: unknown, family?: number) => void

interface RoleScene {
  readonly role: string
  readonly others: readonly string[]
  readonly to: string
  readonly asked?: string
  readonly left?: string
  readonly code?: string
}

describeMinio('the rules of a bucket', () => {
  const { server: here } = minioScene({ locked: ['evidence', 'rules'], plain: ['plain'] })
  const { server: there } = minioScene({ locked: ['copy'] })
  const at = (target: string) => ({ target, s3: accessTo(here) })
  const checkOf = async (target: string, name: string) =>
    (await doctorTarget(at(target))).checks.find((check) => check.name === name)

  it('are set once, each beside the others, and looked at', async () => {
    const target = 's3://rules'
    const dry = await setUpTarget({ ...at(target), rules: [LIFECYCLE], dryRun: true })
    expect(words(dry)).toEqual(['hidden-versions added', 'after-retention added'])
    expect(await checkOf(target, 'lifecycle')).toMatchObject({
      message: expect.not.stringMatching(/hidden/),
    })
    expect(await setUpTarget({ ...at(target), rules: [LIFECYCLE] })).toEqual(dry)
    const again = await setUpTarget({ ...at(target), rules: [LIFECYCLE] })
    expect(words(again)).toEqual(['hidden-versions none', 'after-retention none'])
    const own = lifecycle(rule('hidden-versions', { Filter: { Prefix: '' } }), rule('a&<b> "c"'))
    expect(words(await setUpTarget({ ...at(target), rules: [own] }))).toEqual([
      'hidden-versions changed',
      'a&<b> "c" added',
    ])
    expect(words(await setUpTarget({ ...at(target), rules: [own] }))).toEqual([
      'hidden-versions none',
      'a&<b> "c" none',
    ])
    const store = await openBucket(target, accessTo(here))
    const rules = await store.lifecycleRules()
    await store.close()
    expect(rules.map(({ id, enabled }) => `${id} ${enabled}`).toSorted()).toEqual([
      'a&<b> "c" true',
      'after-retention false',
      'hidden-versions true',
    ])
    expect(await checkOf(target, 'lifecycle')).toMatchObject({
      status: 'ok',
      message: expect.stringContaining('"hidden-versions", "a&<b> "c"" takes hidden versions'),
    })
  })

  it('keep white space that is part of a name', async () => {
    const own = lifecycle(rule(' of us ', { Filter: { Prefix: ' x/ y ' } }))
    await setUpTarget({ ...at('s3://rules'), rules: [own] })
    await setUpTarget({ ...at('s3://rules'), rules: [lifecycle(rule('another'))] })
    expect(words(await setUpTarget({ ...at('s3://rules'), rules: [own] }))).toEqual([
      ' of us  none',
    ])
  })

  it.each([
    ['a time', { Expiration: { Date: '2040-01-01T00:00:00.000Z' } }],
    ['delete markers', { Expiration: { ExpiredObjectDeleteMarker: true } }],
    ['how many versions stay', { NoncurrentVersionExpiration: { NewerNoncurrentVersions: 3 } }],
    ['a tag', { Filter: { Tag: { Key: 'k', Value: ' 1' } } }],
    [
      'tags',
      {
        Filter: {
          And: {
            Tags: [
              { Key: 'k', Value: '' },
              { Key: 'l', Value: '2' },
            ],
          },
        },
      },
    ],
    ['a size', { Filter: { And: { Prefix: 'a/', ObjectSizeGreaterThan: 9 } } }],
    ['the first form of a prefix', { Filter: undefined, Prefix: 'a/' }],
  ])('are found again by a second run: %s', async (what, more) => {
    const request = { ...at('s3://rules'), rules: [lifecycle(rule(what, more))] }
    expect(words(await setUpTarget(request))).toEqual([`${what} added`])
    expect(words(await setUpTarget(request))).toEqual([`${what} none`])
  })

  it.each([
    ['Filters', { Filter: undefined, Filters: { Prefix: 'site-a/' } }],
    ['AbortIncompleteMultipartUpload', { AbortIncompleteMultipartUpload: { Days: 3 } }],
    ['Expiration', { Expiration: { Days: 30, Hours: 1 } }],
  ])('are told of where the server leaves out some: %s', async (what, more) => {
    const set = setUpTarget({ ...at('s3://rules'), rules: [lifecycle(rule(`no ${what}`, more))] })
    await expect(set).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining(`: ${what} of "no ${what}"`),
    })
  })

  it('keep what this version knows nothing of', async () => {
    const more = {
      Filter: { And: { Prefix: 'site-a/', Tags: [{ Key: 'k', Value: '1' }] } },
      Expiration: { Days: 40 },
      NoncurrentVersionExpiration: { NoncurrentDays: 9, NewerNoncurrentVersions: 2 },
    }
    const target = 's3://evidence/site-a'
    await setUpTarget({ ...at(target), rules: [lifecycle(rule('tagged', more))] })
    await setUpTarget({ ...at(target), rules: [lifecycle(rule('other'))] })
    expect(
      words(await setUpTarget({ ...at(target), rules: [lifecycle(rule('tagged', more))] })),
    ).toEqual(['tagged none'])
    expect(await checkOf(target, 'lifecycle')).toMatchObject({
      status: 'warn',
      message: expect.stringContaining('"tagged" hides objects under delete markers'),
    })
  })

  it('of one prefix take no rule from another one, nor from all of the bucket', async () => {
    const other = (prefix: string) => lifecycle(rule('of-two', { Filter: { Prefix: prefix } }))
    for (const prefix of ['', 'site-x/']) {
      await setUpTarget({ ...at('s3://rules'), rules: [other(prefix)] })
      for (const dryRun of [true, false]) {
        const set = setUpTarget({ ...at('s3://rules/site-y'), rules: [other('site-y/')], dryRun })
        await expect(set).rejects.toMatchObject({
          code: 'CONFLICT',
          message: expect.stringMatching(/it has a rule "of-two" for (all|keys below "site-x\/")/),
          hint: expect.stringContaining('another ID'),
        })
      }
    }
    expect(words(await setUpTarget({ ...at('s3://rules'), rules: [other('site-x/')] }))).toEqual([
      'of-two none',
    ])
  })

  it('for replication name the other bucket by its address', async () => {
    const setter = await addUser(here, 'setter', ['push-policy', 'doctor-policy', 'set-up-policy'])
    const replica = await addUser(there, 'replica', ['replica-policy'], (text) =>
      text.replaceAll(':::evidence', ':::copy'),
    )
    const target = 's3://evidence/site-a'
    const text = template('replication.json')
      .replace('https://site-b:9000/evidence', `${there.url}/copy`)
      .replace('"Prefix": ""', '"Prefix": "site-a/"')
    const s3 = accessTo({ ...setter, url: here.url })
    const request = { target, s3, rules: [{ name: 'replication.json', text }] }
    await expect(setUpTarget(request)).rejects.toMatchObject({
      code: 'USAGE',
      hint: expect.stringContaining('--replica-credentials'),
    })
    const wrong = { ...replica, secretKey: 'not the secret key' }
    await expect(setUpTarget({ ...request, replica: wrong })).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringMatching(/cannot have bucket evidence copied to 127[\d.:]+\/copy at /),
    })
    expect(await setUpTarget({ ...request, dryRun: true })).toMatchObject([
      { id: 'to-site-b', change: 'added', to: `${there.url}/copy` },
    ])
    const arn = expect.stringMatching(/^arn:minio:replication:.*:copy$/)
    expect(await setUpTarget({ ...request, replica })).toMatchObject([
      { kind: 'replication', id: 'to-site-b', change: 'added', enabled: true, to: arn },
    ])
    expect(await setUpTarget(request)).toMatchObject([{ change: 'none', to: arn }])
    // What a MinIO takes for granted need not be said.
    const {
      SourceSelectionCriteria: _,
      DeleteReplication: __,
      ...short
    } = JSON.parse(text).Rules[0]
    const rules = [lifecycle(short)]
    expect(await setUpTarget({ ...request, rules })).toMatchObject([{ change: 'none', to: arn }])
    // Other credentials for the same bucket.
    expect(await setUpTarget({ ...request, replica })).toMatchObject([{ change: 'none', to: arn }])
    const store = await openBucket(target, s3)
    await store.seal('seals/1.jsonl', bodyOf('it is copied'), {})
    await store.close()
    await vi.waitFor(
      async () => {
        const { checks } = await doctorTarget({ target, s3 })
        const { message } = checks.find(({ name }) => name === 'replication') ?? {}
        expect(message).toBe('to copy; of the newest seals: 1 COMPLETED')
      },
      { timeout: 20_000, interval: 100 },
    )
  })

  it.each([
    ['a bucket without versions', 's3://plain', 'BAD_INPUT'],
    ['a bucket that is not there', 's3://nowhere', 'NOT_FOUND'],
  ])('are refused for %s, with the words of the server', async (_, target, code) => {
    const copies = { Destination: { Bucket: 'arn:minio:replication::x:copy' }, Priority: 1 }
    const text = JSON.stringify({ Rules: [{ ...rule('r', copies), Filter: { Prefix: '' } }] })
    const request = { ...at(target), rules: [{ name: 'r.json', text }] }
    await expect(setUpTarget(request)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(/cannot (set the replication rules|list|read)/),
    })
  })

  it('are not for users who may not set them', async () => {
    const user = await addUser(here, 'pusher', ['push-policy'])
    const s3 = accessTo({ ...user, url: here.url })
    const request = { target: 's3://evidence/site-a', s3, rules: [lifecycle(rule('new'))] }
    await expect(setUpTarget(request)).rejects.toMatchObject({ code: 'AUTH' })
  })
})

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
    const mine = `${own}${to === AWS ? '' : added}<Destination><Bucket>${to}</Bucket></Destination></Rule>`
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

  it('for copies are told of to the server itself where buckets stand before its name', async () => {
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
