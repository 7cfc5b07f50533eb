import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { askOwner, type OwnerSocket, openOwnerSocket } from '../../src/db/wal/owner-socket.ts'
import { AkidbError } from '../../src/errors/errors.ts'

const FLUSH = { cmd: 'flush', collection: 'docs' } as const
const WAIT_MS = 5_000

let folder: string
let sockets: OwnerSocket[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'akidb-socket-'))
  sockets = []
})

afterEach(async () => {
  for (const socket of sockets) await socket.close()
  await rm(folder, { recursive: true, force: true })
})

async function open(
  state: string,
  handler: Parameters<typeof openOwnerSocket>[1] = async () => undefined,
): Promise<OwnerSocket> {
  const socket = await openOwnerSocket(state, handler)
  sockets.push(socket)
  return socket
}

/** Sends raw bytes to the owner and gives back all that it answers. */
function raw(path: string, text: string): Promise<string> {
  return new Promise((done, failed) => {
    const socket = connect(path)
    let answer = ''
    socket.on('data', (piece) => {
      answer += piece.toString('utf8')
    })
    socket.on('error', failed)
    socket.on('close', () => done(answer))
    socket.write(text)
  })
}

/** Leaves a socket file behind, as kill −9 does. */
async function leaveStale(path: string): Promise<void> {
  const server = createServer()
  const moved = `${path}.moved`
  await new Promise<void>((done) => server.listen(moved, done))
  const { linkSync } = await import('node:fs')
  linkSync(moved, path)
  await new Promise((done) => server.close(done))
}

describe("the owner's socket", () => {
  it('hands the question on and answers when it is done', async () => {
    const asked: unknown[] = []
    await open(folder, async (command) => void asked.push(command))
    expect(await askOwner(folder, FLUSH, WAIT_MS)).toBe('done')
    expect(asked).toEqual([FLUSH])
  })

  it('is for its owner alone', async () => {
    await open(folder)
    expect(statSync(join(folder, 'owner.sock')).mode & 0o777).toBe(0o600)
  })

  it('says where there is no owner, or none any more', async () => {
    expect(await askOwner(folder, FLUSH, WAIT_MS)).toBe('no-owner')
    const socket = await open(folder)
    await socket.close()
    await socket.close()
    expect(existsSync(join(folder, 'owner.sock'))).toBe(false)
    expect(await askOwner(folder, FLUSH, WAIT_MS)).toBe('no-owner')
    writeFileSync(join(folder, 'owner.sock'), 'no socket')
    expect(await askOwner(folder, FLUSH, WAIT_MS)).toBe('no-owner')
  })

  it('is replaced where its owner was killed', async () => {
    await leaveStale(join(folder, 'owner.sock'))
    expect(await askOwner(folder, FLUSH, WAIT_MS)).toBe('no-owner')
    await open(folder)
    expect(await askOwner(folder, FLUSH, WAIT_MS)).toBe('done')
  })

  it("brings the owner's error back with its code and hint", async () => {
    await open(folder, async () => {
      throw new AkidbError('NO_SPACE', 'the disk is full', { hint: 'Free some.' })
    })
    await expect(askOwner(folder, FLUSH, WAIT_MS)).rejects.toMatchObject({
      code: 'NO_SPACE',
      message: 'the log owner: the disk is full',
      hint: 'Free some.',
    })
  })

  it('times out where the owner does not answer', async () => {
    let release = (): void => undefined
    await open(folder, () => new Promise<void>((done) => (release = done)))
    await expect(askOwner(folder, FLUSH, 50)).rejects.toMatchObject({ code: 'TIMEOUT' })
    release()
  })

  it('lies elsewhere where the path is too long, and goes with its folder', async () => {
    const state = join(folder, 'x'.repeat(60), 'y'.repeat(60))
    await mkdir(state, { recursive: true })
    const socket = await open(state)
    const path = readFileSync(join(state, 'owner.sock.path'), 'utf8').trim()
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(100)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(await askOwner(state, FLUSH, WAIT_MS)).toBe('done')
    await socket.close()
    expect(existsSync(join(path, '..'))).toBe(false)
    expect(await askOwner(state, FLUSH, WAIT_MS)).toBe('no-owner')
  })

  it('refuses what is no question, and serves the next', async () => {
    const asked: unknown[] = []
    await open(folder, async (command) => void asked.push(command))
    const path = join(folder, 'owner.sock')
    for (const bad of ['{\n', '[]\n', '{"cmd":"stop","collection":"a"}\n', '{"cmd":"flush"}\n']) {
      expect(JSON.parse(await raw(path, bad))).toMatchObject({ error: { code: 'INTEGRITY' } })
    }
    expect(await raw(path, 'x'.repeat(limits.ownerCommandBytesMax + 1))).toBe('')
    expect(asked).toEqual([])
    expect(await askOwner(folder, FLUSH, WAIT_MS)).toBe('done')
  })

  it('answers who has asked before it closes', async () => {
    let release = (): void => undefined
    const begun = new Promise<void>((started) => {
      void open(folder, () => {
        started()
        return new Promise<void>((done) => (release = done))
      }).then(() => askOwner(folder, FLUSH, WAIT_MS).then((answer) => answers.push(answer)))
    })
    const answers: string[] = []
    await begun
    const closed = sockets[0]?.close()
    release()
    await closed
    await expect.poll(() => answers).toEqual(['done'])
  })

  it('refuses a question that is too long before it asks', async () => {
    await open(folder)
    const collection = 'c'.repeat(limits.ownerCommandBytesMax)
    await expect(askOwner(folder, { cmd: 'flush', collection }, WAIT_MS)).rejects.toMatchObject({
      code: 'LIMIT',
    })
  })
})
