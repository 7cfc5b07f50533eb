import type { PublicKey } from '../trust/signer.ts'
import { HEAD_NAME } from './bundle-format.ts'
import { ByteSource } from './byte-source.ts'
import { type BundleHead, decodeHead } from './head.ts'
import { MemberWalk } from './member-walk.ts'
import { fileMembers } from './members.ts'
import { type BundleSigner, checkSigners, readHeadPart } from './open-head.ts'
import { type BundleProblem, ProblemList, problemsError } from './problems.ts'
import { verifyFiles } from './verify-files.ts'

export interface InspectRequest {
  readonly read: AsyncIterable<Uint8Array>
  /** Keys that the reader trusts; may be empty. */
  readonly keys: readonly PublicKey[]
  readonly signal?: AbortSignal
}

/** What a bundle says of itself. Only where `trusted` does somebody known say it. */
export interface BundleInspection {
  readonly trusted: boolean
  readonly signers: readonly BundleSigner[]
  readonly headDigest: string
  readonly head: BundleHead
  readonly stateRoots: Readonly<Record<string, string>>
  /** Only for a delta: the states that the receiver must have, by collection name. */
  readonly baseStateRoots?: Readonly<Record<string, string>>
  /** The in-toto Statement; absent where it is damaged or over 8 MiB. */
  readonly inventory?: unknown
  /** What is wrong with the part that was read; the blobs were not. */
  readonly problems: readonly BundleProblem[]
}

/**
 * Reads what stands before the blobs and shows it, whoever signed it.
 *
 * @throws INTEGRITY, SIGNATURE, FORMAT_VERSION where there is no head to show
 */
export async function inspectBundle(request: InspectRequest): Promise<BundleInspection> {
  const source = new ByteSource(request.read, request.signal)
  const problems = new ProblemList()
  try {
    const part = await readHeadPart(source, problems)
    if (part === undefined) throw problemsError(problems.all, 'the bundle')
    const signers = checkSigners(part, request.keys, problems)
    if (problems.all.some((problem) => problem.code === 'SIGNATURE')) {
      throw problemsError(problems.all, 'the bundle')
    }
    const trusted = signers.some((signer) => signer.trusted)
    const head = trusted ? decodeHead(part.head) : claimedHead(part.head)
    const walk = new MemberWalk(source, problems)
    walk.expect(fileMembers(head.files))
    const { inventory } = await verifyFiles({ source, walk, problems, head, filesOnly: true })
    return {
      trusted,
      signers,
      headDigest: part.headDigest,
      head,
      ...rootsOf(head),
      ...(inventory === undefined ? {} : { inventory: parse(inventory) }),
      problems: problems.all,
    }
  } finally {
    await source.close()
  }
}

/** A head that nobody known signed: what is odd about it is damage, never a newer format. */
function claimedHead(bytes: Uint8Array): BundleHead {
  try {
    return decodeHead(bytes)
  } catch (error) {
    const problems = new ProblemList()
    problems.addError(error, HEAD_NAME, 0)
    const [problem] = problems.all
    throw problemsError(
      [{ ...(problem as BundleProblem), code: 'INTEGRITY' }],
      'the bundle is not signed by a trusted key',
    )
  }
}

function rootsOf(head: BundleHead) {
  const stateRoots: Record<string, string> = {}
  const baseStateRoots: Record<string, string> = {}
  for (const { name, stateRoot, baseStateRoot } of head.collections) {
    stateRoots[name] = stateRoot
    if (baseStateRoot !== undefined) baseStateRoots[name] = baseStateRoot
  }
  return head.kind === 'delta' ? { stateRoots, baseStateRoots } : { stateRoots }
}

function parse(inventory: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(inventory).toString('utf8'))
  } catch {
    return undefined
  }
}
