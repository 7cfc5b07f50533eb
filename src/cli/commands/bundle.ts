import type {
  BundleCheckRequest,
  BundleInspectResult,
  BundleVerifyResult,
  NamedSigner,
} from '../../index.ts'
import type { App } from '../app.ts'
import { bundleInput } from '../bundle-input.ts'
import type { Command } from '../commander.ts'
import { type Context, keysStore } from '../context.ts'
import { describe } from '../describe.ts'
import { escapeLine } from '../escape.ts'
import { humanBytes, humanDuration, plural } from '../human.ts'
import { kesOptions, namedKes } from '../kes-options.ts'
import { repeated } from '../option-kinds.ts'
import { problemFailure } from '../problems.ts'
import { fields } from '../table.ts'

interface BundleFlags {
  readonly key?: readonly string[]
}

/** `akidb bundle inspect|verify`: needs no store. */
export const defineBundle = (command: Command, app: App): void => {
  describe(command, {
    summary: 'inspect and verify bundles',
    examples: [
      ['akidb bundle inspect docs.akipkg', 'read the signed head'],
      ['akidb bundle verify docs.akipkg --key site.pem', 'check every byte'],
    ],
    exits: [21, 23, 24, 25, 26],
  })
  defineInspect(command.command('inspect'), app)
  defineVerify(command.command('verify'), app)
}

const defineInspect = (command: Command, app: App): void => {
  describe(command, {
    summary: 'show what a bundle says it holds',
    examples: [['akidb bundle inspect docs.akipkg', 'states, sizes, signers; reads only the head']],
    details: 'Checks the signature, not the contents: see akidb bundle verify.',
    exits: [21, 23, 24, 25, 26],
  })
  addArguments(command)
  command.action((files: string[], flags: BundleFlags) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      for (const file of files) {
        const result = await engine.inspectBundle(requestOf(context, file, flags))
        await context.item(result, inspectText(file, result))
      }
      return undefined
    }),
  )
}

const defineVerify = (command: Command, app: App): void => {
  describe(command, {
    summary: 'check every byte and signature of a bundle',
    examples: [
      ['akidb bundle verify docs.akipkg', 'with the keys that the store trusts'],
      ['akidb bundle verify docs.akipkg --key site.pem', 'with a public key; needs no store'],
    ],
    details: 'A signer that is not trusted is exit 24, never a warning.',
    exits: [21, 23, 24, 25, 26],
  })
  addArguments(command)
  command.action((files: string[], flags: BundleFlags) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const bad: BundleVerifyResult[] = []
      for (const file of files) {
        const result = await context.progress(`verify ${file}`, (onProgress) =>
          engine.verifyBundle({ ...requestOf(context, file, flags), onProgress }),
        )
        if (!result.ok) bad.push(result)
        if (!result.ok || !context.session.quiet || context.session.json) {
          await context.item({ path: file, ...result }, verifyText(file, result))
        }
      }
      const problems = bad.flatMap((result) => result.problems)
      if (bad.length > 0)
        throw problemFailure(files.length === 1 ? `"${files[0]}"` : 'a bundle', problems)
      return undefined
    }),
  )
}

const addArguments = (command: Command): void => {
  command.argument('<files...>', 'bundles, or - for stdin')
  command.addOption(repeated('--key <file>', 'trust the public key in this PEM file; repeats'))
  kesOptions(command)
}

const requestOf = (context: Context, file: string, flags: BundleFlags): BundleCheckRequest => {
  return {
    input: bundleInput(context.session.io, file),
    keyFiles: flags.key ?? [],
    store: keysStore(context),
    signal: context.signal,
    ...namedKes(context),
  }
}

const signerRows = (signers: readonly NamedSigner[]): [string, string][] =>
  signers.map(({ keyId, name, trusted }) => [
    'signed by',
    `${keyId}${name === null ? '' : ` (${name})`}${trusted ? '' : ', NOT TRUSTED'}`,
  ])

const stateRows = (roots: Readonly<Record<string, string>>, word: string): [string, string][] =>
  Object.entries(roots).map(([name, root]) => [`${word} of ${name}`, root])

const inspectText = (file: string, result: BundleInspectResult): string => {
  const { totals, previousHead, to, minimumReader } = result
  return fields([
    ['bundle', file],
    ['kind', result.kind],
    ['size', humanBytes(result.bytes)],
    ['head', result.headDigest],
    ['sequence', result.sequence],
    ['after head', previousHead],
    ['for', to],
    ['needs akidb', minimumReader],
    ...signerRows(result.signers),
    ['encrypted under', result.kmsKey],
    ...stateRows(result.stateRoots, 'state'),
    ...stateRows(result.baseStateRoots ?? {}, 'base'),
    ...result.collections.map(({ name, version, rows, committedAt }): [string, string] => [
      name,
      `${plural(rows, 'record')}, version ${version} of ${committedAt}`,
    ]),
    ['blobs', `${totals.carriedBlobs} of ${totals.blobs} carried`],
    ...result.problems.map(({ code, message }): [string, string] => [code, message]),
  ])
}

const verifyText = (file: string, result: BundleVerifyResult): string => {
  const verdict = result.ok ? 'ok' : plural(result.problems.length, 'problem')
  const head = `${escapeLine(file)}: ${verdict}`
  const lines = result.problems.map(
    ({ code, member, offset, message }) =>
      `  ${code}  ${escapeLine(member)} at byte ${offset}: ${escapeLine(message)}`,
  )
  const facts = fields([...signerRows(result.signers), ...stateRows(result.stateRoots, 'state')])
  const size = `${humanBytes(result.bytes)} in ${humanDuration(result.elapsedMs)}`
  return [`${head}, ${size}`, ...lines, ...facts.split('\n').map((line) => `  ${line}`)].join('\n')
}
