import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { credsAuthenticator } from '@nats-io/transport-node'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { readNatsCredentials } from '../../src/storage/events/nats-credentials.ts'
import { openNatsEvents } from '../../src/storage/events/nats-events.ts'
import { systemClock } from '../../src/storage/system-clock.ts'
import { NewsReader } from '../support/bucket-news.ts'
import { describeNats, type NatsServer, openStream, startNats } from '../support/nats.ts'
import { makeOperator } from '../support/nats-operator.ts'
import { noPauses } from '../support/s3.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'akidb-nats-credentials-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
const fileOf = (text: string, mode = 0o600): string => {
  const path = join(folder, `${files++}`)
  writeFileSync(path, text, { mode })
  return path
}
const read = (text: string, mode?: number) => readNatsCredentials(fileOf(text, mode))
const failureOf = async (promise: Promise<unknown>): Promise<AkidbError> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(AkidbError)
  return error as AkidbError
}
/** All that an operator is ever shown of an error. */
const shown = (error: AkidbError): string => {
  const causes: unknown[] = []
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    causes.push(each.message, each.stack)
  }
  return JSON.stringify([causes, error.hint, error.details])
}

describe('credentials for a NATS server', () => {
  it('are a file of nsc, a seed, a user with a password, or a token', async () => {
    const seed = `SU${'A'.repeat(56)}`
    expect(await read(`${seed}\n`)).toMatchObject({ kind: 'nkey' })
    expect(await read('u:p:w\r\n')).toEqual({ kind: 'password', user: 'u', password: 'p:w' })
    expect(await read('s3cr3t\n')).toEqual({ kind: 'token', token: 's3cr3t' })
    const { credentials } = makeOperator()
    expect(await read(credentials())).toMatchObject({ kind: 'jwt', expiresSeconds: undefined })
    const ending = credentials({ expiresSeconds: 7 })
    const windows = await read(ending.replaceAll('\n', '\r\n'))
    expect(windows).toEqual(await read(ending))
    expect(windows).toMatchObject({ kind: 'jwt', expiresSeconds: 7 })
    expect(await read(ending.trimEnd())).toEqual(windows)
  })

  it('are refused where others can read them, and where they are something else', async () => {
    await expect(read('u:p', 0o644)).rejects.toMatchObject({ code: 'AUTH' })
    const near = `SU${'A'.repeat(55)}`
    const lines = ['', '\n', 'two words', ':p', 'u:p\nv:q', 'a\nb', 'to\x00ken', 'eyJ.a.b', near]
    for (const text of [...lines, `SA${'A'.repeat(56)}`]) {
      await expect(read(text), text).rejects.toMatchObject({ code: 'BAD_INPUT', exitCode: 26 })
    }
    const large = `u:${'x'.repeat(limits.natsCredentialsBytesMax)}`
    await expect(read(large)).rejects.toMatchObject({ code: 'BAD_INPUT' })
    const absent = readNatsCredentials(join(folder, 'absent'))
    await expect(absent).rejects.toMatchObject({ code: 'NOT_FOUND', exitCode: 21 })
  })

  it('that are damaged are told before anything is asked, and without what is secret', async () => {
    const whole = makeOperator().credentials()
    const seed = /^SU.*$/m.exec(whole)?.[0] ?? ''
    const jwt = /^eyJ.*$/m.exec(whole)?.[0] ?? ''
    const [head, , signature] = jwt.split('.')
    const noJson = Buffer.from('{"secretive').toString('base64url')
    const damaged = [
      whole.replace(/-----BEGIN USER NKEY SEED[\s\S]*/, ''),
      whole.slice(0, whole.indexOf(seed) + 20),
      whole.replace(seed, seed.slice(0, 20)),
      whole.replace(jwt, jwt.slice(0, 40)),
      whole.replace(jwt, `${head}.${noJson}.${signature}`),
      whole.replace(jwt, `${jwt}\n${jwt}`),
    ]
    for (const text of damaged) {
      const error = await failureOf(read(text))
      expect(error).toMatchObject({ code: 'BAD_INPUT', exitCode: 26 })
      expect(error.hint).toContain('.creds')
      for (const secret of [seed.slice(0, 10), jwt.slice(0, 10), 'secretive']) {
        expect(shown(error)).not.toContain(secret)
      }
    }
  })

  it('whose seed has a wrong letter are refused at the start', async () => {
    const whole = makeOperator().credentials()
    const seed = /^SU.*$/m.exec(whole)?.[0] ?? ''
    const wrong = `${seed.slice(0, 30)}${seed[30] === 'A' ? 'B' : 'A'}${seed.slice(31)}`
    for (const text of [whole.replace(seed, wrong), wrong]) {
      const error = await failureOf(eventsAt('nats://127.0.0.1:1', fileOf(text)))
      expect(error).toMatchObject({ code: 'BAD_INPUT', exitCode: 26 })
      expect(shown(error)).not.toContain(wrong.slice(0, 10))
    }
  })
})

const SUBJECT = 'bucketevents'
const place = { bucket: 'bucket', prefix: '', below: 'collections/' }
const clock = {
  nowMs: () => systemClock.nowMs(),
  sleep: (_ms: number, signal?: AbortSignal) => systemClock.sleep(1, signal),
}
const eventsAt = (url: string, credentialsFile?: string) =>
  openNatsEvents(place, {
    ...{ clock, random: noPauses },
    access: { url, ...(credentialsFile === undefined ? {} : { credentialsFile }) },
  })

const readers: NewsReader[] = []
let server: NatsServer
afterEach(async () => {
  for (const reader of readers.splice(0)) await reader.stop()
})

const follow = async (credentialsFile?: string): Promise<NewsReader> => {
  const reader = new NewsReader(await eventsAt(server.url, credentialsFile))
  readers.push(reader)
  return reader
}
const refusalOf = async (text?: string): Promise<AkidbError> => {
  const reader = await follow(text === undefined ? undefined : fileOf(text))
  return (await reader.next('refused')).error
}

describeNats('a NATS server of an operator', () => {
  const operator = makeOperator()
  const { credentials } = operator
  const nowSeconds = (): number => Math.floor(Date.now() / 1000)
  beforeAll(async () => {
    server = await startNats(operator.settings)
    const authenticator = credsAuthenticator(Buffer.from(credentials()))
    await openStream(await server.connect({ authenticator }), 'EVENTS', SUBJECT)
  })
  afterAll(() => server.stop())

  it('takes whom the account vouches for, until the credentials end', async () => {
    await (await follow(fileOf(credentials()))).next('connected')
    const later = { expiresSeconds: nowSeconds() + 3600 }
    const windows = credentials(later).replaceAll('\n', '\r\n')
    await (await follow(fileOf(windows))).next('connected')
  })

  it('refuses credentials that have ended, with the time, until there are new ones', async () => {
    const expiresSeconds = nowSeconds() - 60
    const text = credentials({ expiresSeconds })
    const path = fileOf(text)
    const reader = await follow(path)
    const { error } = await reader.next('refused')
    expect(error).toMatchObject({ code: 'AUTH', exitCode: 23 })
    expect(error.hint).toContain(new Date(expiresSeconds * 1000).toISOString())
    expectNoSecret(error, text)
    writeFileSync(path, credentials())
    await reader.next('connected')
  })

  it('ends a connection with its credentials', async () => {
    const text = credentials({ expiresSeconds: nowSeconds() + 2 })
    const reader = await follow(fileOf(text))
    await reader.next('connected')
    const { error } = await reader.next('refused')
    expect(error).toMatchObject({ code: 'AUTH', message: expect.stringContaining('Expired') })
    expect(error.hint).toContain('These credentials ended at')
    expectNoSecret(error, text)
  })

  it('refuses those of another account, a key that is not the named one, and none', async () => {
    for (const options of [{ isForeign: true }, { hasOtherKey: true }]) {
      const text = credentials(options)
      const error = await refusalOf(text)
      expect(error).toMatchObject({ code: 'AUTH', exitCode: 23 })
      expect(error.hint).toContain('does not take these credentials')
      expectNoSecret(error, text)
    }
    expect((await refusalOf()).hint).toContain('--nats-credentials')
    expect((await refusalOf('u:p')).code).toBe('AUTH')
  })

  it('tells a user without the permissions what it lacks', async () => {
    const text = credentials({ publish: ['x'] })
    const error = await refusalOf(text)
    expect(error).toMatchObject({ code: 'AUTH', hint: expect.stringContaining('templates') })
    expect(error.message).toContain('$JS.API')
    expectNoSecret(error, text)
  })
})

const expectNoSecret = (error: AkidbError, text: string): void => {
  const secrets = text.split('\n').filter((line) => /^(SU|eyJ)/.test(line))
  expect(secrets).toHaveLength(2)
  for (const secret of secrets) expect(shown(error)).not.toContain(secret.slice(0, 16))
}

describeNats('a NATS server with a token, or with passwords', () => {
  afterEach(() => server.stop())

  it('takes the token, and refuses others without telling them', async () => {
    server = await startNats(['authorization { token: "s3cr3t" }'])
    await openStream(await server.connect({ token: 's3cr3t' }), 'EVENTS', SUBJECT)
    await (await follow(fileOf('s3cr3t\n'))).next('connected')
    for (const text of ['s3cr3t2', 'user:s3cr3t2', undefined]) {
      const error = await refusalOf(text)
      expect(error).toMatchObject({ code: 'AUTH', exitCode: 23 })
      expect(error.hint).toContain(text === undefined ? '--nats-credentials' : 'does not take')
      expect(shown(error)).not.toContain('s3cr3t')
    }
  })

  it('takes a user with the right password alone', async () => {
    const users = '{ user: a, password: "p:w ö" }, { user: b, password: b }'
    server = await startNats([`authorization { users: [${users}] }`])
    await openStream(await server.connect({ user: 'a', pass: 'p:w ö' }), 'EVENTS', SUBJECT)
    await (await follow(fileOf('a:p:w ö\n'))).next('connected')
    for (const text of ['a:wrong4', 'a:', 'b:wrong4', 'nobody:wrong4', 'tokenwrong4']) {
      const error = await refusalOf(text)
      expect(error).toMatchObject({ code: 'AUTH', exitCode: 23 })
      expect(shown(error)).not.toContain('wrong4')
    }
  })
})
