import type { Command, Option } from './commander.ts'
import { globalOptions } from './global-options.ts'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/**
 * A completion script for one shell, made from the whole command tree. Static: completing starts no
 * akidb.
 *
 * @param program the root, with every command's definition loaded
 */
export function completionScript(shell: Shell, program: Command): string {
  const nodes = treeNodes(program, [])
  if (shell === 'bash') return bashScript(nodes)
  if (shell === 'zsh') return zshScript(nodes)
  return fishScript(nodes)
}

interface Node {
  /** Words after `akidb`; none for the root. */
  readonly path: readonly string[]
  readonly commands: readonly { readonly name: string; readonly summary: string }[]
  readonly options: readonly {
    readonly names: readonly string[]
    readonly summary: string
    readonly takesValue: boolean
  }[]
}

const treeNodes = (command: Command, path: readonly string[]): Node[] => {
  const own = path.length === 0 ? [] : command.options
  const node: Node = {
    path,
    commands: command.commands.map((sub) => ({ name: sub.name(), summary: sub.summary() })),
    options: [...own, ...globalOptions()].map(optionNode),
  }
  const nested = command.commands.flatMap((sub) => treeNodes(sub, [...path, sub.name()]))
  return [node, ...nested]
}

const optionNode = (option: Option) => ({
  names: [option.short, option.long].filter((name) => name !== undefined),
  summary: option.description,
  takesValue: option.required || option.optional,
})

const words = (node: Node): string =>
  [...node.commands.map(({ name }) => name), ...optionNames(node), '--help'].join(' ')

const optionNames = (node: Node): string[] =>
  node.options.flatMap(({ names }) => names.filter((name) => name.startsWith('--')))

/** Words of a command's path as one word of a case pattern. */
const key = (path: readonly string[]): string => path.join(' ')

const bashScript = (nodes: readonly Node[]): string => `# bash completion of akidb
_akidb() {
  local current=\${COMP_WORDS[COMP_CWORD]} path='' word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$path\${path:+ }$word" in
${nodes
  .filter(({ path }) => path.length > 0)
  .map(({ path }) => `      ${quote(key(path))}) path=${quote(key(path))} ;;`)
  .join('\n')}
    esac
  done
  local words=''
  case "$path" in
${nodes.map((node) => `    ${quote(key(node.path))}) words=${quote(words(node))} ;;`).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ $current != -* && \${#COMPREPLY[@]} -eq 0 ]]; then
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _akidb akidb
`

const zshScript = (nodes: readonly Node[]): string => `#compdef akidb
# zsh completion of akidb
_akidb() {
  local at='' word i
  local -a found
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
    case "$at\${at:+ }$word" in
${nodes
  .filter(({ path }) => path.length > 0)
  .map(({ path }) => `      ${quote(key(path))}) at=${quote(key(path))} ;;`)
  .join('\n')}
    esac
  done
  case "$at" in
${nodes.map((node) => `    ${quote(key(node.path))}) found=(${zshItems(node)}) ;;`).join('\n')}
  esac
  _describe 'akidb' found
  _files
}
if [ "$funcstack[1]" = '_akidb' ]; then
  _akidb "$@"
else
  compdef _akidb akidb
fi
`

const zshItems = (node: Node): string => {
  const item = (name: string, summary: string): string =>
    quote(`${name.replaceAll(':', '\\:')}:${summary}`)
  return [
    ...node.commands.map(({ name, summary }) => item(name, summary)),
    ...node.options.flatMap(({ names, summary }) => names.map((name) => item(name, summary))),
    item('--help', 'show help'),
  ].join(' ')
}

const fishScript = (nodes: readonly Node[]): string => {
  const lines = [
    '# fish completion of akidb',
    'function __akidb_at',
    "  set -l words (string match -v -- '-*' (commandline -opc)[2..-1])",
    '  set -l wanted $argv',
    '  for i in (seq (count $wanted))',
    '    test "$words[$i]" = "$wanted[$i]"; or return 1',
    '  end',
    'end',
    'function __akidb_exactly',
    "  set -l words (string match -v -- '-*' (commandline -opc)[2..-1])",
    '  test "$words" = "$argv"',
    'end',
  ]
  for (const node of nodes) lines.push(...fishNode(node))
  return `${lines.join('\n')}\n`
}

const fishNode = (node: Node): string[] => {
  const at = key(node.path)
  const exactly = at === '' ? "__akidb_exactly ''" : `__akidb_exactly ${at}`
  const below = at === '' ? '' : ` -n ${quote(`__akidb_at ${at}`)}`
  const commands = node.commands.map(
    ({ name, summary }) =>
      `complete -c akidb -n ${quote(exactly)} -f -a ${name} -d ${quote(summary)}`,
  )
  // Global options are said once, at the root.
  const own = at === '' ? node.options : node.options.slice(0, -globalOptions().length)
  const options = own.map(({ names, summary, takesValue }) => {
    const flags = names.map((name) =>
      name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
    )
    const value = takesValue ? ' -r' : ''
    return `complete -c akidb${below} ${flags.join(' ')}${value} -d ${quote(summary)}`
  })
  return [...commands, ...options]
}

/** A word in single quotes, as all three shells read it. */
const quote = (text: string): string => `'${text.replaceAll('\\', '').replaceAll("'", '’')}'`
