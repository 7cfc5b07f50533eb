import { randomInt } from 'node:crypto'
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { initStore } from '../../src/db/open/init.ts'
import { hasCode } from '../../src/errors/errors.ts'
import { tempFolder } from '../support/temp-store.ts'
import { History } from './model/history.ts'
import { QUESTIONS } from './model/questions.ts'

/** Histories of a normal run; AKIDB_TEST_HISTORIES asks for more, AKIDB_TEST_SEED replays one. */
const HISTORIES = Number(process.env.AKIDB_TEST_HISTORIES ?? 4)
/** One of so many is a large one, of fewer steps: which one depends on the seed alone. */
const LARGE_EVERY = 4
const STEPS = 25
const LARGE_STEPS = 7
/** Who has so much reads large segments from the disk; undefined: who writes is asked. */
const READER_MEMORY_BYTES = [undefined, undefined, undefined, 7 * 2 ** 20, 12 * 2 ** 20]
const given = process.env.AKIDB_TEST_SEED

it('answers as a map of records would, whatever was done before', async () => {
  const first = given === undefined ? randomInt(2 ** 31) : Number(given)
  writeSync(2, `histories: AKIDB_TEST_SEED=${first}\n`)
  const histories = given === undefined ? HISTORIES : 1
  for (let seed = first; seed < first + histories; seed++) await run(seed)
}, 1_200_000)

async function run(seed: number): Promise<void> {
  const url = join(await tempFolder(), 'store')
  await initStore({ url })
  const history = new History(seed, url)
  const isLarge = seed % LARGE_EVERY === 0
  await history.start(isLarge)
  try {
    for (let step = 0; step < (isLarge ? LARGE_STEPS : STEPS); step++) {
      await history.step()
      for (let i = 0; i < 3; i++) await ask(history)
    }
    const store = await history.end()
    const { ok, problems } = await store.check({ readData: true })
    expect(problems).toEqual([])
    expect(ok).toBe(true)
  } catch (error) {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    expect.fail(`AKIDB_TEST_SEED=${seed}: ${history.steps.join('; ')}\n${reason}`)
  } finally {
    await history.close()
  }
}

/** One question by chance, of the state as it is or of an earlier one. */
async function ask(history: History): Promise<void> {
  const { random, past } = history
  const name = random.pick(Object.keys(QUESTIONS))
  const old = past.length > 0 && random.whole(0, 3) === 0 ? random.pick(past) : undefined
  const question = QUESTIONS[name]
  if (question === undefined) return
  const memoryBytes = random.pick(READER_MEMORY_BYTES)
  const by = memoryBytes === undefined ? '' : ` by a reader of ${memoryBytes} bytes`
  history.steps.push(`? ${name}${old === undefined ? '' : ` of ${old.name.slice(0, 8)}`}${by}`)
  const state = old === undefined ? {} : { asOf: old.name }
  const model = old?.model ?? history.model
  if (memoryBytes === undefined) return await question(history, history.docs, model, state)
  await using reader = await history.reader(memoryBytes)
  try {
    await question(history, await reader.collection('docs'), model, state)
  } catch (error) {
    // Too little even for vectors on the disk.
    if (!hasCode(error, 'LIMIT')) throw error
  }
}
