// Builds the MinIO server that tests run against, once per version, into .cache/bin/ (which git
// ignores). It is a Go module: the `go` command fetches and compiles it as its own settings say.
//
//   node scripts/build-test-servers.mjs

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The version of MinIO that tests run against. */
export const MINIO_VERSION = 'v0.0.0-20260212201848-7aac2a2c5b7c'

const cache = fileURLToPath(new URL('../.cache', import.meta.url))

/** Where the binary of this very version lies once it is built. */
export const minioPath = join(cache, 'bin', `minio-${MINIO_VERSION}`)

/**
 * Builds MinIO where it is not built yet (2-3 minutes at the first time, says so in one line) and
 * returns its path. Two processes may do so at once: the last one's binary stays.
 *
 * @throws where `go` is missing or the build fails, with the end of what it wrote
 */
export function buildMinio() {
  if (existsSync(minioPath)) return minioPath
  mkdirSync(join(cache, 'bin'), { recursive: true })
  const folder = mkdtempSync(join(cache, 'go-bin-'))
  try {
    install(folder)
    renameSync(join(folder, 'minio'), minioPath)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return minioPath
}

/** Where `go` lies besides on the PATH: where its own archive and distributions put it. */
const GO_PLACES = ['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go']

/** Modules come over a network, which may fail once. */
const TRIES = 2

function install(folder) {
  const env = { ...process.env, HOME: process.env.HOME ?? homedir(), GOBIN: folder }
  const go = GO_PLACES.find((place) => spawnSync(place, ['version'], { env }).status === 0)
  if (go === undefined) {
    throw new Error('MinIO is not built, and its build needs the `go` command on the PATH')
  }
  process.stderr.write(`building MinIO ${MINIO_VERSION} with go: takes 2-3 minutes, once\n`)
  const args = ['install', `github.com/minio/minio@${MINIO_VERSION}`]
  let run
  for (let tries = 0; tries < TRIES && run?.status !== 0; tries++) {
    run = spawnSync(go, args, { env, encoding: 'utf8', maxBuffer: 64 << 20 })
  }
  if (run.status !== 0) {
    throw new Error(`MinIO could not be built: ${run.error?.message ?? run.stderr.slice(-2000)}`)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(buildMinio())
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
