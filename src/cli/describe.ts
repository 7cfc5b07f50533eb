import type { ErrorCode } from '../errors/exit-codes.ts'
import { EXIT_CODES } from '../errors/exit-codes.ts'
import type { Command, Help } from './commander.ts'

/** What `--help` of a command says beyond its options. */
export interface Description {
  readonly summary: string
  /** [command line, what it does]; shown first. */
  readonly examples: readonly (readonly [string, string])[]
  /** Exit codes beyond 0, 1, 2, 130 and 143; shown last. */
  readonly exits: readonly number[]
  /** Longer text, between the usage and the options. */
  readonly details?: string
}

const descriptions = new WeakMap<Command, Description>()

/** Gives a command its help. Every command has one. */
export function describe(command: Command, description: Description): Command {
  descriptions.set(command, description)
  return command.summary(description.summary).description(description.summary)
}

export const descriptionOf = (command: Command): Description | undefined =>
  descriptions.get(command)

/** What each exit code means, in the words of the contract. */
export const EXIT_MEANINGS: Readonly<Record<number, string>> = {
  0: 'done',
  1: 'a bug, or unclassified',
  2: 'called wrongly, or bad configuration',
  20: 'finished, but some items failed',
  21: 'no such store, collection, record, snapshot or file',
  22: 'somebody else holds it, it exists already, or it has diverged',
  23: 'not allowed',
  24: 'bytes or signatures do not check out',
  25: 'not reachable; a retry may help',
  26: 'does not fit',
  27: 'out of room, or over a limit',
  130: 'interrupted',
  143: 'terminated',
}

/** Error codes that make an exit code, in the order of the table. */
export const errorCodesOf = (exit: number): readonly ErrorCode[] =>
  (Object.keys(EXIT_CODES) as ErrorCode[]).filter((code) => EXIT_CODES[code] === exit)

/** The whole help of one command: examples, usage, arguments, subcommands, options, exit codes. */
export function formatHelp(command: Command, helper: Help): string {
  const description = descriptionOf(command)
  const sections = [
    examplesSection(description),
    `Usage: ${helper.commandUsage(command)}\n\n${command.description()}`,
    description?.details ?? '',
    rows('Arguments', argumentRows(command)),
    ...commandSections(command, helper),
    rows('Options', optionRows(command, helper)),
    command.parent === null ? '' : 'Global options: akidb help options',
    exitsSection(description),
  ]
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`
}

const examplesSection = (description: Description | undefined): string => {
  if (description === undefined || description.examples.length === 0) return ''
  const lines = description.examples.map(([line, what]) => `  ${line}\n      ${what}`)
  return `Examples:\n${lines.join('\n')}`
}

const exitsSection = (description: Description | undefined): string => {
  const codes = new Set([0, 1, 2, ...(description?.exits ?? []), 130, 143])
  const lines = [...codes].sort((a, b) => a - b).map((code) => `  ${exitLine(code)}`)
  return `Exit codes:\n${lines.join('\n')}`
}

const exitLine = (code: number): string => `${String(code).padEnd(4)} ${EXIT_MEANINGS[code] ?? ''}`

const argumentRows = (command: Command): [string, string][] =>
  command.registeredArguments.map((argument) => [
    argument.variadic ? `${argument.name()}…` : argument.name(),
    argument.description,
  ])

/** Subcommands under the headings of their groups, in the order of their first member. */
const commandSections = (command: Command, helper: Help): string[] => {
  const groups = new Map<string, [string, string][]>()
  for (const sub of helper.visibleCommands(command)) {
    const heading = sub.helpGroup() || 'Commands'
    groups.set(heading, [...(groups.get(heading) ?? []), [sub.name(), sub.summary()]])
  }
  return [...groups].map(([heading, entries]) => rows(heading, entries))
}

const optionRows = (command: Command, helper: Help): [string, string][] =>
  helper
    .visibleOptions(command)
    .filter((option) => command.parent !== null || /--(version|help)$/.test(option.flags))
    .map((option) => [option.flags, option.description])

/** A titled list of two columns; long left sides get a line of their own. */
export function rows(title: string, entries: readonly (readonly [string, string])[]): string {
  const shown = entries.filter(([left]) => left !== '')
  if (shown.length === 0) return ''
  const width = Math.min(30, Math.max(...shown.map(([left]) => left.length)))
  const lines = shown.map(([left, right]) => {
    const gap =
      left.length > width ? `\n${' '.repeat(width + 4)}` : ' '.repeat(width - left.length + 2)
    return right === '' ? `  ${left}` : `  ${left}${gap}${right}`
  })
  return `${title}:\n${lines.join('\n')}`
}
