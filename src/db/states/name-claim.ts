import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { type Environment, randomHex } from './environment.ts'

/** Pause before it is looked again whether another machine has made its collection. */
const POLL_MS = 200

/** What a manifest that makes a collection is written under. */
export interface NameClaim {
  /** The manifest is sent until then or not at all; undefined where a lock guards the name. */
  readonly notAfterMs: number | undefined
}

/**
 * Keeps machines from making `Docs` and `docs` at once. On one machine a lock does. Between
 * machines each says first which name it is about to make, `names/<lower case>/<name>/<16 hex>`,
 * and looks then who else does: of two, one at least sees the other. Whose name is the greater one,
 * bytewise, takes its claim back and waits; the other waits with its own in place. Whoever sees
 * nobody goes on, and looks at the collections that are there under its claim.
 *
 * A claim holds for limits.nameClaimLifeMs by the store's clock, and what it is for is not sent
 * later than limits.commitLifeMs after it: one whose machine died blocks the name for no longer.
 *
 * @throws LOCKED where another machine's claim stays for longer than the wait for locks
 */
export async function withNameClaim<T>(
  environment: Environment,
  name: string,
  work: (claim: NameClaim) => Promise<T>,
): Promise<T> {
  if (environment.isShared !== true) return await work({ notAfterMs: undefined })
  const { key, claimedMs } = await claim(environment, name)
  const release = () => environment.store.delete(key).catch(() => false)
  try {
    const result = await work({ notAfterMs: claimedMs + limits.commitLifeMs })
    await release()
    return result
  } catch (error) {
    // A manifest may be under way: the claim stays for as long as it may come.
    const mayCome = !(error instanceof AkidbError) || hasCode(error, 'UNREACHABLE', 'INTERNAL')
    if (!mayCome) await release()
    throw error
  }
}

/** @throws CONFLICT where a manifest would come later than its name is claimed for */
export function checkClaim({ clock }: Environment, { notAfterMs }: NameClaim): void {
  if (notAfterMs === undefined || clock.nowMs() <= notAfterMs) return
  throw new AkidbError('CONFLICT', 'this process stood still while it made a collection', {
    hint: 'Run the command again.',
  })
}

interface Claim {
  readonly key: string
  /** By this machine's clock, right before it was sent. */
  readonly claimedMs: number
}

async function claim(environment: Environment, name: string): Promise<Claim> {
  const { clock, store, lockWaitMs } = environment
  const endMs = clock.nowMs() + lockWaitMs
  const body = Buffer.from(JSON.stringify({ name }))
  for (;;) {
    const key = `${claimFolder(name)}${name}/${randomHex(environment, 8)}`
    const claimedMs = clock.nowMs()
    await store.put(key, body)
    let rival = await rivalOf(environment, name)
    for (; rival !== undefined && name < rival; rival = await rivalOf(environment, name)) {
      await pause(environment, { name, rival, key, endMs })
    }
    if (rival === undefined) return { key, claimedMs }
    await store.delete(key)
    for (; rival !== undefined; rival = await rivalOf(environment, name)) {
      await pause(environment, { name, rival, endMs })
    }
  }
}

const claimFolder = (name: string): string => `names/${name.toLowerCase()}/`

/** Another spelling of a name that somebody claims now. */
async function rivalOf(environment: Environment, name: string): Promise<string | undefined> {
  const { store } = environment
  const folder = claimFolder(name)
  let nowMs: number | undefined
  for await (const { key, modifiedMs } of store.list(folder)) {
    const other = key.slice(folder.length).split('/')[0] ?? ''
    if (other === name || other.toLowerCase() !== name.toLowerCase()) continue
    nowMs ??= await store.nowMs()
    if (!isLapsed(modifiedMs, nowMs)) return other
  }
  return undefined
}

const isLapsed = (modifiedMs: number, nowMs: number): boolean =>
  modifiedMs + limits.nameClaimLifeMs < nowMs

interface Wait {
  readonly name: string
  readonly rival: string
  /** Own claim, to be taken back where the wait has no end. */
  readonly key?: string
  readonly endMs: number
}

async function pause(environment: Environment, { name, rival, key, endMs }: Wait): Promise<void> {
  const { clock, store } = environment
  if (clock.nowMs() < endMs) return await clock.sleep(POLL_MS)
  if (key !== undefined) await store.delete(key)
  throw new AkidbError('LOCKED', `another machine is just making a collection "${rival}"`, {
    hint: 'Names that differ only in case are the same. Where it died, try again in an hour.',
    details: { name, rival },
  })
}

/** Removes claims that hold no more. */
export async function sweepNameClaims({ store, isShared }: Environment): Promise<void> {
  if (isShared !== true) return
  const lapsed: string[] = []
  let nowMs: number | undefined
  for await (const { key, modifiedMs } of store.list('names/')) {
    nowMs ??= await store.nowMs()
    if (isLapsed(modifiedMs, nowMs)) lapsed.push(key)
  }
  for (const key of lapsed) await store.delete(key)
}
