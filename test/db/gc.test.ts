import { expect, it } from 'vitest'
import { collectGarbage } from '../../src/db/gc.ts'
import { createTestMachine } from '../support/memory-environment.ts'
import { idsOf, ingestRows, testRows } from '../support/records.ts'

it('smoke', async () => {
  const machine = createTestMachine()
  const { environment, core } = machine.start()
  await ingestRows(core('docs'), testRows('a', 5), { textColumns: ['text'] })
  await ingestRows(core('docs'), testRows('a', 3))
  expect(await idsOf(core('docs'))).toHaveLength(5)
  const r = await collectGarbage(environment, { keepMs: 0 })
  console.log(r)
  expect(await idsOf(core('docs'))).toHaveLength(5)
})
