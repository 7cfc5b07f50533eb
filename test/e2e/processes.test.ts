import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPlace, RECORDS } from './support/cli.ts'

const place = openPlace()
afterAll(() => place.remove())
beforeAll(async () => {
  await place.run(['--store', 'a', 'init'])
  await place.run(['--store', 'a', 'ingest', 'notes', RECORDS, '--text-column', 'text'])
  writeFileSync(
    place.at('a.pem'),
    (await place.run(['--store', 'a', 'keys', 'export', 'default'])).stdout,
  )
})

describe('a pipe', () => {
  it('carries a bundle from export to verify', () => {
    const script = 'akidb --store a export notes -o - -q | akidb bundle verify - --key a.pem'
    const ran = place.shell(script)
    expect(ran.stdout).toMatch(/^-: ok, /m)
    expect(ran.status).toBe(0)
  })

  it('whose reader goes away after a line is a regular end', () => {
    const ran = place.shell('akidb --store a dump notes --format jsonl | head -n 1')
    expect(ran).toMatchObject({ status: 0, stderr: '' })
    expect(ran.stdout.split('\n')).toHaveLength(2)
  })

  it('carries rows into ingest, which commits by segment and says that it cannot resume', () => {
    const script = 'akidb --store a dump notes | akidb --store a ingest piped - --format jsonl'
    const ran = place.shell(script)
    expect(ran.status).toBe(0)
    expect(ran.stdout).toContain('306 inserted')
    expect(ran.stderr).toContain('a stopped ingest does not resume')
  })
})

describe.skipIf(process.platform !== 'linux')('a folder where none can be made', () => {
  it('is told at once, whatever was to lie there', async () => {
    const state = ['--store', 'a', '--state', '/proc/akidb/x']
    for (const argv of [
      ['--store', 'b', '--state', '/proc/akidb/x', 'init', '--no-key'],
      ['--store', '/proc/akidb/x', 'init', '--no-key'],
      [...state, 'ingest', 'notes', RECORDS, '--text-column', 'text'],
      [...state, 'serve', '--listen', '127.0.0.1:0'],
      ['--store', 'a', 'keys', 'backup', '-o', '/proc/akidb/x/keys'],
    ]) {
      const { code, stderr } = await place.run(argv)
      expect(stderr, argv.join(' ')).toContain('/proc')
      expect(stderr).toContain('hint: ')
      expect(code, stderr).toBe(23)
    }
  })
})

describe('a signal', () => {
  for (const [signal, exit] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    it(`${signal} while ingest waits for input is exit ${exit}, and commits nothing`, async () => {
      const argv = [
        '--store',
        'a',
        'ingest',
        'never',
        '-',
        '--format',
        'jsonl',
        '--text-column',
        'text',
      ]
      const child = place.start([...argv, '--progress', 'plain'])
      // The start line says that the handlers are there.
      await once(child.stderr ?? child, 'data')
      child.stdin?.write('{"id":"a","text":"b"}\n')
      child.kill(signal)
      expect((await once(child, 'exit'))[0]).toBe(exit)
      const { collections } = await place.json('--store', 'a', 'list')
      expect(JSON.stringify(collections)).not.toContain('never')
      expect((await place.run(['--store', 'a', 'audit', 'verify'])).code).toBe(0)
    })
  }

  it('in the middle of an export leaves no file', async () => {
    const child = place.start([
      '--store',
      'a',
      'export',
      'notes',
      '-o',
      'cut.akipkg',
      '--progress',
      'plain',
    ])
    await once(child.stderr ?? child, 'data')
    child.kill('SIGINT')
    const [code] = await once(child, 'exit')
    // Quick machines finish first: then the file is whole.
    expect([0, 130]).toContain(code)
    expect(existsSync(place.at('cut.akipkg'))).toBe(code === 0)
    expect(readdirSync(place.folder).filter((name) => name.includes('.tmp'))).toEqual([])
  })

  it('stops the server with exit 0', async () => {
    const child = place.start(['--store', 'a', 'serve', '--listen', '127.0.0.1:0'])
    const [line] = await once(child.stdout ?? child, 'data')
    expect(String(line)).toMatch(/listening on http:\/\/127\.0\.0\.1:\d+/)
    child.kill('SIGTERM')
    expect((await once(child, 'exit'))[0]).toBe(0)
  })
})
