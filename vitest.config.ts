import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// The CI script reads its counts from this report; a plain `npm test` writes none.
const report = process.env.AKIDB_TEST_REPORT

// Worker threads and child processes start with what others compiled: a tenth of the suite's time
// went into stripping the types of the same sources in each of them.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, '.cache', 'compiled')

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/build-servers.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    ...(report === undefined
      ? {}
      : { reporters: ['default', 'json'], outputFile: { json: report } }),
  },
})
