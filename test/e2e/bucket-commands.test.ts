import { chmodSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { loadEngine } from '../../src/cli/load-engine.ts'
import { sha256Hex } from '../../src/core/digest.ts'
import { type Ran, run } from '../cli/support/run.ts'
import { Attacker } from '../support/attacker.ts'
import { describeMinio } from '../support/minio.ts'
import { template } from '../support/minio-admin.ts'
import { minioScene } from '../support/minio-scene.ts'
import { lines, suiteFolder } from '../support/temp-store.ts'

const URL = 's3://evidence/site-a'

describeMinio('commands on a store in a bucket', () => {
  const { server } = minioScene({ locked: ['evidence'] })
  const folder = suiteFolder()
  const at = (name: string): string => join(folder, name)

  beforeAll(async () => {
    writeFileSync(at('rows.jsonl'), lines('r', 5))
    await akidb(at('a'), 'init')
    await akidb(at('a'), 'ingest', 'docs', at('rows.jsonl'))
    await akidb(at('a'), 'push', URL)
    writeFileSync(at('site.pem'), (await akidb(at('a'), 'keys', 'export', 'default')).stdout)
  })

  const akidb = async (store: string, ...argv: string[]): Promise<Ran> =>
    await run(['--store', store, ...argv], {
      engine: await loadEngine(),
      env: {
        ...{ HOME: folder, PATH: process.env.PATH ?? '', NO_COLOR: '1' },
        AKIDB_S3_ENDPOINT: server.url,
        AKIDB_RETRY_FOR: '1s',
        AWS_ACCESS_KEY_ID: server.accessKey,
        AWS_SECRET_ACCESS_KEY: server.secretKey,
      },
      cwd: folder,
      home: folder,
    })

  it('sets the rules of a bucket, and the audit log of the store tells', async () => {
    const texts = [template('lifecycle.json').replaceAll('"Prefix": ""', '"Prefix": "site-a/"')]
    writeFileSync(at('rules.json'), texts[0] as string)
    const setUp = ['doctor', '--target', URL, '--set-up', at('rules.json')]
    const told = async () => {
      const listed = await akidb(at('a'), 'audit', 'log', '--json')
      return listed.stdout.split('\n').filter((line) => line.includes('bucket.set-rules'))
    }
    const dry = await akidb(at('a'), ...setUp, '-n')
    expect(dry.stdout).toContain('set   would add: lifecycle rule "hidden-versions" (off, keys')
    expect(await told()).toEqual([])
    const ran = await akidb(at('a'), ...setUp, '--json')
    expect(JSON.parse(ran.stdout)).toMatchObject({
      ok: true,
      rules: [
        { id: 'hidden-versions', change: 'added', enabled: false, prefix: 'site-a/' },
        { id: 'after-retention', change: 'added', enabled: false, prefix: 'site-a/' },
      ],
    })
    const [intent, outcome] = await told()
    expect(intent).toContain(sha256Hex(Buffer.from(texts[0] as string)))
    expect(outcome).toContain('"done"')
    writeFileSync(at('replica.json'), '{"accessKey":"a","secretKey":"geheim')
    chmodSync(at('replica.json'), 0o600)
    const wrong = await akidb(at('a'), ...setUp, '--replica-credentials', at('replica.json'))
    expect(wrong.code).toBe(26)
    expect(wrong.stderr).not.toContain('geheim')
    for (const [content, code] of [
      [`{"accessKey":"a","secretKey":"geheim"}${' '.repeat(5_000)}`, 27],
      ['\ufeff{"accessKey":"a","secretKey":"geheim"}\r\n', 0],
    ] as const) {
      writeFileSync(at('replica.json'), content)
      const ran = await akidb(at('a'), ...setUp, '--replica-credentials', at('replica.json'), '-v')
      expect(ran.code, ran.stderr).toBe(code)
      expect(ran.stdout + ran.stderr).not.toContain('geheim')
    }
    const isFolder = await akidb(at('a'), ...setUp, '--replica-credentials', folder)
    expect(isFolder).toMatchObject({ code: 2, stderr: expect.stringContaining('is a folder') })
    chmodSync(at('replica.json'), 0o640)
    const open = await akidb(at('a'), ...setUp, '--replica-credentials', at('replica.json'))
    expect(open.code).toBe(23)
  })

  it('sets the rules of one file after the other, and the audit log tells of each', async () => {
    const rule = { ID: 'of-two', Status: 'Disabled', Filter: { Prefix: 'site-a/' } }
    const files = [{ Expiration: { Days: 9 } }, {}].map((acts, i) => {
      writeFileSync(at(`${i}.json`), JSON.stringify({ Rules: [{ ...rule, ...acts }] }))
      return ['--set-up', at(`${i}.json`)]
    })
    const ran = await akidb(at('a'), 'doctor', '--target', URL, ...files.flat())
    expect(ran).toMatchObject({ code: 26, stderr: expect.stringContaining('lifecycle rules') })
    const listed = await akidb(at('a'), 'audit', 'log', '--json')
    const told = listed.stdout.split('\n').filter((line) => line.includes('bucket.set-rules'))
    const phases = told.slice(-4).map((line) => /"done"|"aborted"|"intent"/.exec(line)?.[0])
    expect(phases).toEqual(['"intent"', '"done"', '"intent"', '"aborted"'])
  })

  it('leaves no folder behind where no key is trusted', async () => {
    const ran = await akidb(URL, 'list')
    expect(ran.code).toBe(24)
    expect(ran.stderr).toContain('keys trust')
    expect(readdirSync(folder)).not.toContain('.local')
  })

  it('looks at its seals by the keys that are trusted for it', async () => {
    expect((await akidb(URL, 'worm', 'verify', URL)).code).toBe(24)
    const byKey = await akidb(URL, 'worm', 'verify', URL, '--key', at('site.pem'))
    expect(byKey.code, byKey.stderr).toBe(0)
    expect((await akidb(URL, 'keys', 'trust', at('site.pem'), '--yes')).code).toBe(0)
    for (const command of [
      ['worm', 'status'],
      ['worm', 'verify'],
      ['audit', 'verify'],
    ]) {
      const ran = await akidb(URL, ...command, URL)
      expect(ran.code, ran.stderr).toBe(0)
    }
  })

  it('brings an index near, pins it, and says what lies where', async () => {
    const warm = async (...args: readonly string[]) => {
      const ran = await akidb(URL, 'warm', ...args, '--json')
      expect(ran.code, ran.stderr).toBe(0)
      return JSON.parse(ran.stdout)
    }
    const plan = await warm('-n')
    expect(plan).toMatchObject({ type: 'warm', moved: expect.any(Number) })
    expect(plan.bytes).toBeGreaterThan(0)
    const first = await warm('--pin')
    expect(first).toMatchObject({ bytes: plan.bytes, moved: plan.moved })
    expect(await warm()).toMatchObject({ moved: 0, collections: [{ pinned: true }] })
    const shown = await akidb(URL, 'status', '--price-per-gib-month', '0.5')
    expect(shown.code, shown.stderr).toBe(0)
    expect(shown.stdout).toMatch(/in the cache +[\d.]+ \w+ of 10 GiB/)
    expect(shown.stdout).toMatch(/^COLLECTION +IN MEMORY .*PINNED, HOT, COLD +STORED/m)
    expect(shown.stdout).toMatch(/costs +[\d.e-]+ a month/)
    expect((await akidb(URL, 'status')).stdout).not.toContain('a month')
    expect((await akidb(URL, 'warm', '--unpin')).stdout).toContain('no longer pinned')
    expect((await akidb(URL, 'warm', '--pin', '--unpin')).code).toBe(2)
    const status = JSON.parse((await akidb(URL, 'status', '--json')).stdout)
    expect(status.tiers.cache).toMatchObject({ pinned: 0, budget: 10 * 2 ** 30 })
  })

  it('refuses what changes it', async () => {
    const lock = ['--retain', '1d', '--mode', 'GOVERNANCE']
    for (const command of [
      ['push', 's3://evidence/b'],
      ['pull', URL],
      ['worm', 'hold', URL],
      ['worm', 'release', URL],
      ['worm', 'extend', URL, ...lock],
      ['audit', 'anchor', URL],
      ['init'],
      ['ingest', 'docs', at('rows.jsonl')],
      ['delete', 'docs', 'r1'],
      ['snapshot', 'create', 'docs', 'x'],
      ['gc'],
      ['compact', 'docs'],
      ['repair'],
      ['upgrade'],
      ['index', 'build', 'docs'],
      ['export', 'docs', '-o', at('x.akipkg')],
    ]) {
      const ran = await akidb(URL, ...command)
      expect(ran.code, `${command}: ${ran.stderr}`).toBe(23)
      expect(ran.stderr).toContain('Pull it into a store of your own')
    }
    expect(readdirSync(folder)).not.toContain('x.akipkg')
  })

  it('keeps what it caches from other users', async () => {
    expect((await akidb(URL, 'dump', 'docs')).code).toBe(0)
    const home = at('.local/state/akidb')
    const cache = join(home, readdirSync(home)[0] ?? '', 'cache')
    const parts = readdirSync(cache, { recursive: true, encoding: 'utf8' })
    expect(parts.length).toBeGreaterThan(2)
    for (const part of ['', ...parts]) expect(statSync(join(cache, part)).mode & 0o077).toBe(0)
  })

  it('refuses odd retentions, addresses and proofs', async () => {
    const retain = async (text: string) =>
      (await akidb(at('a'), 'push', URL, '-n', '--mode', 'COMPLIANCE', '--retain', text)).code
    expect(await retain('1ms')).toBe(2)
    expect(await retain('101y')).toBe(2)
    const proof = await akidb(at('a'), 'audit', 'verify', URL, '--proof', at('no.proof'))
    expect(proof.code).toBe(2)
    const secret = await akidb(at('a'), 'push', URL, '--s3-endpoint', 'http://me:word@127.0.0.1:9')
    expect(secret.code).toBe(2)
    expect(secret.stderr).toContain('http://…@127.0.0.1:9')
    expect(secret.stderr).not.toContain('word')
    const shown = await akidb('s3://me:word@evidence/x', 'config', 'show')
    expect(shown.stdout).toContain('s3://********@evidence/x')
    expect(shown.stdout).not.toContain('word')
  })

  it.each([
    ['of a working store', { format: 'akidb-store/1', id: '0'.repeat(32), kind: 'working' }],
    ['that is none', { forged: true }],
  ])('find what was sealed under a newer store file %s', async (what, forged) => {
    const url = `${URL}/hidden-${what.length}`
    await akidb(at('a'), 'push', url)
    await akidb(url, 'keys', 'trust', at('site.pem'), '--yes')
    const file = JSON.stringify({ ...forged, createdAt: '2026-01-01T00:00:00.000Z' })
    await new Attacker(server, { url }).overwrite('akidb.json', Buffer.from(file))
    const found = await akidb(url, 'count', 'docs')
    expect([found.code, found.stdout], found.stderr).toEqual([0, expect.stringMatching(/^5 /)])
    for (const store of [at('a'), url]) {
      const log = await akidb(store, 'audit', 'verify', url)
      expect([log.code, log.stdout], log.stderr).toEqual([0, expect.stringMatching(/^ok: [1-9]/)])
    }
    const verified = await akidb(at('a'), 'worm', 'verify', url)
    expect([verified.code, verified.stdout]).toEqual([24, expect.stringContaining('SHADOWED')])
    expect([23, 24]).toContain((await akidb(url, 'delete', 'docs', 'r0', '--yes')).code)
    // Nobody who trusts no key is given anything of what the newer file may bring along.
    const stranger = await akidb(url, '--state', at(`stranger-${what.length}`), 'count', 'docs')
    expect([stranger.code, stranger.stderr]).toEqual([24, expect.stringContaining('keys trust')])
  })

  it('sets none where a working store lies', async () => {
    const work = 's3://evidence/work'
    expect((await akidb(work, 'init')).code).toBe(0)
    const rules = template('lifecycle.json').replaceAll('"Prefix": ""', '"Prefix": "work/"')
    writeFileSync(at('work.json'), rules)
    const ran = await akidb(work, 'doctor', '--target', work, '--set-up', at('work.json'))
    expect(ran).toMatchObject({ code: 22, stdout: '' })
    expect(ran.stderr).toContain('holds a working store')
    // It lies at the prefix of a rule, or above the target.
    for (const target of ['s3://evidence', `${work}/collections/docs`]) {
      const below = rules.replaceAll('work/', 'work/collections/docs/')
      writeFileSync(at('work.json'), below)
      const found = await akidb(at('a'), 'doctor', '--target', target, '--set-up', at('work.json'))
      expect(found, target).toMatchObject({ code: 22, stdout: '' })
      expect(found.stderr).toContain('s3://evidence/work holds a working store')
    }
  })
})
