import { AkidbError } from '../../errors/errors.ts'
import { type ErrorCode, EXIT_CODES } from '../../errors/exit-codes.ts'
import type { KmsKeyStatus, KmsRequest, KmsStatusResult } from '../../index.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import type { Context } from '../context.ts'
import { describe } from '../describe.ts'
import { escapeLine } from '../escape.ts'
import { humanDuration, plural } from '../human.ts'
import { fields, table } from '../table.ts'

const DETAILS =
  'The key server is MinIO KES. It knows its clients by their certificates: name the files with\n' +
  'the options, or once for all in the configuration (akidb help config).'

/** `akidb kms …`: keys at a key server; the store is not needed. */
export const defineKms = (command: Command, app: App): void => {
  describe(command, {
    summary: 'ask a key server (KES), and make keys there',
    examples: [
      ['akidb kms status', 'is it up, and do its keys work?'],
      ['akidb kms create-key site-a', 'make a key'],
    ],
    details: DETAILS,
    exits: [20, 21, 22, 23, 24, 25, 26, 27],
  })
  defineStatus(command.command('status'), app)
  defineCreateKey(command.command('create-key'), app)
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
      `Without names, the first 100 keys are tried.\n${DETAILS}`,
    exits: [20, 21, 23, 24, 25, 26, 27],
  })
  command.argument('[keys...]', 'names of keys')
  serverOptions(command)
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
      return { result, text: statusText(result), failure: failureOf(result.keys) }
    }),
  )
}

const defineCreateKey = (command: Command, app: App): void => {
  describe(command, {
    summary: 'make a key at the key server',
    examples: [['akidb kms create-key site-a', 'exit 22 where there is one of that name']],
    details: DETAILS,
    exits: [21, 22, 23, 25, 26, 27],
  })
  command.argument('<id>', 'name of the key: at most 80 letters, digits, - and _')
  serverOptions(command)
  command.action((id: string) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const result = await engine.kmsCreateKey({ ...kmsRequest(context), id })
      const text = `made the key ${escapeLine(result.id)} at ${escapeLine(result.endpoint)}`
      return { result, text, work: true }
    }),
  )
}

const serverOptions = (command: Command): void => {
  command.option('--kes-endpoint <url>', 'address of the key server: https://host:port')
  command.option('--kes-ca <file>', 'PEM of the authorities that its certificate must come from')
  command.option('--kes-client-cert <file>', 'PEM of the certificate that it knows us by')
  command.option('--kes-client-key <file>', 'PEM of the private key of that certificate')
}

const kmsRequest = ({ settings, signal }: Context): KmsRequest => {
  const endpoint = settings.text('kes.endpoint')
  const [caFile, clientCertFile] = [settings.text('kes.ca'), settings.text('kes.clientCert')]
  const clientKeyFile = settings.text('kes.clientKey')
  return {
    offline: settings.flag('offline'),
    signal,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(caFile === undefined ? {} : { caFile }),
    ...(clientCertFile === undefined ? {} : { clientCertFile }),
    ...(clientKeyFile === undefined ? {} : { clientKeyFile }),
  }
}

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
