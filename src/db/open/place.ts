import { AkidbError } from '../../errors/errors.ts'
import { DEFAULT_KEY, LOG_KEY } from '../../trust/key-store.ts'
import { readPlace, writePlace } from '../states/store-file.ts'
import { certify } from './init.ts'
import { type OpenEnvironment, openEnvironment } from './open-environment.ts'
import type { StoreRequest } from './store-request.ts'

/**
 * Refuses to change a store that is not where its state folder last saw it: two copies must never
 * write one log.
 *
 * @throws CONFLICT with the way out
 */
export async function checkPlace(environment: OpenEnvironment): Promise<void> {
  const place = await readPlace(environment.state)
  const inode = await environment.identity()
  if (place === undefined) {
    await writePlace(environment.state, { storeId: environment.file.id, inode })
    return
  }
  if (place.storeId !== environment.file.id) {
    throw new AkidbError(
      'CONFLICT',
      `state folder ${environment.stateFolder} belongs to another store (${place.storeId})`,
      { hint: 'Give the right --state.' },
    )
  }
  if (place.inode === inode) return
  throw new AkidbError('CONFLICT', `the store in ${environment.store.url} was moved or copied`, {
    hint: environment.isShared
      ? 'akidb adopt --moved where the old one is gone; else adopt --copy, with another --state.'
      : 'akidb adopt --moved where the old one is gone, akidb adopt --copy where it goes on.',
    details: { store: environment.store.url },
  })
}

/** How the store came to where it is. */
export interface AdoptRequest extends StoreRequest {
  readonly as: 'moved' | 'copy'
}

/** The log that goes on, or the new one of a copy. */
export interface AdoptResult {
  readonly store: string
  readonly id: string
  readonly logId: string
  readonly adopted: 'moved' | 'copy'
}

/**
 * Records a store's new place. A copy gets a log key of its own, so that the two never share a log;
 * its new log begins with an entry that names the end of the old one.
 */
export async function adoptStore(options: AdoptRequest): Promise<AdoptResult> {
  const environment = await openEnvironment({ ...options, mode: 'write' })
  try {
    const { keys, store, file } = environment
    if (options.as === 'copy' && environment.isShared && options.state === undefined) {
      const { stateFolder } = environment
      throw new AkidbError('USAGE', `${stateFolder} is that of the store it came from`, {
        hint: 'Give the copy a state folder of its own: --state <folder>, here and ever after.',
      })
    }
    const former = await (await environment.audit()).position()
    const place = { storeId: file.id, inode: await environment.identity() }
    if (options.as === 'copy') await keys.generate(LOG_KEY, { replace: true })
    await writePlace(environment.state, place)
    const logId = (await keys.publicKey(LOG_KEY)).keyId
    await recordAdoption(options, former)
    return { store: store.url, id: file.id, logId, adopted: options.as }
  } finally {
    await environment.close()
  }
}

async function recordAdoption(
  options: AdoptRequest,
  former: { logId: string; size: number; root: string },
): Promise<void> {
  const environment = await openEnvironment({ ...options, mode: 'write' })
  try {
    const audit = await environment.audit()
    const act = options.as === 'copy' ? 'continues' : 'adopt'
    const details = { as: options.as, former: { ...former } }
    await audit.append([{ act, phase: 'event', actor: environment.actor, details }])
    await audit.checkpoint()
    const unlocked = (await environment.keys.list()).some(
      (key) => key.name === DEFAULT_KEY && key.hasPrivate && !key.encrypted,
    )
    if (options.as === 'copy' && unlocked) {
      await certify(environment.store, environment.keys, undefined)
    }
  } finally {
    await environment.close()
  }
}
