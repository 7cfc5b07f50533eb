import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPlace, QUERIES, RECORDS } from './support/cli.ts'

const place = openPlace()
afterAll(() => place.remove())

/** Runs one command that must succeed. */
const akidb = async (...argv: string[]): Promise<string> => {
  const ran = await place.run(argv)
  if (ran.code !== 0) throw new Error(`exit ${ran.code}: ${argv.join(' ')}\n${ran.stderr}`)
  return ran.stdout
}
/** In a process of its own: nothing that this one holds may help. */
const answers = (store: string, ...more: string[]): string => {
  const argv = ['--store', store, 'search', 'notes', '--queries', QUERIES, '-k', '10', ...more]
  const ran = place.spawn(argv)
  if (ran.status !== 0) throw new Error(ran.stderr)
  return ran.stdout
}

let before = ''
beforeAll(async () => {
  await akidb('--store', 'a', 'init')
  await akidb('--store', 'a', 'ingest', 'notes', RECORDS, '--text-column', 'text')
  before = answers('a')
})

describe('the main job', () => {
  it('answers every query, and names the file and row of a hit', async () => {
    expect(before.trim().split('\n')).toHaveLength(20)
    const got = await akidb('--store', 'a', 'get', 'notes', 'FI-017')
    expect(got).toContain('labse-small.parquet, row 38')
  })

  it('takes a file once, and says so', async () => {
    const again = await place.run([
      '--store',
      'a',
      'ingest',
      'notes',
      RECORDS,
      '--text-column',
      'text',
    ])
    expect(again.code).toBe(0)
    expect(again.stdout).toContain('skipped, taken before')
  })

  it('undoes a wrong ingest, and keeps both in the history', async () => {
    await akidb('--store', 'a', 'snapshot', 'create', 'notes', 'good')
    const vector = Array.from({ length: 768 }, (_, i) => i)
    const wrong = JSON.stringify({ id: 'FI-017', text: 'wrong', embedding: vector })
    writeFileSync(place.at('wrong.jsonl'), `${wrong}\n`)
    await akidb('--store', 'a', 'ingest', 'notes', 'wrong.jsonl', '--reason', 'by mistake')
    expect(answers('a', '--as-of', 'good')).toBe(before)
    await akidb('--store', 'a', 'revert', 'notes', 'good')
    expect(answers('a')).toBe(before)
    expect(await akidb('--store', 'a', 'audit', 'log')).toContain('reason "by mistake"')
    expect(await akidb('--store', 'a', 'audit', 'verify')).toMatch(/^ok: /)
  })

  it('carries the collection to another store, which answers the same', async () => {
    await akidb('--store', 'a', 'export', 'notes', '-o', 'notes.akipkg')
    writeFileSync(place.at('a.pem'), await akidb('--store', 'a', 'keys', 'export', 'default'))
    await akidb('--store', 'b', 'init')
    const stranger = await place.run(['--store', 'b', 'import', 'notes.akipkg'])
    expect(stranger.code).toBe(24)
    expect(stranger.stderr).toContain('UNTRUSTED')
    await akidb('--store', 'b', 'keys', 'trust', 'a.pem', '--yes')
    await akidb('--store', 'b', 'import', 'notes.akipkg')
    expect(answers('b')).toBe(before)
    expect(await akidb('--store', 'b', 'check', '--read-data')).toMatch(/^ok: /)
  })

  it('brings it up to date by a delta, and takes no older bundle after it', async () => {
    await akidb('--store', 'a', 'delete', 'notes', 'FI-017')
    await akidb('--store', 'a', 'export', 'notes', '-o', 'delta.akipkg', '--since', 'last')
    await akidb('--store', 'b', 'import', 'delta.akipkg')
    expect((await place.run(['--store', 'b', 'get', 'notes', 'FI-017'])).code).toBe(21)
    const old = await place.run(['--store', 'b', 'import', 'notes.akipkg'])
    expect(old.code).toBe(24)
    expect(old.stderr).toContain('ROLLBACK')
  })

  it('leaves nothing of a damaged bundle', async () => {
    const bytes = readFileSync(place.at('notes.akipkg'))
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
    writeFileSync(place.at('broken.akipkg'), bytes)
    await akidb('--store', 'c', 'init')
    await akidb('--store', 'c', 'keys', 'trust', 'a.pem', '--yes')
    const broken = await place.run(['--store', 'c', 'import', 'broken.akipkg'])
    expect(broken.code).toBe(24)
    expect(broken.stderr).toContain('INTEGRITY')
    expect((await place.json('--store', 'c', 'list')).collections).toEqual([])
  })
})
