import { AkidbError } from '../errors/errors.ts'
import { escapeText } from './escape.ts'
import type { Io } from './io.ts'

/**
 * Questions to a person. Every question names the option that answers it, for when there is no
 * person.
 */
export interface Ask {
  /** Whether a person can answer: stdin and stderr are terminals and `--no-input` is absent. */
  readonly possible: boolean
  confirm(message: string, flag: string): Promise<boolean>
  text(message: string, flag: string): Promise<string>
  /** Typed without being shown. */
  secret(message: string, flag: string): Promise<string>
}

/**
 * The one place that asks: the guard for missing terminals stands here and nowhere else.
 *
 * @param signal ends a question that waits
 */
export function createAsk(io: Io, noInput: boolean, signal: AbortSignal): Ask {
  const possible = io.stdin.isTTY === true && io.stderr.isTTY === true && !noInput
  const guarded = async <T>(
    flag: string,
    question: (library: Library, signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    if (!possible) {
      throw new AkidbError('USAGE', `${flag} is required, because nobody can be asked here`, {
        hint: noInput ? '--no-input forbids questions.' : 'stdin and stderr are no terminals.',
        details: { flag },
      })
    }
    // Loaded only when there is somebody to ask.
    const library = await import('@inquirer/prompts')
    const ended = new AbortController()
    // Ctrl-D ends the library's reading without ending its question.
    const onPause = () => setImmediate(() => ended.abort())
    io.stdin.once?.('pause', onPause)
    try {
      return await question(library, AbortSignal.any([signal, ended.signal]))
    } catch (error) {
      // Ctrl-C as a key, as a signal, and the end of the input.
      const gone = error instanceof Error && /^(Exit|Abort)PromptError$/.test(error.name)
      throw gone ? new AkidbError('INTERRUPTED', 'interrupted at a question') : error
    } finally {
      io.stdin.off?.('pause', onPause)
    }
  }
  const streams = (until: AbortSignal) => ({
    input: io.stdin as unknown as NodeJS.ReadStream,
    output: io.stderr as unknown as NodeJS.WriteStream,
    signal: until,
  })
  const clean = (message: string) => ({ message: escapeText(message) })
  return {
    possible,
    confirm: (message, flag) =>
      guarded(flag, ({ confirm }, until) =>
        confirm({ ...clean(message), default: false }, streams(until)),
      ),
    text: (message, flag) =>
      guarded(flag, ({ input }, until) => input(clean(message), streams(until))),
    secret: (message, flag) =>
      guarded(flag, ({ password }, until) =>
        password({ ...clean(message), mask: false }, streams(until)),
      ),
  }
}

type Library = typeof import('@inquirer/prompts')
