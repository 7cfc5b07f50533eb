import { beforeEach, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import type { Environment } from '../../src/db/states/environment.ts'
import { checkClaim, sweepNameClaims, withNameClaim } from '../../src/db/states/name-claim.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { createTestMachine, type TestMachine } from '../support/memory-environment.ts'

let machine: TestMachine
let environment: Environment
beforeEach(() => {
  machine = createTestMachine({ isShared: true })
  environment = machine.start().environment
})

/** Whose claims lie there. */
const claims = async (): Promise<string[]> =>
  (await Array.fromAsync(machine.store.list('names/'))).map(({ key }) => key.split('/')[2] ?? '')

const put = (name: string) =>
  machine.store.put(`names/${name.toLowerCase()}/${name}/${'0'.repeat(16)}`, Buffer.from('{}'))

const claimed = (name: string, work: () => Promise<unknown> = async () => undefined) =>
  withNameClaim(environment, name, work).then(
    () => 'done',
    ({ code, message }) => code ?? message,
  )

describe('a claim of a name', () => {
  it('stays where what it is for may still come, and goes otherwise', async () => {
    expect(await claimed('docs', async () => expect(await claims()).toEqual(['docs']))).toBe('done')
    expect(await claims()).toEqual([])
    const failing = (error: Error) => claimed('docs', () => Promise.reject(error))
    expect(await failing(new AkidbError('EXISTS', 'it is there'))).toBe('EXISTS')
    expect(await claims()).toEqual([])
    const unknown = [
      new AkidbError('UNREACHABLE', 'no answer'),
      new AkidbError('INTERNAL', 'a bug'),
      new Error('killed'),
    ]
    for (const [i, error] of unknown.entries()) {
      await failing(error)
      expect(await claims()).toHaveLength(i + 1)
    }
  })

  it('waits with its own in place where the other name is the greater one', async () => {
    await put('docs')
    let most = 0
    const sleep = environment.clock.sleep
    environment = {
      ...environment,
      clock: {
        nowMs: environment.clock.nowMs,
        sleep: async (ms) => {
          most = Math.max(most, (await claims()).length)
          await sleep(ms)
        },
      },
    }
    expect(await claimed('Docs')).toBe('LOCKED')
    expect(most).toBe(2)
    expect(await claims()).toEqual(['docs'])
    await machine.store.delete(`names/docs/docs/${'0'.repeat(16)}`)
    // It takes its own back where its name is the greater one.
    await put('DOCS')
    most = 0
    expect(await claimed('Docs')).toBe('LOCKED')
    expect(most).toBe(1)
    expect(await claims()).toEqual(['DOCS'])
  })

  it('holds for as long as its collection may be sent, and for no longer', async () => {
    const beforeMs = environment.clock.nowMs()
    const limit = beforeMs + limits.commitLifeMs
    await withNameClaim(environment, 'docs', async (claim) => {
      expect(Math.abs((claim.notAfterMs ?? 0) - limit)).toBeLessThan(100)
      checkClaim(environment, claim)
      machine.clock.advance(limits.commitLifeMs + 100)
      expect(() => checkClaim(environment, claim)).toThrow(/stood still/)
    })
    expect(limits.commitLifeMs).toBeLessThan(limits.nameClaimLifeMs)
    await put('docs')
    machine.clock.advance(limits.nameClaimLifeMs - 1_000)
    await sweepNameClaims({ ...environment, isShared: false })
    await sweepNameClaims(environment)
    expect(await claims()).toEqual(['docs'])
    machine.clock.advance(2_000)
    expect(await claimed('Docs')).toBe('done')
    await sweepNameClaims({ ...environment, isShared: false })
    expect(await claims()).toEqual(['docs'])
    await sweepNameClaims(environment)
    expect(await claims()).toEqual([])
  })

  it('is none of another name, nor needed in a folder', async () => {
    await put('docs2')
    expect(await claimed('docs')).toBe('done')
    environment = { ...environment, isShared: false }
    const none = async () => expect(await claims()).toEqual(['docs2'])
    expect(await claimed('docs', none)).toBe('done')
  })
})
