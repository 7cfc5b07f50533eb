import { limits } from '../core/limits.ts'
import {
  badValue,
  parseChoice,
  parseCount,
  parseDurationMs,
  parsePrice,
  parseRejects,
  parseSizeBytes,
} from './values.ts'

export type SettingValue = string | number | boolean

/** One thing that flags, environment, configuration files and defaults can set. */
export interface Setting {
  /** Key in a configuration file; a group is written with a dot: `index.m`. */
  readonly name: string
  /** Flag, without the dashes. */
  readonly flag: string
  readonly json: 'string' | 'number' | 'boolean' | 'string or number'
  /** A path: relative ones in a configuration file start from that file's folder. */
  readonly path?: boolean
  /**
   * Whether ./akidb.config.json may set it: commands, trust and key paths may not come from a
   * working folder.
   */
  readonly project: boolean
  /** Masked by `config show`. */
  readonly secret?: boolean
  /** Variables of other tools that say the same, after our own. */
  readonly variables?: readonly string[]
  readonly parse: (text: string, what: string) => SettingValue
}

const text = (value: string): string => value
const nonEmpty = (value: string, what: string): string => {
  if (value === '') throw badValue(what, value, 'It must not be empty.')
  return value
}
const flag = (value: string, what: string): boolean =>
  parseChoice(value.toLowerCase(), what, ['true', 'false', '1', '0', 'yes', 'no', '']).match(
    /^(true|1|yes)$/,
  ) !== null
const count =
  (min: number, max: number) =>
  (value: string, what: string): number =>
    parseCount(value, what, { min, max })
const choice =
  (...words: readonly string[]) =>
  (value: string, what: string): string =>
    parseChoice(value, what, words)

type Options = Partial<Pick<Setting, 'path' | 'project' | 'secret' | 'flag' | 'variables'>>

const setting = (
  name: string,
  json: Setting['json'],
  parse: Setting['parse'],
  options: Options = {},
): Setting => ({ name, json, parse, project: true, flag: flagOf(name), ...options })

/** `lockWait` → `lock-wait`; `index.efConstruction` → `ef-construction`. */
const flagOf = (name: string): string =>
  (name.split('.').at(-1) ?? name).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

/** Every setting. Those without a flag of a command have only an environment variable and a key. */
export const SETTINGS: readonly Setting[] = [
  setting('store', 'string', nonEmpty, { path: true }),
  setting('state', 'string', nonEmpty, { path: true, project: false }),
  setting('json', 'boolean', flag),
  setting('quiet', 'boolean', flag),
  setting('verbose', 'boolean', flag),
  setting('logFile', 'string', nonEmpty, { path: true }),
  setting('progress', 'string', choice('auto', 'bar', 'plain', 'json', 'none')),
  setting('noColor', 'boolean', flag),
  setting('noInput', 'boolean', flag),
  setting('lockWait', 'string', parseDurationMs),
  setting('threads', 'number', count(1, limits.buildThreadsMax)),
  setting('memory', 'string or number', parseSizeBytes),
  setting('offline', 'boolean', flag),
  setting('reason', 'string', text),
  setting('passphraseFile', 'string', nonEmpty, { path: true, project: false }),
  setting('passphraseCommand', 'string', nonEmpty, {
    project: false,
    secret: true,
    flag: '',
  }),
  setting('key', 'string', nonEmpty, { project: false }),
  setting('keep', 'string', parseDurationMs),
  setting('onBadRow', 'string', choice('reject', 'stop')),
  setting('maxRejects', 'string or number', parseRejects),
  setting('listen', 'string', nonEmpty),
  setting('index.type', 'string', choice('hnsw', 'flat', 'hnswlib')),
  setting('index.m', 'number', count(2, 64)),
  setting('index.efConstruction', 'number', count(2, 2_000)),
  setting('index.quantization', 'string', choice('int8', 'binary', 'pq')),
  setting('s3.endpoint', 'string', nonEmpty, {
    flag: 's3-endpoint',
    variables: ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'],
  }),
  setting('s3.region', 'string', nonEmpty, {
    flag: 's3-region',
    variables: ['AWS_REGION', 'AWS_DEFAULT_REGION'],
  }),
  setting('s3.addressing', 'string', choice('path', 'virtual'), { flag: 's3-addressing' }),
  setting('s3.ca', 'string', nonEmpty, {
    ...{ path: true, project: false, flag: 's3-ca' },
    variables: ['AWS_CA_BUNDLE'],
  }),
  setting('s3.clientCert', 'string', nonEmpty, {
    ...{ path: true, project: false, flag: 's3-client-cert' },
  }),
  setting('s3.clientKey', 'string', nonEmpty, {
    ...{ path: true, project: false, flag: 's3-client-key' },
  }),
  setting('s3.cache', 'string or number', parseSizeBytes, { flag: 's3-cache' }),
  setting('pricePerGibMonth', 'string or number', parsePrice),
  setting('retryFor', 'string', parseDurationMs),
  setting('kes.endpoint', 'string', nonEmpty, { flag: 'kes-endpoint' }),
  setting('kes.ca', 'string', nonEmpty, { path: true, project: false, flag: 'kes-ca' }),
  setting('kes.clientCert', 'string', nonEmpty, {
    path: true,
    project: false,
    flag: 'kes-client-cert',
  }),
  setting('kes.clientKey', 'string', nonEmpty, {
    path: true,
    project: false,
    flag: 'kes-client-key',
  }),
  setting('durability', 'string', choice('bucket', 'local')),
  setting('events', 'string', nonEmpty),
  setting('nats.subject', 'string', nonEmpty, { flag: 'nats-subject' }),
  setting('nats.stream', 'string', nonEmpty, { flag: 'nats-stream' }),
  setting('nats.credentials', 'string', nonEmpty, {
    ...{ path: true, project: false, flag: 'nats-credentials' },
  }),
  setting('nats.ca', 'string', nonEmpty, { path: true, project: false, flag: 'nats-ca' }),
  setting('nats.clientCert', 'string', nonEmpty, {
    ...{ path: true, project: false, flag: 'nats-client-cert' },
  }),
  setting('nats.clientKey', 'string', nonEmpty, {
    ...{ path: true, project: false, flag: 'nats-client-key' },
  }),
  setting('audit.queries', 'string', choice('off', 'digest', 'full'), { flag: '' }),
  setting('audit.required', 'boolean', flag, { flag: '' }),
]

/** `lockWait` → `AKIDB_LOCK_WAIT`, `index.efConstruction` → `AKIDB_INDEX_EF_CONSTRUCTION`. */
export const environmentName = (name: string): string =>
  `AKIDB_${name.replace(/[A-Z]/g, '_$&').replaceAll('.', '_').toUpperCase()}`
