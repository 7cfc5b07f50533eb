import { AkidbError } from '../../errors/errors.ts'
import { type ErrorCode, EXIT_CODES } from '../../errors/exit-codes.ts'
import type { KmsKeyStatus, KmsRequest, KmsStatusResult } from '../../index.ts'
import type { App } from '../app.ts'
import { bundleInput, bundleOutput } from '../bundle-input.ts'
import type { Command } from '../commander.ts'
import type { Context } from '../context.ts'
import { describe } from '../describe.ts'
import { escapeLine } from '../escape.ts'
import { humanBytes, humanDuration, plural } from '../human.ts'
import { kesAccess, kesOptions } from '../kes-options.ts'
import { fields, table } from '../table.ts'

const DETAILS =
  'The key server is MinIO KES. It knows its clients by their certificates: name the files with\n' +
  'the options, or once for all in the configuration (akidb help config).'

const AUDITED = 'Where --store is a store in a folder, its audit log tells of it.'

/** `akidb kms …`: keys at a key server; the store is not needed. */
export const defineKms = (command: Command, app: App): void => {
  describe(command, {
    summary: 'ask a key server (KES), and make keys there',
    examples: [
      ['akidb kms status', 'is it up, and do its keys work?'],
      ['akidb kms create-key site-a', 'make a key'],
      ['akidb kms rewrap a.akipkg --kms-key site-b -o b.akipkg', 'from its key to another'],
    ],
    details: DETAILS,
    exits: [20, 21, 22, 23, 24, 25, 26, 27],
  })
  defineStatus(command.command('status'), app)
  defineCreateKey(command.command('create-key'), app)
  defineRewrap(command.command('rewrap'), app)
}

const defineStatus = (command: Command, app: App): void => {
  describe(command, {
    summary: 'show the state of the key server, and whether its keys work',
    examples: [
      ['akidb kms status --kes-endpoint https://kes.local:7373', 'state, and its keys'],
      ['akidb kms status site-a site-b', 'only these keys; one that is absent is exit 21'],
    ],
    details:
      'A key works if a data key that it sealed comes back the same; nothing is changed.\n' +
      'Without names, the first 100 keys are tried; who may not list keys names those to try\n' +
      `(exit 23 without).\n${DETAILS}`,
    exits: [20, 21, 23, 24, 25, 26, 27],
  })
  command.argument('[keys...]', 'names of keys')
  kesOptions(command)
  command.action((keys: string[]) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const result = await engine.kmsStatus({ ...kmsRequest(context), keys })
      if (result.keyStoreReachable === false) {
        const message = 'the key server does not reach the store of its keys'
        context.warn({ code: 'KEY_STORE_UNREACHABLE', message })
      }
      if (result.more === true) {
        context.note(`there are more keys than these ${result.keys.length}: name those to try`)
      }
      const failure = result.listingRefused ? noListing(result) : failureOf(result.keys)
      return { result, text: statusText(result), failure }
    }),
  )
}

const defineCreateKey = (command: Command, app: App): void => {
  describe(command, {
    summary: 'make a key at the key server',
    examples: [['akidb kms create-key site-a', 'exit 22 where there is one of that name']],
    details: `${AUDITED}\n${DETAILS}`,
    exits: [21, 22, 23, 24, 25, 26, 27],
  })
  command.argument('<id>', 'name of the key: at most 80 letters, digits, - and _')
  kesOptions(command)
  command.action((id: string) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const result = await engine.kmsCreateKey({
        ...kmsRequest(context),
        store: context.storeRequest(),
        id,
      })
      const text = `made the key ${escapeLine(result.id)} at ${escapeLine(result.endpoint)}`
      return { result, text, work: true }
    }),
  )
}

interface RewrapFlags {
  readonly kmsKey: string
  readonly output: string
  readonly force?: true
}

const defineRewrap = (command: Command, app: App): void => {
  describe(command, {
    summary: 'wrap the key of an encrypted bundle under another key',
    examples: [
      ['akidb kms rewrap a.akipkg --kms-key site-b -o b.akipkg', 'the bundle under the key site-b'],
      ['akidb kms rewrap a.akipkg --kms-key site-b -o a.akipkg --force', 'in place of the old one'],
    ],
    details:
      'Only what stands before the encrypted bytes is written anew: nothing in the bundle is\n' +
      'decrypted, and akidb bundle verify checks it. Objects in a bucket keep their key: see\n' +
      `akidb help worm. ${AUDITED}\n${DETAILS}`,
    exits: [21, 22, 23, 24, 25, 26, 27],
  })
  command.argument('<file>', 'the encrypted bundle, or - for stdin')
  command.requiredOption('--kms-key <id>', 'the key from now on, at the same key server')
  command.requiredOption('-o, --output <file|->', 'the bundle under that key, or - for stdout')
  command.option('--force', 'replace the file if it exists')
  kesOptions(command)
  command.action((file: string, flags: RewrapFlags) =>
    app.run(command, async (context) => {
      if (isS3(file)) throw keepsKey(file)
      const engine = await context.engine()
      const result = await engine.kmsRewrap({
        ...kmsRequest(context),
        store: context.storeRequest(),
        input: bundleInput(context.session.io, file),
        output: bundleOutput(context, flags),
        id: flags.kmsKey,
      })
      const { path, bytes, from, to } = result
      const text = fields([
        ['bundle', path],
        ['size', humanBytes(bytes)],
        ['key before', from],
        ['key', to],
      ])
      return { result, text, work: true, toStderr: flags.output === '-' }
    }),
  )
}

const isS3 = (file: string): boolean => /^s3:\/\//i.test(file)

const keepsKey = (file: string): AkidbError =>
  new AkidbError('RETENTION', `what is sealed in ${file} keeps the key that it was sealed under`, {
    hint:
      'A server encrypts a version once; under another key it would be another version, beside ' +
      'the sealed one. akidb push --kms-key seals the blobs under another key as well.',
  })

const kmsRequest = (context: Context): KmsRequest => ({
  ...kesAccess(context),
  signal: context.signal,
})

const statusText = (result: KmsStatusResult): string => {
  const { uptimeMs, keyStoreReachable: reachable, keyStoreLatencyMs } = result
  const store = { true: 'reachable', false: 'not reachable' }[String(reachable)]
  const head = fields([
    ['endpoint', result.endpoint],
    ['identity', result.identity],
    ['version', result.serverVersion],
    ['up', uptimeMs === undefined ? undefined : humanDuration(uptimeMs)],
    ['latency', `${result.latencyMs} ms`],
    ['key store', store],
    ['key store latency', keyStoreLatencyMs === undefined ? undefined : `${keyStoreLatencyMs} ms`],
  ])
  if (result.listingRefused === true) return `${head}\nkeys: the server refuses to list them`
  if (result.keys.length === 0) return `${head}\nno keys`
  const rows = result.keys.map(({ id, createdAt = '-', works, problem }) => [
    id,
    createdAt,
    works ? 'yes' : 'no',
    problem?.code ?? '',
  ])
  const titles = [{ title: 'KEY' }, { title: 'CREATED' }, { title: 'WORKS' }, { title: 'PROBLEM' }]
  return `${head}\n\n${table(titles, rows)}`
}

const noListing = ({ endpoint, identity }: KmsStatusResult): AkidbError =>
  new AkidbError('AUTH', `${endpoint} does not let this identity list keys`, {
    hint:
      'Name those to try: akidb kms status <key>. To list them, a policy of the KES server must ' +
      `allow /v1/key/list/* to the identity ${identity}.`,
    details: { endpoint, identity },
  })

/** All keys failed for one cause: its code; exit 24 outranks PARTIAL (20). */
const failureOf = (keys: readonly KmsKeyStatus[]): AkidbError | undefined => {
  const problems = keys.flatMap(({ problem }) => (problem === undefined ? [] : [problem]))
  const [first] = problems
  if (first === undefined) return undefined
  const isOneCause = problems.every(({ code }) => code === first.code)
  const worst = problems.find(({ code }) => EXIT_CODES[code] === 24)
  const code: ErrorCode =
    isOneCause && problems.length === keys.length ? first.code : (worst?.code ?? 'PARTIAL')
  const { message, hint } = worst ?? first
  const many = `${problems.length} of ${plural(keys.length, 'key')} not usable, first: ${message}`
  return new AkidbError(code, keys.length === 1 ? message : many, {
    ...(hint === undefined ? {} : { hint }),
    details: { failed: problems.length },
  })
}
