// Runs commands and reports time and peak resident memory.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '..')
export const data = join(root, 'bench', '.data')
export const labse = join(root, '..', 'shared', 'data')
export const akidb = join(root, 'bin', 'akidb')

const POLL_MS = 4

/**
 * Runs a command to its end.
 *
 * Resolves to {ms, rssBytes, stdout, stderr, status}; rssBytes is VmHWM of the process as last
 * seen, polled every 4 ms: the kernel keeps the peak, so only a rise in the last 4 ms can be
 * missed.
 */
export function run(command, args, { allowFailure = false, env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, NO_COLOR: '1', AKIDB_PROGRESS: 'none', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let rssBytes = 0
    const poll = setInterval(() => {
      rssBytes = Math.max(rssBytes, peakOf(child.pid))
    }, POLL_MS)
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text
    })
    child.on('error', reject)
    child.on('close', (status) => {
      clearInterval(poll)
      const ms = performance.now() - started
      if (status !== 0 && !allowFailure) {
        reject(new Error(`${command} ${args.join(' ')}: exit ${status}\n${stderr}`))
      } else resolve({ ms, rssBytes, stdout, stderr, status: status ?? -1 })
    })
  })
}

function peakOf(pid) {
  try {
    const match = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return match === null ? 0 : Number(match[1]) * 1024
  } catch {
    return 0
  }
}

/** Runs a contestant in a process of its own; it prints one JSON line. */
export async function contestant(name, ...args) {
  const file = join(root, 'bench', 'contestants', `${name}.mjs`)
  const { stdout } = await run(process.execPath, [file, ...args.map(String)])
  return JSON.parse(stdout)
}

/** Median of several runs of an async function that gives a number. */
export async function medianOf(times, measure) {
  const values = []
  for (let i = 0; i < times; i++) values.push(await measure())
  return median(values)
}

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

export const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`
export const ms = (value) => (value < 10 ? `${value.toFixed(3)} ms` : `${value.toFixed(0)} ms`)
