import { existsSync, writeSync } from 'node:fs'

const script = new URL('../../scripts/build-test-servers.mjs', import.meta.url).href

/**
 * Runs once before all tests: builds MinIO where it is absent and can be built. Where it cannot,
 * one line says why and how; `describeMinio` then skips, or fails where CI=true.
 */
export default async function setup(): Promise<void> {
  const { buildMinio, minioPath } = (await import(script)) as {
    buildMinio(): string
    minioPath: string
  }
  if (existsSync(minioPath)) return
  try {
    buildMinio()
  } catch (error) {
    const { message } = error as Error
    const outcome = process.env.CI === 'true' ? 'fail' : 'are skipped'
    const hint = 'node scripts/build-test-servers.mjs builds it'
    writeSync(2, `${message}: tests that need it ${outcome} (${hint})\n`)
  }
}
