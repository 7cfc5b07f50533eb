// The build that is measured: compiled once into bench/.data/engine, so that sources that change
// while a benchmark runs do not change what it measures, and no dist/ is left in the clone.

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
import { join } from 'node:path'
import { bundle } from '../scripts/bundle.mjs'
import { engine, root } from './measure.mjs'

/** Compiles the sources unless they were compiled before. */
export async function buildEngine() {
  const stamp = join(engine, 'sources')
  const digest = digestOfSources()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return
  const next = `${engine}.tmp`
  rmSync(next, { recursive: true, force: true })
  mkdirSync(join(next, 'bin'), { recursive: true })
  await bundle(root, join(next, 'dist'))
  copyFileSync(join(root, 'bin', 'akidb'), join(next, 'bin', 'akidb'))
  copyFileSync(join(root, 'package.json'), join(next, 'package.json'))
  for (const name of ['node_modules', 'templates', 'docs']) {
    symlinkSync(join(root, name), join(next, name))
  }
  writeFileSync(join(next, 'sources'), digest)
  rmSync(engine, { recursive: true, force: true })
  renameSync(next, engine)
}

function digestOfSources() {
  const hash = createHash('sha256')
  const files = globSync('src/**/*.ts', { cwd: root }).sort()
  for (const file of [...files, 'bin/akidb', 'package.json', 'scripts/bundle.mjs']) {
    const body = readFileSync(join(root, file))
    hash.update(`${file}\0${body.length}\0`).update(body)
  }
  return hash.digest('hex')
}
