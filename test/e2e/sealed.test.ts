import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { beforeAll, expect, it } from 'vitest'
import { loadEngine } from '../../src/cli/load-engine.ts'
import { type Ran, run } from '../cli/support/run.ts'
import { Attacker } from '../support/attacker.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { lines, suiteFolder } from '../support/temp-store.ts'

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'akidb')
const URL = 's3://evidence/site-a'
const LOCK = ['--retain', '30d', '--mode', 'COMPLIANCE']

describeMinio('sealed storage on the command line', () => {
  const { server } = minioScene({ locked: ['evidence'] })
  let attacker: Attacker
  const folder = suiteFolder()
  const at = (name: string): string => join(folder, name)

  beforeAll(async () => {
    attacker = new Attacker(server, { url: URL })
    writeFileSync(at('rows.jsonl'), lines('r', 5))
    for (const site of ['a', 'b']) await akidb(site, 'init')
    await akidb('a', 'ingest', 'docs', at('rows.jsonl'))
  })

  const environment = (): Record<string, string> => ({
    ...{ HOME: folder, PATH: process.env.PATH ?? '', NO_COLOR: '1' },
    AKIDB_S3_ENDPOINT: server.url,
    AKIDB_RETRY_FOR: '1s',
    AWS_ACCESS_KEY_ID: server.accessKey,
    AWS_SECRET_ACCESS_KEY: server.secretKey,
  })

  /** A command in this process. */
  const akidb = async (site: string, ...argv: string[]): Promise<Ran> =>
    await run(['--store', at(site), ...argv], {
      ...{ engine: await loadEngine(), env: environment(), cwd: folder, home: folder },
    })

  /** The program itself. */
  async function program(...argv: string[]): Promise<Pick<Ran, 'code' | 'stdout' | 'stderr'>> {
    const child = spawn(PROGRAM, argv, { env: environment(), cwd: folder })
    const exit = once(child, 'exit')
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
    return { code: (await exit)[0] as number, stdout, stderr }
  }

  const codeOf = ({ code, stderr }: Pick<Ran, 'code' | 'stderr'>): [number, string] => {
    const last = stderr.trimEnd().split('\n').at(-1) ?? ''
    return [code, (JSON.parse(last) as { code: string }).code]
  }

  it('says what is wrong by its exit code', async () => {
    const failed = async (site: string, ...argv: string[]) =>
      codeOf(await akidb(site, '--json', ...argv))
    expect(await failed('a', 'worm', 'verify', URL)).toEqual([21, 'NOT_FOUND'])
    expect(await failed('a', 'pull', URL)).toEqual([21, 'NOT_FOUND'])
    expect(await failed('a', 'push', URL, '--retain', '1y')).toEqual([2, 'USAGE'])
    expect(await failed('a', 'push', 's3://absent/x')).toEqual([21, 'NOT_FOUND'])
    expect(await failed('a', 'push', URL, '--kms-key', 'none')).toEqual([21, 'NOT_FOUND'])
    const down = ['--s3-endpoint', 'http://127.0.0.1:1']
    expect(await failed('a', 'push', URL, ...down)).toEqual([25, 'UNREACHABLE'])
    expect((await akidb('a', 'push', URL, ...LOCK)).code).toBe(0)
    const shorter = await akidb('a', 'worm', 'extend', URL, '--retain', '1d', ...LOCK.slice(2))
    expect(shorter.stdout).toMatch(/^0 objects extended, 2 as they were, .* until \S+ or later$/m)
    const weaker = ['--retain', '9y', '--mode', 'GOVERNANCE']
    expect(await failed('a', 'push', URL, ...weaker)).toEqual([23, 'RETENTION'])
    expect(await failed('b', 'pull', URL)).toEqual([24, 'UNTRUSTED'])
    expect(await failed('b', 'worm', 'verify', URL)).toEqual([24, 'UNTRUSTED'])
    await akidb('b', 'ingest', 'docs', at('rows.jsonl'))
    expect(await failed('b', 'push', URL)).toEqual([22, 'CONFLICT'])
  })

  it('verifies on a machine without a store, and names what is wrong', async () => {
    const { stdout: pem } = await akidb('a', 'keys', 'export', 'default')
    writeFileSync(at('a.pem'), pem)
    const verify = ['worm', 'verify', URL, '--key', at('a.pem'), '--json']
    const before = await program(...verify)
    expect(before.code, before.stderr).toBe(0)
    expect(JSON.parse(before.stdout)).toMatchObject({ type: 'worm.verify', ok: true, problems: [] })
    const [blob = ''] = (await attacker.keys()).filter((key) => key.startsWith('blobs/'))
    await attacker.hide(blob)
    const after = await program(...verify)
    expect(codeOf(after)).toEqual([24, 'INTEGRITY'])
    expect(JSON.parse(after.stdout)).toMatchObject({
      ok: false,
      problems: [{ code: 'DELETED', key: blob, message: expect.stringMatching(/20\d\d-.*Z/) }],
    })
    const audit = await program('audit', 'verify', URL, '--key', at('a.pem'), '--json')
    expect(audit.code, audit.stderr).toBe(0)
    const [piece = ''] = (await attacker.keys()).filter((key) => key.includes('/pieces/'))
    await attacker.overwrite(piece, Buffer.from('x'))
    const shadowed = await program('audit', 'verify', URL, '--key', at('a.pem'), '--json')
    expect(codeOf(shadowed)).toEqual([24, 'AUDIT_BROKEN'])
    expect(JSON.parse(shadowed.stdout)).toMatchObject({ problems: [{ code: 'SHADOWED' }] })
  })
})
