import { push } from '../../src/index.ts'

/** Pushes a store in a process of its own; the test kills it. */
const [url, target, endpoint] = process.argv.slice(2)
const { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey } = process.env
if (url === undefined || target === undefined || endpoint === undefined) {
  throw new Error('called with a store, a target and an endpoint')
}
if (accessKey === undefined || secretKey === undefined) throw new Error('called without keys')
const s3 = { endpoint, accessKey, secretKey }
await push({ url, target, s3, retain: { mode: 'COMPLIANCE', forMs: 86_400_000 } })
