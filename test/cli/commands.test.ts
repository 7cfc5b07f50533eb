import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Collection, IngestResult } from '../../src/db/api/api.ts'
import { fakeEngine, INFO, payload, ROOT } from './support/fake-engine.ts'
import { jsonLines, run, temporaryFolder } from './support/run.ts'

const folder = temporaryFolder()
afterAll(() => folder.remove())

describe('destructive acts', () => {
  it('drop needs the name again', async () => {
    const { engine, calls } = fakeEngine({ store: { drop: async () => ({ rows: 2 }) } })
    const asked = await run(['drop', 'docs'], { engine })
    expect(asked.code).toBe(2)
    expect(asked.stderr).toContain('--confirm docs')
    expect((await run(['drop', 'docs', '--confirm', 'dogs'], { engine })).code).toBe(2)
    expect((await run(['drop', 'docs', '-n'], { engine })).stdout).toContain('would drop')
    expect(calls.some(({ name }) => name === 'drop')).toBe(false)
    const done = await run(['drop', 'docs', '--confirm', 'docs', '--json'], { engine })
    expect(jsonLines(done.stdout)).toEqual([
      { type: 'drop', version: 1, collection: 'docs', rows: 2, snapshots: 0 },
    ])
  })

  it('delete by a filter needs --yes where nobody can be asked; by id it does not', async () => {
    const { engine, calls, last } = fakeEngine()
    const filter = ['delete', 'docs', '--filter', '{"lang":"fi"}']
    const asked = await run(filter, { engine })
    expect(asked.code).toBe(2)
    expect(asked.stderr).toContain('--yes')
    expect(calls.some(({ name }) => name === 'delete')).toBe(false)
    expect((await run([...filter, '--yes'], { engine })).stdout).toContain('deleted 2 records')
    expect(last('delete')).toEqual({ filter: new Map([['lang', 'fi']]) })
    expect((await run(['delete', 'docs', 'a', 'b'], { engine })).code).toBe(0)
    expect(last('delete')).toEqual({ ids: ['a', 'b'] })
  })

  it('-n counts and deletes nothing', async () => {
    const { engine, calls } = fakeEngine()
    const argv = ['delete', 'docs', '--source', 'cd'.repeat(32), '-n', '--json']
    const ran = await run(argv, { engine })
    expect(jsonLines(ran.stdout)[0]).toMatchObject({ deleted: 1, dryRun: true })
    expect(calls.some(({ name }) => name === 'delete')).toBe(false)
    expect(calls.find(({ name }) => name === 'openStore')?.request).toMatchObject({ mode: 'read' })
  })

  it('trusting a key needs --yes where nobody can be asked', async () => {
    const key = { name: 'site', keyId: ROOT, kind: 'trusted' } as const
    const { engine, calls } = fakeEngine({
      engine: {
        readPublicKey: async () => ({ name: null, keyId: ROOT, pem: 'PEM' }),
        trustKey: async () => key,
      },
    })
    expect((await run(['keys', 'trust', 'site.pem'], { engine })).code).toBe(2)
    expect(calls.some(({ name }) => name === 'trustKey')).toBe(false)
    expect((await run(['keys', 'trust', 'site.pem', '--yes'], { engine })).code).toBe(0)
  })

  it('--no-input asks nobody, even on a terminal', async () => {
    const { engine } = fakeEngine()
    const terminal = { engine, stdinTerminal: true, stderrTerminal: true }
    const ran = await run(['drop', 'docs', '--no-input'], terminal)
    expect(ran.code).toBe(2)
    expect(ran.stderr).toContain('--no-input')
  })
})

describe('get', () => {
  it('is 21 where nothing is found, 20 where some is, and prints what there is', async () => {
    const { engine } = fakeEngine()
    expect(await run(['get', 'docs', 'x'], { engine })).toMatchObject({ code: 21, stdout: '' })
    const some = await run(['get', 'docs', 'a', 'x'], { engine })
    expect(some.code).toBe(20)
    expect(some.stdout).toContain('a.csv, line 17')
  })
})

describe('create', () => {
  it('takes positions of words, and the index from options and settings', async () => {
    const createCollection = async () => ({ info: async () => INFO }) as unknown as Collection
    const { engine, last } = fakeEngine({ store: { createCollection } })
    const argv = ['--dimension', '768', '--text-column', 't', '--text-positions']
    const env = { AKIDB_INDEX_QUANTIZATION: 'pq', AKIDB_INDEX_M: '32' }
    await run(['create', 'docs', ...argv], { engine, env })
    const options = { dimension: 768, textFields: ['t'], textPositions: true }
    expect(last('createCollection')).toEqual({ ...options, index: { m: 32, quantization: 'pq' } })
    await run(['create', 'docs', ...argv, '--quantization', 'binary'], { engine, env })
    expect(last('createCollection')).toMatchObject({ index: { quantization: 'binary' } })
  })
})

describe('ingest', () => {
  const file = {
    path: 'a.csv',
    sha256: ROOT,
    rows: 2,
    inserted: 2,
    updated: 0,
    rejected: 0,
    skipped: false,
  }
  const result: IngestResult = {
    collection: 'docs',
    store: '/store',
    created: true,
    files: [file],
    inserted: 2,
    updated: 0,
    rejected: 0,
    warnings: [],
    manifestVersion: 1,
    stateRoot: ROOT,
    elapsedMs: 5,
    partial: false,
  }
  const ingest = async (change: Partial<IngestResult>, argv: readonly string[] = []) => {
    const { engine } = fakeEngine({ engine: { ingest: async () => ({ ...result, ...change }) } })
    return run(['ingest', 'docs', 'a.csv', ...argv], { engine })
  }
  const refused = (code: string) => ({
    ...file,
    sha256: null,
    error: { code, message: `is ${code}` },
  })

  it('refuses other codes for a collection that exists, unless they are a setting', async () => {
    const { engine, last, calls } = fakeEngine({ engine: { ingest: async () => result } })
    const ran = await run(['ingest', 'docs', 'a.csv', '--quantization', 'pq'], { engine })
    expect(ran.code).toBe(26)
    expect(ran.stderr).toContain('akidb index build docs --quantization pq')
    expect(calls.some(({ name }) => name === 'ingest')).toBe(false)
    const env = { AKIDB_INDEX_QUANTIZATION: 'pq' }
    expect((await run(['ingest', 'docs', 'a.csv'], { engine, env })).code).toBe(0)
    const argv = ['ingest', 'other', 'a.csv', '--quantization', 'binary', '--text-positions']
    expect((await run(argv, { engine })).code).toBe(0)
    expect(last('ingest')).toMatchObject({
      ...{ index: { quantization: 'binary' }, textPositions: true },
    })
  })

  it('prints the document of the contract', async () => {
    const ran = await ingest({}, ['--json'])
    const { partial, ...document } = result
    expect(jsonLines(ran.stdout)).toEqual([{ type: 'ingest', version: 1, ...document }])
  })

  it('is 20 with rejected rows over the limit, and names the rejects file', async () => {
    const ran = await ingest({ partial: true, rejected: 3, rejectsFile: '/s/rejects/x.jsonl' })
    expect(ran.code).toBe(20)
    expect(ran.stderr).toContain('/s/rejects/x.jsonl')
    expect(ran.stdout).toContain('3 rejected')
  })

  it('is the cause of all failures where there is one, and 24 before 20', async () => {
    const bad = refused('BAD_INPUT')
    expect((await ingest({ files: [bad], partial: true })).code).toBe(26)
    expect((await ingest({ files: [bad, bad], partial: true })).code).toBe(26)
    expect((await ingest({ files: [bad, file], partial: true })).code).toBe(20)
    expect((await ingest({ files: [bad, refused('INTEGRITY')], partial: true })).code).toBe(24)
  })

  it('reads stdin for -, but not from a terminal', async () => {
    const { engine, last } = fakeEngine({ engine: { ingest: async () => result } })
    expect((await run(['ingest', 'docs', '-'], { engine, stdin: 'id\n1\n' })).code).toBe(0)
    const pieces: Uint8Array[] = []
    for await (const piece of last('ingest').stdin as AsyncIterable<Uint8Array>) pieces.push(piece)
    expect(Buffer.concat(pieces).toString()).toBe('id\n1\n')
    expect((await run(['ingest', 'docs', '-'], { engine, stdinTerminal: true })).code).toBe(2)
  })

  it('-n shows and opens for reading only', async () => {
    const { engine, last } = fakeEngine({ engine: { previewIngest: async () => [] } })
    const ran = await run(['ingest', 'docs', 'a.csv', '-n', '--json'], { engine })
    expect(jsonLines(ran.stdout)[0]).toMatchObject({ collection: 'docs', dryRun: true, files: [] })
    expect(last('openStore')).toMatchObject({ mode: 'read' })
  })

  it('-n shows the first rows cut, so that each is a line', async () => {
    const file = {
      ...{ path: 'a.csv', format: 'csv', dimension: null, columns: [], notes: [], rejects: [] },
      rows: [{ id: 'r1', payload: payload({ text: 'x'.repeat(5_000) }) }],
    }
    const { engine } = fakeEngine({ engine: { previewIngest: async () => [file] } as never })
    const { stdout } = await run(['ingest', 'docs', 'a.csv', '-n'], { engine })
    expect(stdout).toMatch(/^ID {2}PAYLOAD\nr1 {2}\{"text":"x+…$/m)
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThan(100)
  })
})

describe('bundle verify', () => {
  const verified = {
    ok: true,
    problems: [],
    signers: [{ keyId: ROOT, name: 'site', trusted: true }],
    stateRoots: { docs: ROOT },
    bytes: 10,
    elapsedMs: 1,
  }

  it('prints the document, and is 24 with every problem named', async () => {
    const problems = [
      { code: 'UNTRUSTED', member: 'HEAD.dsse', offset: 0, message: 'unknown key' },
      { code: 'INTEGRITY', member: 'blobs/ab', offset: 512, message: 'digest differs' },
    ] as const
    const good = fakeEngine({ engine: { verifyBundle: async () => verified } })
    const fine = await run(['bundle', 'verify', 'a.akipkg', '--key', 'k.pem', '--json'], good)
    expect(fine.code).toBe(0)
    expect(jsonLines(fine.stdout)[0]).toMatchObject({ type: 'bundle.verify', ok: true })
    expect(good.last('verifyBundle')).toMatchObject({
      keyFiles: ['k.pem'],
      input: { path: 'a.akipkg' },
    })
    const { engine } = fakeEngine({
      engine: { verifyBundle: async () => ({ ...verified, ok: false, problems }) },
    })
    const bad = await run(['bundle', 'verify', 'a.akipkg'], { engine })
    expect(bad.code).toBe(24)
    expect(bad.stdout).toContain('HEAD.dsse at byte 0: unknown key')
    expect(bad.stdout).toContain('blobs/ab at byte 512: digest differs')
    expect(bad.stderr).toContain('UNTRUSTED, exit 24')
  })

  it('prints nothing under -q when all is well', async () => {
    const { engine } = fakeEngine({ engine: { verifyBundle: async () => verified } })
    const ran = await run(['bundle', 'verify', 'a.akipkg', '-q'], { engine })
    expect(ran).toMatchObject({ code: 0, stdout: '', stderr: '' })
  })
})

describe('output files', () => {
  const { engine } = fakeEngine({
    engine: {
      auditProve: async () => ({ seq: 1, size: 2, root: ROOT, proof: Buffer.from('PROOF') }),
      auditCheckpoint: async () => ({ logId: 'l', size: 2, root: ROOT, note: 'NOTE\n' }),
    },
  })

  it('that exist are 22 unless --force', async () => {
    const path = join(folder.path, 'a.proof')
    expect((await run(['audit', 'prove', '1', '-o', path], { engine })).code).toBe(0)
    expect(readFileSync(path, 'utf8')).toBe('PROOF')
    writeFileSync(path, 'mine')
    const again = await run(['audit', 'prove', '1', '-o', path], { engine })
    expect(again.code).toBe(22)
    expect(again.stderr).toContain('EXISTS')
    expect(readFileSync(path, 'utf8')).toBe('mine')
    expect((await run(['audit', 'prove', '1', '-o', path, '--force'], { engine })).code).toBe(0)
    expect(readFileSync(path, 'utf8')).toBe('PROOF')
  })

  it('in no folder are 21, and nothing is left behind', async () => {
    const path = join(folder.path, 'absent/a.proof')
    expect((await run(['audit', 'prove', '1', '-o', path], { engine })).code).toBe(21)
    expect(existsSync(path)).toBe(false)
  })

  it('of a checkpoint are the note itself, on stdout too', async () => {
    expect((await run(['audit', 'checkpoint'], { engine })).stdout).toBe('NOTE\n')
    const ran = await run(['audit', 'checkpoint', '-o', '-', '--json'], { engine })
    expect(ran.stdout).toBe('NOTE\n')
    expect(jsonLines(ran.stderr)[0]).toMatchObject({ type: 'audit.checkpoint', size: 2 })
  })
})

describe('audit verify', () => {
  it('tells what is broken, exit 24', async () => {
    const message = 'the log ends before its checkpoint'
    const problems = [{ code: 'TRUNCATED', seq: 5, message }] as const
    const { engine } = fakeEngine({
      engine: {
        verifyAudit: async () => ({ ok: false, entries: 5, root: ROOT, checkpoints: 1, problems }),
      },
    })
    const ran = await run(['audit', 'verify', '--json'], { engine })
    expect(ran.code).toBe(24)
    expect(jsonLines(ran.stdout)[0]).toMatchObject({ type: 'audit.verify', ok: false, problems })
    expect(jsonLines(ran.stderr)[0]).toMatchObject({ code: 'AUDIT_BROKEN', exit: 24 })
  })
})

describe('serve', () => {
  it('warns where others can reach it', async () => {
    const { engine, last } = fakeEngine({
      engine: { serve: async () => ({ requests: 0, elapsedMs: 1 }) },
    })
    const ran = await run(['serve', '--listen', '0.0.0.0:9000'], { engine })
    expect(ran.stderr).toContain('warning: anyone who reaches 0.0.0.0:9000')
    expect(last('serve')).toMatchObject({ host: '0.0.0.0', port: 9000 })
    await run(['serve', '--listen', '[::1]:0', '--offline'], { engine })
    expect(last('serve')).toMatchObject({ host: '::1', port: 0 })
  })

  it('takes the source of events, and what a NATS server needs', async () => {
    const { engine, last } = fakeEngine({
      engine: { serve: async () => ({ requests: 0, elapsedMs: 1 }) },
    })
    await run(['serve'], { engine })
    expect(last('serve')).toMatchObject({ events: 'auto', nats: { offline: false } })
    const tls = ['--nats-ca', '/ca', '--nats-client-cert', '/cert', '--nats-client-key', '/key']
    const names = ['--nats-subject', 'a.b', '--nats-stream', 'S', '--nats-credentials', '/creds']
    await run(['serve', '--offline', '--events', 'tls://[::1]', ...names, ...tls], { engine })
    expect(last('serve')).toMatchObject({
      events: 'tls://[::1]',
      nats: {
        ...{ offline: true, subject: 'a.b', stream: 'S', credentialsFile: '/creds' },
        ...{ caFile: '/ca', clientCertFile: '/cert', clientKeyFile: '/key' },
      },
    })
  })
})
