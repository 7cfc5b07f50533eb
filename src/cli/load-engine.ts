import { AkidbError } from '../errors/errors.ts'
import type { Engine } from './engine.ts'

/** Loads the library. Called by the first command that needs it, never at the start. */
export async function loadEngine(): Promise<Engine> {
  throw new AkidbError('INTERNAL', 'the library is not wired to the command line')
}
