import { tarHeader } from '../../../src/bundle/tar-header.ts'
import { sha256Hex } from '../../../src/core/digest.ts'
import { signDetached } from '../../../src/trust/dsse.ts'
import type { Signer } from '../../../src/trust/signer.ts'
import { DEFAULT_SIGNER, LOG_SIGNER, partsOf, proofBy } from './fixture.ts'

const HEAD_TYPE = 'application/vnd.akidb.bundle-head+json'

/** A head as plain JSON, to be changed at will. */
export type LooseHead = Record<string, unknown>

/** A member as our tar has it. */
const member = (name: string, content: Uint8Array): Uint8Array =>
  Buffer.concat([
    tarHeader(name, content.length),
    content,
    Buffer.alloc((512 - (content.length % 512)) % 512),
  ])

/** A sound bundle whose head was changed, and signed and logged again by somebody. */
export async function resigned(
  bundle: Uint8Array,
  change: (head: LooseHead) => void,
  signer: Signer = DEFAULT_SIGNER,
): Promise<Uint8Array> {
  const [first, , , ...rest] = partsOf(bundle)
  const text = Buffer.from(first?.bytes ?? []).toString('utf8', 512)
  const head: LooseHead = JSON.parse(text.slice(0, text.indexOf('\n')))
  change(head)
  const bytes = Buffer.from(`${JSON.stringify(head)}\n`)
  return Buffer.concat([
    member('HEAD.json', bytes),
    member('HEAD.dsse', signDetached(HEAD_TYPE, bytes, [signer])),
    member('HEAD.tlog-proof', await proofBy(LOG_SIGNER)(sha256Hex(bytes))),
    ...rest.map((part) => part.bytes),
  ])
}
