// `npm run demo`: the main job on the bundled fixture, through bin/akidb, in a folder of its own
// that is removed at the end. Prints each step with its command and time; any surprise ends it
// with exit 1.
//
//   npm run demo -- --keep     leaves the folder

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

const root = join(import.meta.dirname, '..')
const records = join(root, 'fixtures', 'labse-small.parquet')
const queries = join(root, 'fixtures', 'labse-small-queries.parquet')
const folder = mkdtempSync(join(tmpdir(), 'akidb-demo-'))
const at = (name) => join(folder, name)
const started = performance.now()
let steps = 0

/** Two sites, each with a store of its own. */
const siteA = ['--store', at('site-a')]
const siteB = ['--store', at('site-b')]

try {
  await writeInputs()
  ingestAndSearch()
  const before = answers(siteA, 'notes')
  historyAndAudit(before)
  carry(before)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`\ndone: ${steps} steps in ${seconds} s; both sites give the same answers`)
} catch (error) {
  console.error(`\ndemo failed at step ${steps}: ${error.message}`)
  process.exitCode = 1
} finally {
  if (process.argv.includes('--keep')) console.log(`left in ${folder}`)
  else rmSync(folder, { recursive: true, force: true })
}

/** A query vector, and the file of a wrong ingest: known ids with other vectors. */
async function writeInputs() {
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(queries), compressors })
  const query = rows.find((row) => row.id === 'FI-057') ?? rows[0]
  writeFileSync(at('query.json'), JSON.stringify(Array.from(query.embedding)))
  console.log(`query: "${query.text}"`)
  const wrong = rows.slice(0, 10).map((row, i) => ({
    id: `FI-${['017', '099'][i % 2]}${i < 2 ? '' : `-${i}`}`,
    lang: 'FI',
    text: 'wrong',
    chars: 5,
    embedding: Array.from(row.embedding),
  }))
  writeFileSync(at('wrong.jsonl'), `${wrong.map((row) => JSON.stringify(row)).join('\n')}\n`)
}

function ingestAndSearch() {
  step('a store, with its two keys', [...siteA, 'init'])
  step('ingest a Parquet file', [...siteA, 'ingest', 'notes', records, '--text-column', 'text'])
  step('search by vector', [...siteA, 'search', 'notes', '--vector', at('query.json'), '-k', '3'])
  step('search by words', [...siteA, 'search', 'notes', '--text', 'kello kahdeksan', '-k', '2'])
  const filter = '{"must":[{"key":"lang","match":{"any":["DE","SV"]}}]}'
  const byVector = ['search', 'notes', '--vector', at('query.json'), '-k', '3']
  step('the same vector, German and Swedish only', [...siteA, ...byVector, '--filter', filter])
  step('which file and row a record came from', [...siteA, 'get', 'notes', 'FI-017'])
}

function historyAndAudit(before) {
  step('pin this state', [...siteA, 'snapshot', 'create', 'notes', 'checked'])
  step('a wrong ingest', [...siteA, 'ingest', 'notes', at('wrong.jsonl'), '--reason', 'by mistake'])
  if (answers(siteA, 'notes') === before) throw new Error('the wrong ingest changed no answer')
  const { manifestVersion } = JSON.parse(akidb([...siteA, '--json', 'show', 'notes']).stdout)
  step('what it changed', [...siteA, 'diff', 'notes', 'checked', String(manifestVersion)])
  step('undo it', [...siteA, 'revert', 'notes', 'checked'])
  if (answers(siteA, 'notes') !== before)
    throw new Error('the revert did not bring back the answers')
  step('the history', [...siteA, 'log', 'notes'])
  step('who did what', [...siteA, 'audit', 'log'], { lines: 20 })
  step('the audit log checks out', [...siteA, 'audit', 'verify'])
}

function carry(before) {
  const bundle = at('notes.akipkg')
  step('export a signed bundle', [...siteA, 'export', 'notes', '-o', bundle])
  console.log(`    ${statSync(bundle).size.toLocaleString('en-US')} bytes`)
  const publicKey = step('its public key', [...siteA, 'keys', 'export', 'default'])
  writeFileSync(at('site-a.pem'), publicKey)
  step('look into the bundle, without a store', ['bundle', 'inspect', bundle])
  step('a second store', [...siteB, 'init'])
  step('an unknown signer is refused', [...siteB, 'bundle', 'verify', bundle], { exit: 24 })
  const trust = ['keys', 'trust', at('site-a.pem'), '--name', 'site-a', '--yes']
  step('trust the key, its fingerprint compared before', [...siteB, ...trust])
  step('now it verifies', [...siteB, 'bundle', 'verify', bundle])
  step('import it', [...siteB, 'import', bundle])
  step('search the imported copy', [
    ...[...siteB, 'search', 'notes', '--vector', at('query.json')],
    ...['-k', '3', '--with-source'],
  ])
  if (answers(siteB, 'notes') !== before) throw new Error('the imported copy answers otherwise')
  console.log('    20 queries: the same answers and state root, byte for byte')
}

/** Answers to all queries as JSON lines: equal states give equal bytes. */
function answers(site, collection) {
  const run = akidb([...site, 'search', collection, '--queries', queries, '-k', '10', '--json'])
  if (run.status !== 0) throw new Error(run.stderr)
  return run.stdout
}

/** Runs one command and shows it with its time; returns its standard output. */
function step(title, args, { exit = 0, lines = 8 } = {}) {
  steps++
  const from = performance.now()
  const run = akidb(args)
  const ms = Math.round(performance.now() - from)
  console.log(`\n${steps}. ${title} (${ms} ms)`)
  console.log(`  $ akidb ${args.map(shown).join(' ')}`)
  const output = [...run.stdout.trimEnd().split('\n'), ...run.stderr.trimEnd().split('\n')]
  const filled = output
    .filter((line) => line !== '')
    .map((line) => line.replaceAll(`${folder}/`, ''))
  for (const line of filled.slice(0, lines)) console.log(`    ${line}`)
  if (filled.length > lines) console.log(`    … ${filled.length - lines} more lines`)
  if (run.status !== exit) throw new Error(`exit ${run.status}, expected ${exit}\n${run.stderr}`)
  return run.stdout
}

function akidb(args) {
  const env = { ...process.env, NO_COLOR: '1', AKIDB_PROGRESS: 'none' }
  return spawnSync(join(root, 'bin', 'akidb'), args, { encoding: 'utf8', cwd: root, env })
}

function shown(word) {
  const short = word.startsWith(folder) ? relative(folder, word) : word.replace(`${root}/`, '')
  return /^[\w./:=-]+$/.test(short) ? short : `'${short}'`
}
