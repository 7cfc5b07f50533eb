import type { AkidbError } from '../errors/errors.ts'
import type { Command } from './commander.ts'
import { type Context, createContext } from './context.ts'
import type { Engine } from './engine.ts'
import { escapeJson, escapeText } from './escape.ts'
import { jsonDocument } from './json-document.ts'
import type { Session } from './session.ts'
import { resolveSettings } from './settings.ts'

/** What a command gives back: the JSON result, and how a person sees it. */
export interface Outcome {
  /** Members of the JSON document, without `type` and `version`. */
  readonly result: object
  /** For people; data in it is escaped already where it could break a line. */
  readonly text: string
  /** Work, not data: prints nothing under -q when all went well. */
  readonly work?: boolean
  /** stdout carries the command's bytes (`-o -`), so the result goes to stderr. */
  readonly toStderr?: boolean
  /** A signal is the regular way to end it (`serve`). */
  readonly graceful?: boolean
  /** Finished, yet not well: reported after the result, and decides the exit code. */
  readonly failure?: AkidbError | undefined
}

/** What every command gets. */
export interface App {
  readonly session: Session
  readonly loadEngine: () => Promise<Engine>
  /**
   * Runs one command: settles the configuration, calls `work`, prints its outcome. A command that
   * printed by itself (a stream) returns nothing. Failures are thrown on, for the one reporter in
   * run-cli.ts.
   */
  run(command: Command, work: (context: Context) => Promise<Outcome | undefined>): Promise<void>
}

/** Takes long, and a search beside it must not. */
const BULK_WORK: ReadonlySet<string> = new Set([
  'ingest',
  'import',
  'export',
  'compact',
  'index build',
  'gc',
  'check',
  'repair',
])

/** `index build` → `index.build`. */
export function commandPath(command: Command): string[] {
  const names: string[] = []
  for (let at: Command | null = command; at?.parent; at = at.parent) names.unshift(at.name())
  return names
}

export function createApp(session: Session, loadEngine: () => Promise<Engine>): App {
  return {
    session,
    loadEngine,
    async run(command, work) {
      const settings = await resolveSettings(session.io, command.optsWithGlobals())
      const path = commandPath(command)
      session.configure(settings, path)
      if (BULK_WORK.has(path.join(' '))) session.io.lowerPriority()
      const isDry = command.opts().dryRun === true
      const context = createContext({ session, settings, loadEngine, isDry })
      const outcome = await work(context)
      // An interrupted command may come to a regular end; it is interrupted all the same.
      if (!session.out.closed && outcome?.graceful !== true) session.signal.throwIfAborted()
      if (outcome === undefined || session.out.closed) return
      await print(session, outcome)
      if (outcome.failure !== undefined) throw outcome.failure
    },
  }
}

const print = async (session: Session, outcome: Outcome): Promise<void> => {
  const target = outcome.toStderr === true ? session.err : session.out
  if (session.json) {
    const document = jsonDocument(session.path.join('.'), outcome.result)
    return target.write(target.isTerminal ? escapeJson(document) : document)
  }
  if (session.quiet && outcome.work === true && outcome.failure === undefined) return
  if (outcome.text === '') return
  const text = outcome.text.endsWith('\n') ? outcome.text : `${outcome.text}\n`
  await target.write(target.isTerminal && !session.colour ? escapeText(text) : text)
}
