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

/** The one place that asks: the guard for missing terminals stands here and nowhere else. */
export function createAsk(io: Io, noInput: boolean): Ask {
  const possible = io.stdin.isTTY === true && io.stderr.isTTY === true && !noInput
  const guarded = async <T>(
    flag: string,
    question: (library: Library) => Promise<T>,
  ): Promise<T> => {
    if (!possible) {
      throw new AkidbError('USAGE', `${flag} is required, because nobody can be asked here`, {
        hint: noInput ? '--no-input forbids questions.' : 'stdin and stderr are no terminals.',
        details: { flag },
      })
    }
    // Loaded only when there is somebody to ask.
    const library = await import('@inquirer/prompts')
    try {
      return await question(library)
    } catch (error) {
      // Ctrl-C and the end of the input look alike to the library.
      const gone = error instanceof Error && error.name === 'ExitPromptError'
      throw gone ? new AkidbError('INTERRUPTED', 'interrupted at a question') : error
    }
  }
  const streams = () => ({
    input: io.stdin as unknown as NodeJS.ReadStream,
    output: io.stderr as unknown as NodeJS.WriteStream,
  })
  const clean = (message: string) => ({ message: escapeText(message) })
  return {
    possible,
    confirm: (message, flag) =>
      guarded(flag, ({ confirm }) => confirm({ ...clean(message), default: false }, streams())),
    text: (message, flag) => guarded(flag, ({ input }) => input(clean(message), streams())),
    secret: (message, flag) =>
      guarded(flag, ({ password }) => password({ ...clean(message), mask: false }, streams())),
  }
}

type Library = typeof import('@inquirer/prompts')
