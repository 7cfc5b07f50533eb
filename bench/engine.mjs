// The build that is measured: compiled once into bench/.data/engine, so that sources that change
// while a benchmark runs do not change what it measures, and no dist/ is left in the clone.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { engine, root } from './measure.mjs'

/** Compiles the sources unless they were compiled before. */
export function buildEngine() {
  const stamp = join(engine, 'sources')
  const digest = digestOfSources()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return
  const next = `${engine}.tmp`
  rmSync(next, { recursive: true, force: true })
  mkdirSync(join(next, 'bin'), { recursive: true })
  compile(join(next, 'dist'))
  copyFileSync(join(root, 'bin', 'akidb'), join(next, 'bin', 'akidb'))
  copyFileSync(join(root, 'package.json'), join(next, 'package.json'))
  for (const name of ['node_modules', 'templates', 'docs']) {
    symlinkSync(join(root, name), join(next, name))
  }
  writeFileSync(join(next, 'sources'), digest)
  rmSync(engine, { recursive: true, force: true })
  renameSync(next, engine)
}

function compile(dist) {
  const require = createRequire(join(root, 'package.json'))
  const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc')
  const project = ['-p', join(root, 'tsconfig.build.json'), '--declaration', 'false']
  const args = [compiler, ...project, '--outDir', dist]
  const { status, stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  // A type error does not change what is measured; what does not run fails by itself.
  if (status !== 0) console.error(`bench: the sources have type errors:\n${stdout}`)
  for (const file of globSync('**/*.wasm', { cwd: join(root, 'src') })) {
    mkdirSync(dirname(join(dist, file)), { recursive: true })
    copyFileSync(join(root, 'src', file), join(dist, file))
  }
}

function digestOfSources() {
  const hash = createHash('sha256')
  const files = globSync('src/**/*.{ts,wasm}', { cwd: root }).sort()
  for (const file of [...files, 'bin/akidb', 'package.json', 'tsconfig.json']) {
    const body = readFileSync(join(root, file))
    hash.update(`${file}\0${body.length}\0`).update(body)
  }
  return hash.digest('hex')
}
