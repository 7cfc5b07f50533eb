import type { BlobRef } from '../format/manifest.ts'
import type { PublicKey } from '../trust/signer.ts'
import { HEAD_NAME, PROOF_NAME } from './bundle-format.ts'
import { ByteSource } from './byte-source.ts'
import { type BundleHead, decodeHead } from './head.ts'
import { checkLogProof } from './log-proof.ts'
import { MemberWalk } from './member-walk.ts'
import { blobMembers, bundleBytes, fileMembers } from './members.ts'
import { type BundleSigner, checkSigners, type HeadPart, readHeadPart } from './open-head.ts'
import { type BundleProblem, ProblemList } from './problems.ts'
import { type OnBundleProgress, ProgressSteps } from './progress.ts'
import type { BlobRecord } from './records.ts'
import { type BundleSink, verifyBlobs } from './verify-blobs.ts'
import { type FileFindings, verifyFiles } from './verify-files.ts'

export interface VerifyRequest {
  /**
   * The bundle's bytes, in pieces of any size; a piece is read before the next one is asked for.
   */
  readonly read: AsyncIterable<Uint8Array>
  /** Keys that the reader trusts. Without any, every bundle is UNTRUSTED. */
  readonly keys: readonly PublicKey[]
  /** Takes states and blobs into staging (import). */
  readonly sink?: BundleSink
  readonly onProgress?: OnBundleProgress
  readonly signal?: AbortSignal
}

/** The whole finding about a bundle. Only where `ok` may anything of it be used. */
export interface BundleReport {
  readonly ok: boolean
  readonly problems: readonly BundleProblem[]
  readonly signers: readonly BundleSigner[]
  /** SHA-256 of HEAD.json: what a receipt or a log says of this bundle. */
  readonly headDigest?: string
  /** Only where a trusted signature over it holds. */
  readonly head?: BundleHead
  /** State roots by collection name. */
  readonly stateRoots: Readonly<Record<string, string>>
  /** Bytes that were read. */
  readonly bytes: number
  /**
   * The blobs that the bundle neither carries nor the receiver has: of a delta whose base is
   * missing.
   */
  missing(have: (digest: string) => Promise<boolean>): Promise<readonly BlobRef[]>
}

/**
 * Reads a bundle once, in order, and checks every byte of it: signature first, then each member
 * against what the signed head and its pages predict, to the end of the file. Names all problems,
 * goes on after a bad chunk.
 *
 * Before the signature holds, everything odd is INTEGRITY, SIGNATURE or UNTRUSTED, and nothing
 * further is believed. Memory: the head, the records (some 300 bytes a blob), one list of chunk
 * hashes, and the reader's own piece.
 *
 * @throws only what `read`, `sink` or `signal` throw: problems are in the report
 */
export async function verifyBundle(request: VerifyRequest): Promise<BundleReport> {
  const source = new ByteSource(request.read, request.signal)
  const problems = new ProblemList()
  try {
    const part = await readHeadPart(source, problems)
    if (part === undefined) return report({ problems, source })
    const signers = checkSigners(part, request.keys, problems)
    const found = { problems, source, signers, headDigest: part.headDigest }
    if (!signers.some((signer) => signer.trusted)) return report(found)
    const head = believed(part, problems)
    if (head === undefined) return report(found)
    const records = await verifyMembers(request, { ...found, head, part })
    return report({ ...found, head, records })
  } finally {
    await source.close()
  }
}

function believed(part: HeadPart, problems: ProblemList): BundleHead | undefined {
  try {
    return decodeHead(part.head)
  } catch (error) {
    problems.addError(error, HEAD_NAME, 0)
    return undefined
  }
}

interface Opened {
  readonly problems: ProblemList
  readonly source: ByteSource
  readonly head: BundleHead
  readonly part: HeadPart
}

async function verifyMembers(
  request: VerifyRequest,
  { problems, source, head, part }: Opened,
): Promise<readonly BlobRecord[] | undefined> {
  const { sink } = request
  const walk = new MemberWalk(source, problems)
  walk.expect(fileMembers(head.files))
  const onState = sink === undefined ? undefined : sink.state.bind(sink)
  const found = await verifyFiles({ source, walk, problems, head, onState })
  checkProof(request, { problems, source, head, part }, found)
  const { records } = found
  if (records === undefined) {
    if (!walk.lost) problems.add('INTEGRITY', HEAD_NAME, source.offset, NO_PLACES)
    return undefined
  }
  const steps = new ProgressSteps('verify', request.onProgress)
  steps.expect(bytesOf(head, part, records))
  const tick = (member: string): void => steps.at(source.offset, member)
  await verifyBlobs({ source, walk, problems, sink, tick }, found.next)
  await walk.finish()
  steps.end(source.offset)
  return records
}

const NO_PLACES = 'without all of its pages no blob has a place: the blobs were not checked'

function checkProof(request: VerifyRequest, opened: Opened, found: FileFindings): void {
  const { head, part, problems } = opened
  const { headDigest, proof } = part
  try {
    checkLogProof({ head, headDigest, proof, files: found.keys, keys: request.keys })
  } catch (error) {
    problems.addError(error, PROOF_NAME, 0)
  }
}

const bytesOf = (head: BundleHead, part: HeadPart, records: readonly BlobRecord[]): number =>
  bundleBytes(
    [part.head.byteLength, part.signatures.byteLength, part.proof.byteLength],
    [...fileMembers(head.files), ...blobMembers(records, head.partBytes)],
  )

interface Found {
  readonly problems: ProblemList
  readonly source: ByteSource
  readonly signers?: readonly BundleSigner[]
  readonly headDigest?: string
  readonly head?: BundleHead
  readonly records?: readonly BlobRecord[] | undefined
}

function report(found: Found): BundleReport {
  const { problems, head, headDigest, records } = found
  const roots = head?.collections.map(({ name, stateRoot }) => [name, stateRoot]) ?? []
  return {
    ok: problems.none && head !== undefined && records !== undefined,
    problems: problems.all,
    signers: found.signers ?? [],
    ...(headDigest === undefined ? {} : { headDigest }),
    ...(head === undefined ? {} : { head }),
    stateRoots: Object.fromEntries(roots),
    bytes: found.source.offset,
    missing: (have) => missingOf(records ?? [], have),
  }
}

async function missingOf(
  records: readonly BlobRecord[],
  have: (digest: string) => Promise<boolean>,
): Promise<readonly BlobRef[]> {
  const missing: BlobRef[] = []
  for (const { ref, carried } of records) {
    if (!carried && !(await have(ref.digest))) missing.push(ref)
  }
  return missing
}
