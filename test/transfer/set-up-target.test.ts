import { expect, it, vi } from 'vitest'
import { doctorTarget, setUpTarget } from '../../src/index.ts'
import { describeMinio } from '../support/minio.ts'
import { addUser, template } from '../support/minio-admin.ts'
import { minioScene } from '../support/minio-scene.ts'
import { accessTo, bodyOf, openBucket } from '../support/s3.ts'
import { lifecycle, rule, words } from './bucket-rules.ts'

const LIFECYCLE = { name: 'lifecycle.json', text: template('lifecycle.json') }

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
