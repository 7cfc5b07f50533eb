import { enableCompileCache } from 'node:module'
import { dirname, join } from 'node:path'
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
  const { runCli } = await import('./run-cli.ts')
  const { processIo } = await import('./io.ts')
  const { loadEngine } = await import('./load-engine.ts')
  process.exitCode = await runCli(argv, processIo(), loadEngine)
}
