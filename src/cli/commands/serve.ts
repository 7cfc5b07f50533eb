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
    ],
    details: [
      'SIGINT and SIGTERM stop it: it answers what it has begun, commits, and ends with exit 0.',
      'The other commands work beside it.',
    ].join('\n'),
    exits: [21, 22, 23, 24, 27],
  })
  command.option('--listen <host:port>', 'where to listen (default: 127.0.0.1:8080)')
  command.action(() =>
    app.run(command, async (context) => {
      const { host, port } = parseListen(context, context.settings.text('listen') ?? '')
      const engine = await context.engine()
      const result = await engine.serve({
        ...context.storeRequest(),
        host,
        port,
        onReady: (address) => {
          void context.item(address, `listening on ${address.url}`)
        },
        onLog: (entry) => context.session.log.write('info', 'serve', entry),
        auditQueries: auditQueries(context),
        auditRequired: context.settings.flag('audit.required'),
      })
      const text = `${plural(result.requests, 'request')} in ${humanDuration(result.elapsedMs)}`
      context.note(`stopped after ${text}`)
      return { result, text: '', toStderr: true, graceful: true }
    }),
  )
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
