import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { Io } from '../../src/cli/io.ts'
import { createAsk } from '../../src/cli/prompts.ts'

/** A terminal of which only the streams are real. */
const terminal = () => {
  const stdin = Object.assign(new PassThrough(), { isTTY: true })
  const stderr = Object.assign(new PassThrough(), { isTTY: true })
  // Keys that are pressed before the question stands there are ignored.
  const type = async (keys: string) => {
    await once(stderr, 'data')
    setImmediate(() => stdin.write(keys))
  }
  return { io: { stdin, stderr } as unknown as Io, type }
}

describe('a question', () => {
  it('is answered by what is typed', async () => {
    const { io, type } = terminal()
    const answer = createAsk(io, false, new AbortController().signal).text('Name?', '--name')
    await type('docs\r')
    expect(await answer).toBe('docs')
  })

  it('ends with INTERRUPTED at a signal', async () => {
    const { io } = terminal()
    const controller = new AbortController()
    const answer = createAsk(io, false, controller.signal).confirm('Go on?', '--yes')
    setImmediate(() => controller.abort())
    await expect(answer).rejects.toMatchObject({ code: 'INTERRUPTED' })
  })

  it('ends with INTERRUPTED where the input ends', async () => {
    const { io, type } = terminal()
    const answer = createAsk(io, false, new AbortController().signal).text('Name?', '--name')
    const refused = expect(answer).rejects.toMatchObject({ code: 'INTERRUPTED' })
    // Ctrl-D on an empty line.
    await type('\u0004')
    await refused
  })

  it('is USAGE naming the option where nobody can be asked', async () => {
    const { io } = terminal()
    const ask = createAsk(io, true, new AbortController().signal)
    expect(ask.possible).toBe(false)
    await expect(ask.confirm('Go on?', '--yes')).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('--yes'),
    })
  })
})
