import { randomInt } from 'node:crypto'
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { initStore } from '../../src/db/open/init.ts'
import { History } from '../db/model/history.ts'
import { QUESTIONS } from '../db/model/questions.ts'
import { randomOf } from '../search/random.ts'
import { tempFolder } from '../support/temp-store.ts'
import { httpCollection } from './http-collection.ts'
import { appOn } from './support.ts'

/** Histories of a normal run; AKIDB_TEST_HISTORIES asks for more, AKIDB_TEST_SEED replays one. */
const HISTORIES = Number(process.env.AKIDB_TEST_HISTORIES ?? 1)
const STEPS = 12
const QUESTIONS_A_STEP = 6
/** Requests are drawn from so many seeds, so that the same come again after every change. */
const REQUESTS = 9
const given = process.env.AKIDB_TEST_SEED

it('answers over HTTP as a map of records would, whatever was asked before', async () => {
  const first = given === undefined ? randomInt(2 ** 31) : Number(given)
  writeSync(2, `served histories: AKIDB_TEST_SEED=${first}\n`)
  const histories = given === undefined ? HISTORIES : 1
  for (let seed = first; seed < first + histories; seed++) await run(seed)
}, 1_200_000)

async function run(seed: number): Promise<void> {
  const url = join(await tempFolder(), 'store')
  await initStore({ url })
  const history = new History(seed, url)
  await history.start(false)
  try {
    for (let step = 0; step < STEPS; step++) {
      await history.step()
      const docs = httpCollection(appOn(history.store).fetch, history.docs)
      for (let i = 0; i < QUESTIONS_A_STEP; i++) {
        const { random, past } = history
        const name = random.pick(Object.keys(QUESTIONS))
        const old = past.length > 0 && random.whole(0, 4) === 0 ? random.pick(past) : undefined
        history.steps.push(`? ${name}${old === undefined ? '' : ` of ${old.name.slice(0, 8)}`}`)
        const repeated = { random: { value: randomOf(random.whole(1, REQUESTS)) } }
        const asker = Object.create(history, repeated) as History
        const state = old === undefined ? {} : { asOf: old.name }
        await QUESTIONS[name]?.(asker, docs, old?.model ?? history.model, state)
      }
    }
  } catch (error) {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    expect.fail(`AKIDB_TEST_SEED=${seed}: ${history.steps.join('; ')}\n${reason}`)
  } finally {
    await history.close()
  }
}
