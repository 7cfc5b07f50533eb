import { existsSync, writeSync } from 'node:fs'

const script = new URL('../../scripts/build-test-servers.mjs', import.meta.url).href

interface Servers {
  buildMinio(): string
  buildNats(): string
  readonly minioPath: string
  readonly natsPath: string
}

/**
 * Runs once before all tests: builds MinIO and nats-server where they are absent and can be built.
 * Where one cannot, one line says why and how; its tests then skip, or fail where CI=true.
 */
export default async function setup(): Promise<void> {
  const { buildMinio, buildNats, minioPath, natsPath } = (await import(script)) as Servers
  buildWhereAbsent(minioPath, buildMinio)
  buildWhereAbsent(natsPath, buildNats)
}

function buildWhereAbsent(path: string, build: () => string): void {
  if (existsSync(path)) return
  try {
    build()
  } catch (error) {
    const { message } = error as Error
    const outcome = process.env.CI === 'true' ? 'fail' : 'are skipped'
    const hint = 'node scripts/build-test-servers.mjs builds it'
    writeSync(2, `${message}: tests that need it ${outcome} (${hint})\n`)
  }
}
