import type { Manifest } from '../../format/manifest.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { warnOf } from './log-groups.ts'
import { OutboxWriter } from './outbox-writer.ts'

interface OutboxOwner {
  /** @throws CONFLICT where another owner has come */
  readonly confirm: () => Promise<void>
  /** Told once, when another owner has come. */
  readonly onReplaced: () => Promise<unknown>
}

/** Writes a log whose rows are acknowledged in the state folder; undefined: they are not. */
export function openOutbox(
  { environment, name }: CollectionCore,
  { commit }: Manifest,
  { confirm, onReplaced }: OutboxOwner,
): OutboxWriter | undefined {
  if (environment.isShared !== true || environment.durability !== 'local') return undefined
  return new OutboxWriter({
    environment,
    log: commit,
    confirm,
    onReplaced: () => {
      onReplaced().catch((error: unknown) =>
        warnOf(environment, error, `cannot commit the log of "${name}"`),
      )
    },
    onFailure: (error) => warnOf(environment, error, `rows of "${name}" wait in the state folder`),
  })
}
