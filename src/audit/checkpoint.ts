import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { openNote, parseNote, signNote } from '../trust/note.ts'
import type { PublicKey, Signer } from '../trust/signer.ts'

/** What a log says of itself: its first `size` entries have this root. */
export interface Checkpoint {
  /** Name of the log; the key signs under it. No spaces, no '+'. */
  readonly origin: string
  readonly size: number
  /** 32 bytes. */
  readonly root: Uint8Array
}

/** A signed note over a checkpoint. Source: C2SP tlog-checkpoint. */
export function signCheckpoint(checkpoint: Checkpoint, signer: Signer): Uint8Array {
  const { origin, size, root } = checkpoint
  const text = `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`
  return signNote(text, origin, signer)
}

/**
 * The checkpoint in a note that one of `keys` signed under the log's own name.
 * @throws SIGNATURE where it is malformed or a signature does not hold
 * @throws UNTRUSTED where none of `keys` signed it
 */
export function openCheckpoint(bytes: Uint8Array, keys: readonly PublicKey[]): Checkpoint {
  const checkpoint = parseCheckpoint(bytes)
  openNote(
    bytes,
    keys.map((key) => ({ name: checkpoint.origin, key })),
  )
  return checkpoint
}

/**
 * The checkpoint in a note, whoever signed it.
 * @throws SIGNATURE where it is malformed
 */
export function parseCheckpoint(bytes: Uint8Array): Checkpoint {
  if (bytes.length > limits.auditNoteBytesMax) {
    throw malformed(`it has more than ${limits.auditNoteBytesMax} bytes`)
  }
  const [origin, size, root, end, ...more] = parseNote(bytes).text.split('\n')
  const hash = Buffer.from(root ?? '', 'base64')
  if (!origin || end !== '' || more.length > 0) throw malformed('it does not have three lines')
  if (!/^(?:0|[1-9]\d{0,15})$/.test(size ?? '')) throw malformed('its size is no count')
  if (hash.length !== 32 || hash.toString('base64') !== root) throw malformed('its root is no hash')
  if (Number(size) > limits.auditEntriesMax) throw malformed('its size is over every limit')
  return { origin, size: Number(size), root: new Uint8Array(hash) }
}

const malformed = (why: string): AkidbError =>
  new AkidbError('SIGNATURE', `the checkpoint does not check out: ${why}`, {
    hint: 'It was altered or torn; get it again from where it was made.',
  })
