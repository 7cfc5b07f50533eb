import { akidbVersion } from '../storage/package-version.ts'

const argv = process.argv.slice(2)

if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
  // The shortest way: no command tree is loaded to print one line.
  process.stdout.on('error', () => undefined)
  process.stdout.write(`${akidbVersion()}\n`)
} else {
  const { runCli } = await import('./run-cli.ts')
  const { processIo } = await import('./io.ts')
  const { loadEngine } = await import('./load-engine.ts')
  process.exitCode = await runCli(argv, processIo(), loadEngine)
}
