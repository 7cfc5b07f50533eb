// Runs commands and reports time and peak resident memory.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '..')
export const data = join(root, 'bench', '.data')
export const labse = join(root, '..', 'shared', 'data')
export const engine = join(data, 'engine')
export const akidb = join(engine, 'bin', 'akidb')

const POLL_MS = 4

/**
 * Runs a command to its end.
 *
 * Resolves to {ms, rssBytes, stdout, stderr, status}; rssBytes is VmHWM of the process as last
 * seen, polled every 4 ms: the kernel keeps the peak, so only a rise in the last 4 ms can be
 * missed.
 */
export function run(command, args, { allowFailure = false, env = {}, timeoutMs } = {}) {
  return new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, NO_COLOR: '1', AKIDB_PROGRESS: 'none', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(timeoutMs === undefined ? {} : { timeout: timeoutMs, killSignal: 'SIGKILL' }),
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
    child.on('close', (status, signal) => {
      clearInterval(poll)
      const ms = performance.now() - started
      if (status !== 0 && !allowFailure) {
        const late = timeoutMs !== undefined && ms >= timeoutMs
        const how = late ? `more than ${timeoutMs / 1000} s` : `exit ${status ?? signal}`
        reject(new Error(`${command} ${args.join(' ')}: ${how}\n${stderr}${late ? how : ''}`))
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

/** Runs a program of ours in a process of its own; the last line that it prints is JSON. */
export async function contestant(name, ...args) {
  const file = join(root, 'bench', 'contestants', `${name}.mjs`)
  const { stdout } = await run(process.execPath, [file, ...args.map(String)])
  return JSON.parse(stdout.trimEnd().split('\n').at(-1))
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

/** The value that a share of the others does not exceed: 0.5 is the median, 0.99 the p99. */
export function quantile(values, share) {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
}

export const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`
export function ms(value) {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`
  return `${value.toFixed(value < 10 ? 3 : value < 100 ? 1 : 0)} ms`
}
