import { readKeyFiles } from '../db/open/key-ops.ts'
import { openKeys } from '../db/open/state-keys.ts'
import { hasCode } from '../errors/errors.ts'
import type { PublicKey } from '../trust/signer.ts'

/**
 * Keys that are trusted where nothing is changed: those in files, and those of a state folder.
 *
 * @param stateFolder finds it; undefined where there is none
 * @throws what reading the files throws; AUTH, UNREACHABLE, USAGE for a folder that cannot be read
 *   or found, unless files were given: they need no store beside them, readable or not
 */
export async function trustedKeys(
  keyFiles: readonly string[],
  stateFolder: () => string | undefined | Promise<string | undefined>,
): Promise<PublicKey[]> {
  const keys = await readKeyFiles(keyFiles)
  try {
    const folder = await stateFolder()
    return folder === undefined ? keys : [...keys, ...(await openKeys(folder).trusted())]
  } catch (error) {
    const isElsewhere = hasCode(error, 'AUTH', 'UNREACHABLE', 'TIMEOUT', 'USAGE')
    if (hasCode(error, 'NOT_FOUND') || (keys.length > 0 && isElsewhere)) return keys
    throw error
  }
}
