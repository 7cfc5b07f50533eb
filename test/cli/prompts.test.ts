import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { Io } from '../../src/cli/io.ts'
import { createAsk } from '../../src/cli/prompts.ts'

/** A terminal of which only the streams are real. */
const terminal = () => {
  const stdin = Object.assign(new PassThrough(), { isTTY: true })
  const stderr = Object.assign(new PassThrough(), { isTTY: true })
  return { io: { stdin, stderr } as unknown as Io, stdin }
}

describe('a question', () => {
  it('is answered by what is typed', async () => {
    const { io, stdin } = terminal()
    const answer = createAsk(io, false, new AbortController().signal).text('Name?', '--name')
    setImmediate(() => stdin.write('docs\r'))
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
    const { io, stdin } = terminal()
    const answer = createAsk(io, false, new AbortController().signal).text('Name?', '--name')
    // Ctrl-D on an empty line.
    setTimeout(() => stdin.write('\u0004'), 50)
    await expect(answer).rejects.toMatchObject({ code: 'INTERRUPTED' })
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
