import { AkidbError } from '../../errors/errors.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import type { Context } from '../context.ts'
import { describe } from '../describe.ts'
import { humanDuration, plural } from '../human.ts'

/** `akidb serve`: the HTTP server on the same engine, until a signal stops it. */
export const defineServe = (command: Command, app: App): void => {
  describe(command, {
    summary: 'run the HTTP server',
    examples: [
      ['akidb serve', 'on the loopback, port 8080'],
      ['akidb serve --listen 127.0.0.1:0 --json', 'on any free port, said in JSON'],
      [
        'akidb --store s3://vectors/site serve --durability local',
        'acknowledge writes on the local disk, and send them in the background',
      ],
      [
        'akidb --store s3://vectors/site serve --events nats://127.0.0.1:4222',
        "hear of other writers' commits from a NATS server",
      ],
    ],
    details: [
      'SIGINT and SIGTERM stop it: it answers what it has begun, commits, and ends with exit 0.',
      'The other commands work beside it.',
      'A store in a bucket is followed by its events: auto and minio take the listen API of its',
      'server, nats://host:port and tls://host:port a NATS server that it publishes to. A missed',
      'event costs a delay, nothing more.',
      '--durability local acknowledges writes to a store in a bucket when they are on the disk of',
      'the state folder, and sends them in the background: also while the bucket is away. akidb',
      'status and /metrics tell how many rows are at risk.',
    ].join('\n'),
    exits: [21, 22, 23, 24, 25, 26, 27],
  })
  command.option('--listen <host:port>', 'where to listen (default: 127.0.0.1:8080)')
  command.option('--durability <where>', 'acknowledge writes in the: bucket (default), or local')
  command.option('--events <source>', 'auto (default), minio, nats://host:port or off')
  command.option('--nats-subject <subject>', 'where the bucket publishes (default: bucketevents)')
  command.option('--nats-stream <name>', 'stream that keeps it (default: the one that takes it)')
  command.option(
    '--nats-credentials <file>',
    'a .creds file, an nkey seed, user:password or a token',
  )
  command.option('--nats-ca <file>', 'certificate authorities of the NATS server')
  command.option('--nats-client-cert <file>', 'certificate to show it')
  command.option('--nats-client-key <file>', 'key of that certificate')
  command.action(() =>
    app.run(command, async (context) => {
      const { host, port } = parseListen(context, context.settings.text('listen') ?? '')
      const engine = await context.engine()
      const durability = context.settings.text('durability')
      const result = await engine.serve({
        ...context.storeRequest(),
        ...(durability === undefined
          ? {}
          : { durability: durability === 'local' ? 'local' : 'bucket' }),
        host,
        port,
        onReady: (address) => {
          void context.item(address, `listening on ${address.url}`)
        },
        onLog: (entry) => context.session.log.write('info', 'serve', entry),
        events: context.settings.text('events') ?? 'auto',
        nats: natsAccess(context),
        auditQueries: auditQueries(context),
        auditRequired: context.settings.flag('audit.required'),
      })
      const text = `${plural(result.requests, 'request')} in ${humanDuration(result.elapsedMs)}`
      context.note(`stopped after ${text}`)
      return { result, text: '', toStderr: true, graceful: true }
    }),
  )
}

const natsAccess = ({ settings }: Context) => {
  const given = {
    subject: settings.text('nats.subject'),
    stream: settings.text('nats.stream'),
    credentialsFile: settings.text('nats.credentials'),
    caFile: settings.text('nats.ca'),
    clientCertFile: settings.text('nats.clientCert'),
    clientKeyFile: settings.text('nats.clientKey'),
  }
  const known = Object.entries(given).filter(([, value]) => value !== undefined)
  return { ...Object.fromEntries(known), offline: settings.flag('offline') }
}

const auditQueries = (context: Context): 'off' | 'digest' | 'full' => {
  const policy = context.settings.text('audit.queries')
  return policy === 'off' || policy === 'full' ? policy : 'digest'
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/

const parseListen = (context: Context, text: string): { host: string; port: number } => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  const host = match?.[1] ?? match?.[2] ?? ''
  if (match === null || port > 65_535 || host === '') {
    throw new AkidbError('USAGE', `--listen: cannot use "${text}"`, {
      hint: 'Write host:port, for example 127.0.0.1:8080 or [::1]:8080.',
    })
  }
  if (LOOPBACK.test(host)) return { host, port }
  if (context.settings.flag('offline')) {
    throw new AkidbError('USAGE', `--offline refuses to listen on "${host}"`, {
      hint: 'Listen on the loopback, 127.0.0.1.',
    })
  }
  const message = `anyone who reaches ${text} can read and change the store: no password is asked`
  context.warn({ code: 'NOT_LOOPBACK', message })
  return { host, port }
}
