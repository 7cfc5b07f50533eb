import { randomBytes } from 'node:crypto'
import { writeSync } from 'node:fs'
import { sha256Hex } from '../../src/core/digest.ts'
import { openFsStore } from '../../src/storage/fs-store.ts'

/**
 * Writes to the store argv[2] without end, several objects at once: small and staged ones named by
 * their digest, and a counter that is replaced. Says the key of each, and the counter, when it is
 * durable.
 */
const store = openFsStore(process.argv[2] ?? '', { mode: 'write' })
const say = (line: string): void => void writeSync(1, `${line}\n`)

async function putBlobs(bytes: number): Promise<never> {
  for (;;) {
    const body = new Uint8Array(randomBytes(bytes))
    const key = `blobs/${sha256Hex(body).slice(0, 2)}/${sha256Hex(body)}`
    await store.put(key, body)
    say(key)
  }
}

async function stageBlobs(bytes: number): Promise<never> {
  for (;;) {
    const body = new Uint8Array(randomBytes(bytes))
    const staged = await store.stage()
    for (let at = 0; at < bytes; at += 100_000) await staged.write(body.subarray(at, at + 100_000))
    const key = `blobs/${sha256Hex(body).slice(0, 2)}/${sha256Hex(body)}`
    await staged.commit(key)
    say(key)
  }
}

async function count(): Promise<never> {
  for (let n = await last(); ; n++) {
    const body = new TextEncoder().encode(`${n} ${'x'.repeat(5000)}`)
    await store.put('counter', body, { mode: 'replace' })
    say(`counter ${n}`)
  }
}

async function last(): Promise<number> {
  if ((await store.head('counter')) === undefined) return 0
  return Number.parseInt(new TextDecoder().decode(await store.get('counter')), 10) + 1
}

await startCounter()
await Promise.all([putBlobs(3_000), putBlobs(0x20000), stageBlobs(3_000_000), count()])

/** The counter exists before anything is confirmed. */
async function startCounter(): Promise<void> {
  await store.put('counter', new TextEncoder().encode(`0 ${'x'.repeat(5000)}`))
}
