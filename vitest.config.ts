import { join } from 'node:path'
import { configDefaults, defineConfig } from 'vitest/config'

// The CI script reads its counts from this report; a plain `npm test` writes none.
const report = process.env.AKIDB_TEST_REPORT

// Whatever starts finds what others compiled: a tenth of the suite's time went into stripping the
// types of the same sources in each worker thread and child process.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, '.cache', 'compiled')

/** Pure code, whose tests change nothing that lives longer than they: they share a process. */
const PURE = ['core', 'format', 'ingest', 'search', 'trust'].map((name) => `test/${name}/**`)

export default defineConfig({
  test: {
    globalSetup: ['test/support/build-servers.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // New objects have 16 MiB from the start: random cases by the thousand make much that dies soon.
    execArgv: ['--min-semi-space-size=16'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Node imports the sources itself, as it does in the product; a module graph of the runner's
    // own took a third of a second of each file.
    experimental: { viteModuleRunner: false },
    projects: [
      {
        extends: true,
        test: {
          name: 'apart',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...PURE],
        },
      },
      {
        extends: true,
        test: {
          name: 'pure',
          include: PURE.map((folder) => `${folder}/*.test.ts`),
          isolate: false,
        },
      },
    ],
    ...(report === undefined
      ? {}
      : { reporters: ['default', 'json'], outputFile: { json: report } }),
  },
})
