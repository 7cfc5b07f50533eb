// Builds the servers that tests run against, MinIO and nats-server, once per version, into
// .cache/bin/ (which git ignores). They are Go modules: the `go` command fetches and compiles them
// as its own settings say.
//
//   node scripts/build-test-servers.mjs

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const cache = fileURLToPath(new URL('../.cache', import.meta.url))

const server = (title, module, version, time) => {
  const program = module.split('/').findLast((part) => !/^v\d+$/.test(part))
  const path = join(cache, 'bin', `${program}-${version}`)
  return { title, module, version, time, program, path }
}

const minio = server(
  'MinIO',
  'github.com/minio/minio',
  'v0.0.0-20260212201848-7aac2a2c5b7c',
  '2-3 minutes',
)
const nats = server('nats-server', 'github.com/nats-io/nats-server/v2', 'v2.12.2', 'half a minute')

/** Where the binaries of these very versions lie once they are built. */
export const minioPath = minio.path
export const natsPath = nats.path

/**
 * Builds a server where it is not built yet (says so in one line) and returns its path. Two
 * processes may do so at once: the last one's binary stays.
 *
 * @throws where `go` is missing or the build fails, with the end of what it wrote
 */
export const buildMinio = () => build(minio)
export const buildNats = () => build(nats)

function build({ path, program, ...about }) {
  if (existsSync(path)) return path
  mkdirSync(join(cache, 'bin'), { recursive: true })
  const folder = mkdtempSync(join(cache, 'go-bin-'))
  try {
    install(folder, about)
    renameSync(join(folder, program), path)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return path
}

/** Where `go` lies besides on the PATH: where its own archive and distributions put it. */
const GO_PLACES = ['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go']

/** Modules come over a network, which may fail once. */
const TRIES = 2

function install(folder, { title, module, version, time }) {
  const env = { ...process.env, HOME: process.env.HOME ?? homedir(), GOBIN: folder }
  const go = GO_PLACES.find((place) => spawnSync(place, ['version'], { env }).status === 0)
  if (go === undefined) {
    throw new Error(`${title} is not built, and its build needs the \`go\` command on the PATH`)
  }
  process.stderr.write(`building ${title} ${version} with go: takes ${time}, once\n`)
  const args = ['install', `${module}@${version}`]
  let run
  for (let tries = 0; tries < TRIES && run?.status !== 0; tries++) {
    run = spawnSync(go, args, { env, encoding: 'utf8', maxBuffer: 64 << 20 })
  }
  if (run.status !== 0) {
    throw new Error(`${title} could not be built: ${run.error?.message ?? run.stderr.slice(-2000)}`)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const build of [buildMinio, buildNats]) {
    try {
      console.log(build())
    } catch (error) {
      console.error(error.message)
      process.exitCode = 1
    }
  }
}
