import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const run = promisify(execFile)

/** Prints the modules that the library loads. */
const PROGRAM = `
import { registerHooks } from 'node:module'
const seen = []
registerHooks({ load: (url, context, next) => (seen.push(url), next(url, context)) })
await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)})
console.log(JSON.stringify(seen))
`
/** What only buckets and key servers need; each start would wait for it. */
const HEAVY = new RegExp(
  '/(minio|fast-xml-parser|@nats-io)/|' +
    '/storage/(s3/s3-(access|store|xml|events)|kes/kes-client|cache|events)|' +
    '^node:(tls|https?|child_process)$',
)

it('nothing of buckets and key servers is loaded before one is named', async () => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', PROGRAM])
  const seen: string[] = JSON.parse(stdout)
  expect(seen.some((url) => url.endsWith('/src/db/store.ts'))).toBe(true)
  expect(seen.filter((url) => HEAVY.test(url))).toEqual([])
})
