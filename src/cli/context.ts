import { isAbsolute, join } from 'node:path'
import type { OnProgress, OpenedStore, S3Access, StoreRequest } from '../index.ts'
import type { Engine } from './engine.ts'
import { escapeJson, escapeText } from './escape.ts'
import { jsonDocument } from './json-document.ts'
import { namedKes } from './kes-options.ts'
import { createPassphrases, type Passphrases } from './passphrase.ts'
import { createProgress, resolveProgressMode } from './progress.ts'
import { type Ask, createAsk } from './prompts.ts'
import type { Session } from './session.ts'
import type { Settings } from './settings.ts'

/** The command line in lock messages and the audit log is cut at this length. */
const COMMAND_LENGTH_MAX = 500

/** What a running command works with. */
export interface Context {
  readonly session: Session
  readonly settings: Settings
  readonly signal: AbortSignal
  readonly ask: Ask
  readonly passphrases: Passphrases
  engine(): Promise<Engine>
  storeRequest(): StoreRequest
  /** How the server of buckets is reached. */
  s3Access(): S3Access
  /** Opens the store, and closes it whatever happens. */
  withStore<T>(
    mode: 'read' | 'write',
    work: (store: OpenedStore, engine: Engine) => Promise<T>,
  ): Promise<T>
  /** Shows progress while `work` runs. */
  progress<T>(label: string, work: (onProgress: OnProgress) => Promise<T>): Promise<T>
  /** Prints one object of a stream: a JSON line under `--json`, else the text. */
  item(result: object, text: string): Promise<void>
  note(message: string): void
  warn(warning: { code: string; message: string }): void
}

export interface ContextParts {
  readonly session: Session
  readonly settings: Settings
  readonly loadEngine: () => Promise<Engine>
  /** It only shows what it would do. */
  readonly isDry: boolean
}

export function createContext({ session, settings, loadEngine, isDry }: ContextParts): Context {
  const ask = createAsk(session.io, settings.flag('noInput'), session.signal)
  const warn = (warning: { code: string; message: string }) => session.notice('warning', warning)
  warnOfIgnoredFiles(settings, warn)
  const storeRequest = () => storeRequestOf(session, settings, warn)
  return {
    session,
    settings,
    signal: session.signal,
    ask,
    passphrases: createPassphrases(session.io, settings, ask),
    engine: loadEngine,
    storeRequest,
    s3Access: () => s3AccessOf(session, settings),
    async withStore(mode, work) {
      const { signal: _signal, ...request } = storeRequest()
      const engine = await loadEngine()
      const store = await engine.openStore({ ...request, mode })
      try {
        return await work(store, engine)
      } finally {
        await store.close()
      }
    },
    progress: (label, work) =>
      withProgress({ session, settings }, isDry ? `${label} -n` : label, work),
    async item(result, text) {
      const { out } = session
      const line = session.json ? jsonDocument(session.path.join('.'), result) : `${text}\n`
      const escaped = session.json ? escapeJson : escapeText
      await out.write(out.isTerminal ? escaped(line) : line)
    },
    note: (message) => session.notice('note', { message }),
    warn,
  }
}

const warnOfIgnoredFiles = (
  settings: Settings,
  warn: (warning: { code: string; message: string }) => void,
): void => {
  for (const { path, status } of settings.files) {
    if (status !== 'used' && status !== 'absent') {
      warn({ code: 'CONFIG_IGNORED', message: `configuration "${path}" ${status}` })
    }
  }
}

const storeRequestOf = (
  session: Session,
  settings: Settings,
  onWarning: (warning: { code: string; message: string }) => void,
): StoreRequest => {
  const url = settings.text('store') ?? ''
  const [state, reason] = [settings.text('state'), settings.text('reason')]
  const sudoUser = session.io.env.SUDO_USER
  const [threads, memoryBytes] = [settings.number('threads'), settings.number('memory')]
  const bucket = /^s3:\/\//i.test(url)
    ? { s3: s3AccessOf(session, settings), ...cacheOf(settings), ...namedKes({ settings }) }
    : {}
  return {
    url,
    stateHome: stateHomeOf(session),
    ...bucket,
    lockWaitMs: settings.number('lockWait') ?? 0,
    command: `akidb ${session.argv.join(' ')}`.slice(0, COMMAND_LENGTH_MAX),
    onWarning,
    signal: session.signal,
    ...(sudoUser === undefined ? {} : { sudoUser }),
    ...(state === undefined ? {} : { state }),
    ...(reason === undefined ? {} : { reason }),
    ...(threads === undefined ? {} : { threads }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
  }
}

/** What tells whose keys are trusted. */
export const keysStore = (context: Context): Pick<StoreRequest, 'url' | 'state' | 's3'> => {
  const { url, state, stateHome, s3 } = context.storeRequest()
  const given = Object.entries({ state, stateHome, s3 }).filter(([, value]) => value !== undefined)
  return { url, ...Object.fromEntries(given) }
}

const cacheOf = (settings: Settings): { cacheBytes?: number } => {
  const cacheBytes = settings.number('s3.cache')
  return cacheBytes === undefined ? {} : { cacheBytes }
}

/** Source: XDG Base Directory Specification. */
const stateHomeOf = ({ io }: Session): string => {
  const given = io.env.XDG_STATE_HOME
  return given !== undefined && isAbsolute(given) ? given : join(io.home, '.local/state')
}

/** Credentials come from the environment alone: nobody writes them on a command line. */
const s3AccessOf = ({ io, signal, notice, path }: Session, settings: Settings): S3Access => {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = io.env
  const addressing = settings.text('s3.addressing')
  const found = {
    endpoint: settings.text('s3.endpoint'),
    region: settings.text('s3.region'),
    addressing: addressing === 'virtual' ? ('virtual' as const) : ('path' as const),
    caFile: settings.text('s3.ca'),
    clientCertFile: settings.text('s3.clientCert'),
    clientKeyFile: settings.text('s3.clientKey'),
    accessKey: AWS_ACCESS_KEY_ID,
    secretKey: AWS_SECRET_ACCESS_KEY,
    sessionToken: AWS_SESSION_TOKEN,
    offline: settings.flag('offline'),
    retryForMs: retryForMs(path, settings),
    onOutage: (message: string) => notice('note', { code: 'RETRYING', message }),
    signal,
  }
  const given = Object.entries(found).filter(([, value]) => value !== undefined && value !== '')
  return Object.fromEntries(given) as S3Access
}

/** Who asks how things are is to know soon that a bucket is away. */
const LOOKS: readonly (string | undefined)[] = ['status', 'doctor']
const LOOK_RETRY_MAX_MS = 10_000

function retryForMs([command]: readonly string[], { all, number }: Settings): number | undefined {
  const isChosen = all.find(({ name }) => name === 'retryFor')?.origin !== 'default'
  return LOOKS.includes(command) && !isChosen ? LOOK_RETRY_MAX_MS : number('retryFor')
}

async function withProgress<T>(
  { session, settings }: Pick<ContextParts, 'session' | 'settings'>,
  label: string,
  work: (onProgress: OnProgress) => Promise<T>,
): Promise<T> {
  const display = createProgress({
    mode: resolveProgressMode(settings.text('progress') ?? 'auto', {
      terminal: session.err.isTerminal,
      json: session.json,
      quiet: session.quiet,
    }),
    output: session.err,
    label,
    json: session.json,
    now: session.io.now,
    log: (line) => session.log.write('info', line),
  })
  session.progress = display
  display.start()
  let succeeded = false
  try {
    const result = await work((progress) => display.update(progress))
    succeeded = true
    return result
  } finally {
    display.finish(succeeded)
    session.progress = undefined
  }
}
