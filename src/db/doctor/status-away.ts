import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fsCode, withFsErrors } from '../../storage/fs-errors.ts'
import { openFsStore } from '../../storage/fs-store.ts'
import { identityUrl } from '../open/bucket-identity.ts'
import { stateFoldersAt } from '../open/store-place.ts'
import type { StoreRequest } from '../open/store-request.ts'
import { readPlace } from '../states/store-file.ts'
import { type RiskStatus, riskStatus } from './status.ts'

/** What a state folder knows of a store that cannot be reached. */
export interface AwayState extends RiskStatus {
  readonly state: string
  /** Of the store. */
  readonly id: string
}

/** What this machine knows of a store in a bucket that is away. */
export type AwayStatus = {
  readonly store: string
  readonly reachable: false
  /** More than one where stores of other servers have the same address. */
  readonly states: readonly AwayState[]
}

/**
 * Asks no bucket: rows at risk as the state folders of this machine tell them, which remember where
 * their stores lie. Changes nothing.
 *
 * @throws INTEGRITY where one is damaged; AUTH
 */
export async function statusAway({
  url,
  state,
  stateHome,
}: Pick<StoreRequest, 'url' | 'state' | 'stateHome'>): Promise<AwayStatus> {
  const home = stateFoldersAt(stateHome)
  const folders = state === undefined ? await foldersIn(home) : [resolve(state)]
  const states: AwayState[] = []
  for (const folder of folders) {
    const found = await lookAt(folder, url)
    if (found !== undefined) states.push(found)
  }
  return { store: url, reachable: false, states }
}

async function lookAt(folder: string, url: string): Promise<AwayState | undefined> {
  const state = openFsStore(folder, { mode: 'read' })
  try {
    const place = await readPlace(state)
    if (place === undefined) return undefined
    if (identityUrl(place.inode) !== url.replace(/\/+$/, '')) return undefined
    return { state: folder, id: place.storeId, ...(await riskStatus({ state }, new Map())) }
  } finally {
    await state.close()
  }
}

const foldersIn = (home: string): Promise<string[]> =>
  withFsErrors('cannot list', home, async () => {
    const names = await readdir(home).catch((error: unknown) => {
      if (fsCode(error) === 'ENOENT') return []
      throw error
    })
    const isId = (name: string): boolean => /^[0-9a-f]{32}$/.test(name)
    return names.filter(isId).map((name) => join(home, name))
  })
