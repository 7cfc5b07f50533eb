// Checks src/ and makes dist/ of it: types/ for compilers, lib/ to run. Runs by `npm ci` in a clone
// (prepare) and by `npm run build`; does nothing where there are no sources (an installed package)
// and nothing where no source changed since the last build.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { bundle } from './bundle.mjs'

const root = dirname(import.meta.dirname)
const dist = join(root, 'dist')
const stamp = join(dist, '.sources')

process.exitCode = await build()

async function build() {
  if (!existsSync(join(root, 'src')) || !existsSync(join(root, 'tsconfig.build.json'))) return 0
  const compiler = findCompiler()
  if (compiler === undefined) {
    console.error('build: typescript is not installed; bin/akidb runs the sources')
    return 0
  }
  const digest = digestOfSources()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return 0

  // Made beside dist/ and renamed at the end, so that nobody runs half a build.
  const next = join(root, '.cache', `dist-${process.pid}`)
  rmSync(next, { recursive: true, force: true })
  mkdirSync(next, { recursive: true })
  try {
    const args = [
      compiler,
      '-p',
      join(root, 'tsconfig.build.json'),
      '--outDir',
      join(next, 'types'),
    ]
    const run = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
    if (run.status !== 0) return run.status ?? 1
    await bundle(root, next)
    writeFileSync(join(next, '.sources'), digest)
    rmSync(dist, { recursive: true, force: true })
    renameSync(next, dist)
    fillCache()
    return 0
  } finally {
    rmSync(next, { recursive: true, force: true })
  }
}

/** Runs commands that load all that others do: Node keeps their compiled code (src/cli/main.ts). */
function fillCache() {
  const store = join(dist, 'no-store')
  for (const argv of [
    ['list'],
    ['search', 'docs', '--text', 'words'],
    ['ingest', 'docs', 'file'],
  ]) {
    spawnSync(process.execPath, [join(dist, 'lib', 'main.js'), ...argv, '--store', store])
  }
}

function findCompiler() {
  const require = createRequire(join(root, 'package.json'))
  try {
    return join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc')
  } catch {
    return undefined
  }
}

function digestOfSources() {
  const hash = createHash('sha256').update(process.version)
  const files = globSync('**/*.ts', { cwd: join(root, 'src') })
    .sort()
    .map((file) => join('src', file))
  const settings = [
    'tsconfig.json',
    'tsconfig.build.json',
    'package-lock.json',
    'scripts/bundle.mjs',
  ]
  for (const file of [...files, ...settings]) {
    const body = readFileSync(join(root, file))
    hash.update(`${file}\0${body.length}\0`).update(body)
  }
  return hash.digest('hex')
}
