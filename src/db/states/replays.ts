import { AkidbError } from '../../errors/errors.ts'
import type { Environment } from './environment.ts'

/** A state opened read-only from a bundle: addressed as `<name>@<12 hex of the head digest>`. */
export interface ReplayName {
  readonly name: string
  readonly head: string
}

const REPLAY = /^([A-Za-z0-9_][A-Za-z0-9._-]{0,127})@([0-9a-f]{12})$/

export function parseReplayName(address: string): ReplayName | undefined {
  const [, name, head] = REPLAY.exec(address) ?? []
  return name === undefined || head === undefined ? undefined : { name, head }
}

export const replayAddress = (name: string, headDigest: string): string =>
  `${name}@${headDigest.slice(0, 12)}`

/** Folder of a replay's keys in the store; manifests lie below it as a collection's do. */
export const replayFolder = ({ name, head }: ReplayName): string => `replays/${head}/${name}`

/** Addresses of all replays, bytewise order. */
export async function listReplays(environment: Pick<Environment, 'store'>): Promise<string[]> {
  const found = new Set<string>()
  for await (const { key } of environment.store.list('replays/')) {
    const [, head, name] = key.split('/')
    if (head !== undefined && name !== undefined) found.add(`${name}@${head}`)
  }
  return [...found].sort()
}

/** @throws NOT_FOUND */
export async function removeReplay(
  environment: Pick<Environment, 'store'>,
  address: string,
): Promise<void> {
  const replay = parseReplayName(address)
  let removed = 0
  for await (const { key } of environment.store.list(`replays/${replay?.head}/${replay?.name}/`)) {
    if (await environment.store.delete(key)) removed++
  }
  if (removed > 0) return
  throw new AkidbError('NOT_FOUND', `there is no replay ${address}`, {
    hint: 'akidb list --replays shows them.',
  })
}
