// `npm run bench:install`: puts the contestants into bench/node_modules and bench/.data/venv, from
// npm and PyPI, at the pinned versions and hashes. Needs the network, a C++ compiler and Python.

import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { data, root } from './measure.mjs'

const bench = join(root, 'bench')
const venv = join(data, 'venv')

// Not `npm ci`: it refuses the lock file where a registry lacks optional packages for other
// systems. The versions and hashes of the lock file hold all the same.
run('npm', ['install', '--no-save'], bench)
// The same package twice: as npm builds it, and for this machine's processor.
run('npm', ['rebuild', 'hnswlib-node-native'], bench, { CXXFLAGS: '-O3 -march=native' })
rmSync(venv, { recursive: true, force: true })
const made = run('python3', ['-m', 'venv', venv], bench, {}, true)
if (made) {
  const pip = join(venv, 'bin', 'pip')
  run(pip, ['install', '--require-hashes', '-r', join(bench, 'requirements.txt')], bench, {}, true)
}

/** Python's contestants are optional: without them the benchmark says that they are absent. */
function run(command, args, cwd, env = {}, optional = false) {
  console.error(`bench: ${command} ${args.join(' ')}`)
  const { status } = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: 'inherit',
  })
  if (status === 0) return true
  if (optional) console.error('bench: failed; goes on without the contestants from PyPI')
  else process.exit(status ?? 1)
  return false
}
