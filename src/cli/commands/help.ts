import { AkidbError } from '../../errors/errors.ts'
import type { App } from '../app.ts'
import { closest } from '../closest.ts'
import type { Command } from '../commander.ts'
import type { LoadTree } from '../define-command.ts'
import { describe } from '../describe.ts'
import { TOPICS } from '../help/topics.ts'

/** `akidb help [topic]`: a topic, or a command's own help. */
export const defineHelp = (command: Command, app: App, loadTree: LoadTree): void => {
  describe(command, {
    summary: 'explain a topic or a command',
    examples: [
      ['akidb help', 'commands and topics'],
      ['akidb help filters', 'a topic'],
      ['akidb help index build', 'a command'],
    ],
    details: `Topics: ${TOPICS.map(({ name }) => name).join(', ')}`,
    exits: [],
  })
  command.argument('[topic...]', 'a topic, or the words of a command')
  command.action((words: string[]) =>
    app.run(command, async () => {
      const topic = words.join(' ')
      const found = TOPICS.find(({ name }) => name === topic)
      const text =
        found === undefined ? await commandHelp(command, words, loadTree) : await found.load()
      return { result: { topic, text }, text }
    }),
  )
}

const commandHelp = async (
  help: Command,
  words: readonly string[],
  loadTree: LoadTree,
): Promise<string> => {
  const program = help.parent ?? help
  await loadTree(program)
  let at = program
  for (const word of words) {
    const next = at.commands.find((command) => command.name() === word)
    if (next === undefined) throw unknownTopic(program, words)
    at = next
  }
  if (at !== program) return at.helpInformation()
  const topics = TOPICS.map(({ name, summary }) => `  ${name.padEnd(12)} ${summary}`)
  return `${at.helpInformation()}\nTopics (akidb help <topic>):\n${topics.join('\n')}\n`
}

const unknownTopic = (program: Command, words: readonly string[]): AkidbError => {
  const known = [...TOPICS.map(({ name }) => name), ...program.commands.map((one) => one.name())]
  const near = closest(words[0] ?? '', known)
  return new AkidbError('USAGE', `no topic or command "${words.join(' ')}"`, {
    hint: `${near === undefined ? '' : `Did you mean ${near}? `}See \`akidb help\`.`,
  })
}
