import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ErrorCode, EXIT_CODES } from '../../src/errors/exit-codes.ts'
import { openPlace, RECORDS } from './support/cli.ts'

const place = openPlace()
afterAll(() => place.remove())
const store = ['--store', 'a']

beforeAll(async () => {
  const ok = async (...argv: string[]): Promise<string> => {
    const ran = await place.run(argv)
    if (ran.code !== 0) throw new Error(ran.stderr)
    return ran.stdout
  }
  await ok(...store, 'init')
  await ok(...store, 'ingest', 'notes', RECORDS, '--text-column', 'text')
  await ok(...store, 'snapshot', 'create', 'notes', 'friday')
  await ok(...store, 'export', 'notes', '-o', 'n.akipkg')
  writeFileSync('a.pem', await ok(...store, 'keys', 'export', 'default'))
  writeFileSync('log.pem', await ok(...store, 'keys', 'export', 'log'))
  await ok(...store, 'audit', 'prove', '0', '-o', 'entry.proof')
  const proof = readFileSync('entry.proof', 'utf8')
  writeFileSync('bad.proof', proof.replace(/^index 0$/m, 'index 1'))
  const bytes = readFileSync('n.akipkg')
  writeFileSync('cut.akipkg', bytes.subarray(0, bytes.length - 5_000))
  writeFileSync('more.akipkg', Buffer.concat([bytes, Buffer.from('more')]))
  bytes[600_000] = (bytes[600_000] ?? 0) ^ 4
  writeFileSync('flipped.akipkg', bytes)
  await ok('--store', 'b', 'init')
  await ok('--store', 'c', 'init')
  await ok('--store', 'c', 'keys', 'trust', 'a.pem', '--yes')
  await ok('--store', 'c', 'import', 'n.akipkg')
  writeFileSync('pass', 'secret\n', { mode: 0o600 })
  writeFileSync('other', 'other\n', { mode: 0o600 })
  writeFileSync('open', 'secret\n')
  chmodSync('open', 0o644)
  await ok(...store, 'keys', 'generate', 'site', '--passphrase-file', 'pass')
  await ok(...store, 'keys', 'backup', '-o', 'keys.bak', '--passphrase-file', 'pass')
  writeFileSync('notes.csv', 'id,text\n1,a\n')
  writeFileSync('empty.csv', '')
  writeFileSync('short.jsonl', '{"id":"1","text":"a","vector":[1,2]}\n')
  writeFileSync('twice.json', '{"store":"a","store":"b"}')
  writeFileSync('odd.json', '{"stoer":"a"}')
  mkdirSync('empty')
  copyFileSync(RECORDS, 'copy.parquet')
})

/** [error code, a word of the message or hint, command line] */
const failures: readonly (readonly [ErrorCode, string, string])[] = [
  ['NOT_FOUND', 'akidb init', '--store none list'],
  ['NOT_FOUND', 'akidb init', '--store none ingest notes notes.csv'],
  ['NOT_FOUND', 'akidb list', 'search nothing --text a'],
  ['NOT_FOUND', '"none"', 'get notes none'],
  ['NOT_FOUND', 'none', 'search notes --id none'],
  ['NOT_FOUND', 'no.csv', 'ingest notes no.csv'],
  ['NOT_FOUND', 'no.json', 'search notes --vector no.json'],
  ['NOT_FOUND', 'no.json', 'search notes --text a --filter @no.json'],
  ['NOT_FOUND', 'newest version is 2', 'get notes FI-017 --as-of 99'],
  ['NOT_FOUND', 'snapshot list', 'revert notes monday'],
  ['NOT_FOUND', 'snapshot list', 'export notes -o x.akipkg --snapshot monday'],
  ['NOT_FOUND', 'keys list', 'export notes -o x.akipkg --key nobody'],
  ['NOT_FOUND', 'no/x.akipkg', 'export notes -o no/x.akipkg'],
  ['NOT_FOUND', 'no.akipkg', 'import no.akipkg'],
  ['NOT_FOUND', 'no.akipkg', 'bundle verify no.akipkg'],
  ['NOT_FOUND', 'empty', 'audit verify empty'],
  ['NOT_FOUND', 'entries 0 to', 'audit prove 9999 -o x.proof'],
  ['NOT_FOUND', 'no.json', '--config no.json list'],
  ['CONFIG_INVALID', 'stoer', '--config odd.json list'],
  ['USAGE', '--text', 'search notes --txt a'],
  ['USAGE', 'cut short', 'search notes --vector [1,2'],
  ['USAGE', 'cut short', 'search notes --text a --filter {"must":'],
  [
    'USAGE',
    'help filters',
    'search notes --text a --filter {"must":[{"key":"a","match":{"x":1}}]}',
  ],
  ['USAGE', 'geo_radius', 'search notes --text a --filter {"must":[{"key":"a","geo_radius":{}}]}'],
  ['USAGE', '"id", "text"', 'ingest fresh notes.csv'],
  ['USAGE', '"id", "text"', 'ingest fresh notes.csv --text-column body'],
  ['USAGE', 'bad/name', 'ingest bad/name notes.csv --text-column text'],
  ['USAGE', 'ISO 8601', 'get notes FI-017 --as-of 2020-01-01'],
  ['USAGE', '1bad', 'snapshot create notes 1bad'],
  ['USAGE', '--yes', 'delete notes --filter {"lang":"FI"}'],
  ['USAGE', '--confirm notes', 'drop notes'],
  ['USAGE', '--yes', '--store b keys trust a.pem'],
  ['USAGE', '../key', 'keys generate ../key'],
  ['EXISTS', 'friday', 'snapshot create notes friday'],
  ['EXISTS', '--force', 'export notes -o n.akipkg'],
  ['EXISTS', '--force', 'dump notes -o notes.csv --format csv'],
  ['EXISTS', '--force', 'keys backup -o keys.bak --passphrase-file pass'],
  ['EXISTS', 'default', 'keys generate default'],
  ['EXISTS', 'case', 'create NOTES'],
  ['CONFLICT', '--diverge', '--store c delete notes FI-017'],
  ['CONFLICT', '--diverge', '--store c ingest notes copy.parquet'],
  ['AUTH', 'chmod 600', 'export notes -o x.akipkg --key site --passphrase-file open'],
  ['AUTH', 'wrong', 'export notes -o x.akipkg --key site --passphrase-file other'],
  ['AUTH', '--passphrase-file', 'export notes -o x.akipkg --key site'],
  ['AUTH', 'wrong', '--store b keys import keys.bak --passphrase-file other'],
  ['UNTRUSTED', 'keys trust', '--store b bundle verify n.akipkg'],
  ['UNTRUSTED', 'keys trust', '--store b import n.akipkg'],
  ['UNTRUSTED', 'keys trust', '--store b replay n.akipkg'],
  ['UNTRUSTED', '--key', '--store b audit verify a'],
  ['UNTRUSTED', '--key', '--store none audit verify --proof entry.proof'],
  [
    'INTEGRITY',
    'under the signed root',
    '--store none audit verify --proof bad.proof --key log.pem',
  ],
  ['INTEGRITY', 'altered', 'bundle verify flipped.akipkg --key a.pem'],
  ['INTEGRITY', 'altered', '--store c import flipped.akipkg'],
  ['INTEGRITY', 'truncated', 'bundle verify cut.akipkg --key a.pem'],
  ['INTEGRITY', 'more.akipkg', 'bundle verify more.akipkg --key a.pem'],
  ['INTEGRITY', 'not a bundle', 'bundle verify notes.csv --key a.pem'],
  ['INTEGRITY', 'not a bundle', 'bundle inspect notes.csv'],
  ['DIMENSION_MISMATCH', '768', 'search notes --vector [1,2,3]'],
  ['DIMENSION_MISMATCH', '768', 'ingest notes short.jsonl'],
  ['BAD_INPUT', 'empty.csv', 'ingest fresh empty.csv --text-column text'],
  ['BAD_INPUT', 'no public key', 'keys trust notes.csv --yes'],
  ['LIMIT', '10000', 'search notes --text a -k 10001'],
  ['LIMIT', '16384', 'create wide --dimension 16385'],
]

describe('a failure', () => {
  for (const [code, word, line] of failures) {
    const argv = line.startsWith('--') ? line.split(' ') : [...store, ...line.split(' ')]
    it(`is ${code} for "akidb ${line}"`, async () => {
      const ran = await place.run(argv)
      expect(ran.stderr).toContain(`(${code}, exit ${EXIT_CODES[code]})`)
      expect(ran.code).toBe(EXIT_CODES[code])
      expect(ran.stdout + ran.stderr).toContain(word)
      expect(ran.stderr).not.toMatch(/^\s+at /m)
    })
  }

  it('in a process of its own gives its code to the shell, and no stack', () => {
    const ran = place.spawn([...store, 'search', 'notes', '--vector', '[1,2,3]'])
    expect(ran).toMatchObject({ status: 26, stdout: '' })
    expect(ran.stderr.split('\n')).toHaveLength(3)
  })
})

describe('audit verify without a store', () => {
  it('takes a folder of logs, one log, a copy of one, a proof and a bundle', async () => {
    const logId = readdirSync('a/audit')[0] ?? ''
    cpSync(join('a/audit', logId), 'copy-of-log', { recursive: true })
    const argv = ['--store', 'none', 'audit', 'verify', '--json', '--key', 'log.pem']
    const targets = [['a/audit'], [join('a/audit', logId)], ['copy-of-log'], ['a']]
    for (const target of [...targets, ['--proof', 'entry.proof']]) {
      const ran = await place.run([...argv, ...target])
      expect(ran.code, ran.stderr).toBe(0)
      const { ok, entries } = JSON.parse(ran.stdout) as { ok: boolean; entries: number }
      expect(ok).toBe(true)
      expect(entries).toBeGreaterThan(0)
    }
    const bundle = await place.run([...argv, 'n.akipkg', '--key', 'a.pem'])
    expect(JSON.parse(bundle.stdout)).toMatchObject({ ok: true, checkpoints: 1 })
    expect((await place.run([...argv, 'flipped.akipkg', '--key', 'a.pem'])).code).toBe(24)
  })
})

describe('a command that is harmless twice', () => {
  for (const line of ['init', 'import n.akipkg', 'keys trust a.pem --yes']) {
    it(`is "${line}"`, async () => {
      const argv = ['--store', 'c', ...line.split(' ')]
      expect((await place.run(argv)).code).toBe(0)
      expect((await place.run(argv)).code).toBe(0)
    })
  }
})

describe('-q', () => {
  for (const line of [
    'check',
    'gc',
    'compact notes',
    'bundle verify n.akipkg',
    'audit checkpoint -o cp',
  ]) {
    it(`prints nothing for "${line}"`, async () => {
      const ran = await place.run([...store, ...line.split(' '), '-q'])
      expect(ran).toMatchObject({ code: 0, stdout: '', stderr: '' })
    })
  }

  it('prints data all the same', async () => {
    expect((await place.run([...store, 'list', '-q'])).stdout).toContain('notes')
  })
})
