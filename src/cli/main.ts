import { writeSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { dirname, join } from 'node:path'
import { exitCodeOf } from '../errors/exit-codes.ts'
import { akidbVersion } from '../storage/package-version.ts'

const argv = process.argv.slice(2)
// The build keeps its compiled code beside itself, where nobody can write who cannot change the
// build; where it may not be written Node goes on without.
const folder = import.meta.dirname
const cache = import.meta.filename.endsWith('.js') ? join(dirname(folder), 'cache') : undefined

if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
  // The shortest way: no command tree is loaded to print one line.
  process.stdout.on('error', () => undefined)
  process.stdout.write(`${akidbVersion()}\n`)
} else {
  if (cache !== undefined) enableCompileCache(cache)
  void main()
}

async function main(): Promise<void> {
  let isDone = false
  // A wait for what does not keep the process would end it early and without a word.
  process.once('exit', (code) => {
    if (isDone || code !== 0) return
    process.exitCode = exitCodeOf('INTERNAL')
    writeSync(2, 'akidb: error: the command ended before it was done (INTERNAL, exit 1)\n')
  })
  const { runCli } = await import('./run-cli.ts')
  const { processIo } = await import('./io.ts')
  const { loadEngine } = await import('./load-engine.ts')
  process.exitCode = await runCli(argv, processIo(), loadEngine)
  isDone = true
}
