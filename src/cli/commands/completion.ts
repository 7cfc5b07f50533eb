import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { completionScript, SHELLS } from '../completion.ts'
import type { LoadTree } from '../define-command.ts'
import { describe } from '../describe.ts'
import { parseChoice } from '../values.ts'

/** `akidb completion`: a static script, made from the command tree. */
export const defineCompletion = (command: Command, app: App, loadTree: LoadTree): void => {
  describe(command, {
    summary: 'print a completion script',
    examples: [
      ['akidb completion bash > /etc/bash_completion.d/akidb', 'for everybody'],
      ['source <(akidb completion zsh)', 'for this shell'],
      ['akidb completion fish > ~/.config/fish/completions/akidb.fish', 'for fish'],
    ],
    exits: [],
  })
  command.argument('<shell>', SHELLS.join(', '))
  command.action((shell: string) =>
    app.run(command, async () => {
      const chosen = parseChoice(shell, '<shell>', SHELLS)
      const program = command.parent ?? command
      await loadTree(program)
      const script = completionScript(chosen, program)
      return { result: { shell: chosen, script }, text: script }
    }),
  )
}
