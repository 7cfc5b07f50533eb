import { lstatSync, readFileSync, rmSync } from 'node:fs'
import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { limits } from '../../core/limits.ts'
import { literal, object, optional, ShapeError, text } from '../../core/shape.ts'
import { AkidbError } from '../../errors/errors.ts'
import { type ErrorCode, EXIT_CODES } from '../../errors/exit-codes.ts'
import { fromFsError, fsCode } from '../../storage/fs-errors.ts'
import { makeFolders } from '../../storage/make-folders.ts'

/** What another process asks of the log owner. */
export interface OwnerCommand {
  /** Commit what the write-ahead log of this collection holds. */
  readonly cmd: 'flush'
  readonly collection: string
}

export interface OwnerSocket {
  /** Answers what was asked, then takes no more. Idempotent. */
  close(): Promise<void>
}

const SOCKET_FILE = 'owner.sock'
/** Names the socket where the state folder's own path is too long for one. */
const PATH_FILE = 'owner.sock.path'
/** `sun_path` holds 104 bytes on some systems and 108 on Linux, with a NUL at the end. */
const SOCKET_PATH_BYTES_MAX = 100

/**
 * Listens on the log owner's Unix socket, `owner.sock` in the state folder (mode 0600). One JSON
 * line asks, one answers: `{"ok":true}` or `{"error":{code,message,hint}}`.
 *
 * Only the holder of the owner's lock may call this: whatever socket it finds there belongs to a
 * dead owner and is replaced. Where the path is over 100 bytes, the socket lies in a private folder
 * for temporary files and the file `owner.sock.path` names it.
 */
export async function openOwnerSocket(
  stateFolder: string,
  handler: (command: OwnerCommand) => Promise<void>,
): Promise<OwnerSocket> {
  removeFormer(stateFolder)
  const direct = join(stateFolder, SOCKET_FILE)
  const isLong = Buffer.byteLength(direct) > SOCKET_PATH_BYTES_MAX
  const path = isLong ? await shortPath() : direct
  const open = new Map<Socket, Promise<void>>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const served = serveOne(socket, handler).finally(() => open.delete(socket))
    open.set(socket, served)
  })
  server.maxConnections = limits.ownerConnectionsMax
  try {
    await makeFolders(stateFolder, 0o700)
    await listen(server, path)
    await chmod(path, 0o600)
    if (isLong) await writePath(stateFolder, path)
  } catch (error) {
    server.close()
    throw fromFsError(error, 'cannot listen on', path)
  }
  server.unref()
  let closing: Promise<void> | undefined
  return {
    close: () => {
      closing ??= closeServer(server, open).then(() => removeFormer(stateFolder))
      return closing
    },
  }
}

/**
 * Asks the log owner, and waits for its answer.
 *
 * @returns 'no-owner' where nobody listens: no single writes were accepted since, or their owner
 * died
 * @throws what the owner failed with; TIMEOUT after `timeoutMs`; INTEGRITY for an answer that makes
 * no sense
 */
export async function askOwner(
  stateFolder: string,
  command: OwnerCommand,
  timeoutMs: number,
): Promise<'done' | 'no-owner'> {
  const path = socketPathOf(stateFolder)
  if (path === undefined) return 'no-owner'
  const line = `${JSON.stringify(command)}\n`
  if (Buffer.byteLength(line) > limits.ownerCommandBytesMax) {
    throw new AkidbError('LIMIT', 'a question to the log owner is over ownerCommandBytesMax')
  }
  const answer = await exchange(path, line, timeoutMs)
  if (answer === undefined) return 'no-owner'
  const { error } = parseLine(answer, ANSWER)
  if (error === undefined) return 'done'
  throw new AkidbError(codeOf(error.code), `the log owner: ${error.message}`, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  })
}

const QUESTION = object({ cmd: literal('flush'), collection: text() })
const ANSWER = object({
  ok: optional(literal(true)),
  error: optional(object({ code: text(), message: text(), hint: optional(text()) })),
})

const codeOf = (code: string): ErrorCode =>
  Object.hasOwn(EXIT_CODES, code) ? (code as ErrorCode) : 'INTERNAL'

function parseLine<T>(line: string, check: (value: unknown, path: string) => T): T {
  try {
    return check(JSON.parse(line) as unknown, '$')
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof ShapeError)) throw error
    throw new AkidbError('INTEGRITY', `the owner's socket: ${error.message}`, { cause: error })
  }
}

async function serveOne(
  socket: Socket,
  handler: (command: OwnerCommand) => Promise<void>,
): Promise<void> {
  socket.on('error', () => socket.destroy())
  socket.setTimeout(limits.ownerCommandTimeoutMs, () => socket.destroy())
  const line = await readLine(socket, limits.ownerCommandBytesMax).catch(() => undefined)
  // Nothing but a whole question is answered.
  if (line === undefined) return void socket.destroy()
  socket.setTimeout(0)
  const answer = await answerTo(line, handler)
  await new Promise<void>((sent) => {
    socket.once('close', () => sent())
    socket.end(`${JSON.stringify(answer)}\n`, () => sent())
  })
  socket.destroySoon()
}

async function answerTo(
  line: string,
  handler: (command: OwnerCommand) => Promise<void>,
): Promise<unknown> {
  try {
    await handler(parseLine(line, QUESTION))
    return { ok: true }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    if (!(error instanceof AkidbError)) return { error: { code: 'INTERNAL', message } }
    const { code, hint } = error
    return { error: { code, message, ...(hint === undefined ? {} : { hint }) } }
  }
}

/**
 * Text up to the first line feed; undefined where the stream ends, breaks or goes over `bytesMax`
 * before.
 */
function readLine(socket: Socket, bytesMax: number): Promise<string | undefined> {
  return new Promise((done) => {
    const pieces: Buffer[] = []
    let bytes = 0
    socket.on('data', (piece: Buffer) => {
      const at = piece.indexOf(0x0a)
      pieces.push(at < 0 ? piece : piece.subarray(0, at))
      bytes += piece.byteLength
      if (at >= 0) done(Buffer.concat(pieces).toString('utf8'))
      else if (bytes > bytesMax) done(undefined)
    })
    for (const event of ['end', 'error', 'close']) socket.on(event, () => done(undefined))
  })
}

/** @returns undefined where nobody listens, or the owner died before it answered */
async function exchange(
  path: string,
  question: string,
  timeoutMs: number,
): Promise<string | undefined> {
  const socket = connect(path)
  let timer: NodeJS.Timeout | undefined
  try {
    const connected = await new Promise<boolean>((done, failed) => {
      timer = setTimeout(() => failed(timeout(path, timeoutMs)), timeoutMs)
      socket.once('connect', () => done(true))
      socket.once('error', (error) => {
        if (isNobody(error)) done(false)
        else failed(fromFsError(error, 'cannot ask the log owner at', path))
      })
    })
    if (!connected) return undefined
    socket.on('error', () => socket.destroy())
    const answer = readLine(socket, limits.ownerAnswerBytesMax)
    socket.write(question)
    return await Promise.race([
      answer,
      new Promise<never>((_, failed) => {
        clearTimeout(timer)
        timer = setTimeout(() => failed(timeout(path, timeoutMs)), timeoutMs)
      }),
    ])
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

const timeout = (path: string, timeoutMs: number): AkidbError =>
  new AkidbError('TIMEOUT', `the log owner at ${path} did not answer in ${timeoutMs} ms`, {
    hint: 'It may be busy committing; run the command again.',
  })

const isNobody = (error: unknown): boolean =>
  ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK', 'ENOTDIR'].includes(fsCode(error) ?? '')

/**
 * Where the owner listens, if it may; a path that another user could have put there is not
 * believed.
 */
function socketPathOf(stateFolder: string): string | undefined {
  const named = readPath(stateFolder)
  const direct = join(stateFolder, SOCKET_FILE)
  const path = named ?? (Buffer.byteLength(direct) > SOCKET_PATH_BYTES_MAX ? undefined : direct)
  if (path === undefined) return undefined
  const info = lstatSync(path, { throwIfNoEntry: false })
  if (info?.isSocket() !== true) return undefined
  const folder = lstatSync(stateFolder, { throwIfNoEntry: false })
  return named !== undefined && folder?.uid !== info.uid ? undefined : path
}

function readPath(stateFolder: string): string | undefined {
  try {
    const path = readFileSync(join(stateFolder, PATH_FILE), 'utf8').trim()
    return isAbsolute(path) && Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX ? path : undefined
  } catch {
    return undefined
  }
}

async function writePath(stateFolder: string, path: string): Promise<void> {
  const temporary = join(stateFolder, `${PATH_FILE}.new`)
  await rm(temporary, { force: true })
  await writeFile(temporary, `${path}\n`, { mode: 0o600, flag: 'wx' })
  await rename(temporary, join(stateFolder, PATH_FILE))
}

/** A folder of its own (0700), so that nobody else can put a socket there. */
async function shortPath(): Promise<string> {
  const place = Buffer.byteLength(tmpdir()) > SOCKET_PATH_BYTES_MAX / 2 ? '/tmp' : tmpdir()
  return join(await mkdtemp(join(place, 'akidb-')), SOCKET_FILE)
}

/** Removes the socket of an owner that is gone, and the folder that was made for it. */
function removeFormer(stateFolder: string): void {
  const named = readPath(stateFolder)
  if (named !== undefined && /\/akidb-[A-Za-z0-9]{6}\/owner\.sock$/.test(named)) {
    rmSync(named, { force: true })
    rmSync(dirname(named), { force: true, recursive: true })
  }
  rmSync(join(stateFolder, PATH_FILE), { force: true })
  rmSync(join(stateFolder, SOCKET_FILE), { force: true })
}

const listen = (server: Server, path: string): Promise<void> =>
  new Promise((done, failed) => {
    server.once('error', failed)
    server.listen(path, () => {
      server.off('error', failed)
      server.on('error', () => undefined)
      done()
    })
  })

async function closeServer(
  server: Server,
  open: ReadonlyMap<Socket, Promise<void>>,
): Promise<void> {
  const closed = new Promise<void>((done) => server.close(() => done()))
  // Who has not asked yet gets no answer; who has, gets one.
  for (const socket of open.keys()) if (socket.bytesRead === 0) socket.destroy()
  await Promise.all([closed, ...open.values()])
}
