import { AkidbError } from '../../src/errors/errors.ts'
import { openFsStore } from '../../src/storage/fs-store.ts'

/**
 * Writes to the store argv[2] until its stdin ends: stages an object and waits; then writes 4 MiB
 * in three ways and says the code of each failure, and how long the appended object is then.
 */
const store = openFsStore(process.argv[2] ?? '', { mode: 'write' })
const body = new Uint8Array(4 * 1024 * 1024)
const staged = await store.stage()
await staged.write(body.subarray(0, 1000))
process.stdout.write('staged ')
process.stdin.resume()
await new Promise((resolve) => process.stdin.once('end', resolve))

async function codeOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work()
    return 'ok'
  } catch (error) {
    return error instanceof AkidbError ? error.code : String(error)
  }
}

const stageCode = await codeOf(async () => {
  try {
    await staged.write(body)
    await staged.commit('staged')
  } finally {
    await staged.abort()
  }
})
const putCode = await codeOf(() => store.put('put', body))
await store.append('log', new Uint8Array(3), 0)
const appendCode = await codeOf(() => store.append('log', body, 3))
const bytes = (await store.head('log'))?.bytes
process.stdout.write(`${stageCode} put ${putCode} append ${appendCode} ${bytes}\n`)
