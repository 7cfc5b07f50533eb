import { createInterface } from 'node:readline'
import { Attacker, retention } from './attacker.ts'
import { createBucket, startMinio } from './minio.ts'

/**
 * A MinIO server for scripts, with a bucket that locks and one that does not, until stdin ends. The
 * first line says how to reach it, as shell assignments. Each line of stdin is then one act of an
 * attacker with the root account, and is answered by one line: `done …`, or `refused` and why.
 */
const [address = ''] = process.argv.slice(2)
const server = await startMinio()
await createBucket(server, 'evidence', { objectLock: true })
await createBucket(server, 'plain', { objectLock: false })
const attacker = new Attacker(server, { url: address })
const tomorrow = (): Date => new Date(Date.now() + 86_400_000)

/** The n-th key, from 0, that holds a text. */
async function keyWith(text: string, n = '0'): Promise<string> {
  const key = (await attacker.keys()).filter((each) => each.includes(text))[Number(n)]
  if (key === undefined) throw new Error(`there is no ${text}`)
  return key
}

const acts: Readonly<Record<string, (key: string, version: string) => Promise<unknown>>> = {
  hide: (key) => attacker.hide(key),
  overwrite: (key) => attacker.overwrite(key, Buffer.from('forged')),
  backdate: (key) => attacker.backdate(key, Buffer.from('forged')),
  delete: (key, version) => attacker.destroy(key, version),
  shorten: (key, version) => attacker.retain(key, version, retention('GOVERNANCE', tomorrow())),
  unlock: (key, version) => attacker.retain(key, version, ''),
  release: (key, version) => attacker.release(key, version),
}

async function swap(text: string): Promise<string> {
  const [one, other] = [await keyWith(text, '0'), await keyWith(text, '1')]
  const [first, second] = [await attacker.read(one), await attacker.read(other)]
  await attacker.overwrite(one, second)
  await attacker.overwrite(other, first)
  return `${one} ${other}`
}

async function answer(line: string): Promise<string> {
  const [name = '', text = '', n] = line.split(' ')
  try {
    if (name === 'swap') return `done ${await swap(text)}`
    const key = await keyWith(text, n)
    const act = acts[name]
    if (act === undefined) throw new Error(`there is no act "${name}"`)
    await act(key, await attacker.versionOf(key))
    return `done ${key}`
  } catch (error) {
    return `refused ${(error as Error).message}`
  }
}

const say = (line: string): unknown => process.stdout.write(`${line.replaceAll('\n', ' ')}\n`)
say(
  `export AKIDB_S3_ENDPOINT=${server.url} AWS_ACCESS_KEY_ID=${server.accessKey} ` +
    `AWS_SECRET_ACCESS_KEY=${server.secretKey}`,
)
for await (const line of createInterface({ input: process.stdin })) say(await answer(line))
await server.stop()
