import { runningSha256 } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { decodeState } from '../format/manifest-codec.ts'
import type { ByteSource } from './byte-source.ts'
import { Closure } from './closure.ts'
import type { BundleHead } from './head.ts'
import { headFileKind } from './head-files.ts'
import type { MemberWalk } from './member-walk.ts'
import { blobMembers, type Member } from './members.ts'
import type { ProblemList } from './problems.ts'
import { type BlobRecord, decodePage } from './records.ts'

export interface FilePass {
  readonly source: ByteSource
  readonly walk: MemberWalk
  readonly problems: ProblemList
  readonly head: BundleHead
  /** Takes each state whose digest holds. */
  readonly onState?: ((stateRoot: string, bytes: Uint8Array) => Promise<void>) | undefined
  /** Digests alone: states and pages are not opened, and no blob is expected. */
  readonly filesOnly?: boolean
}

/** What the files between the proof and the blobs say. */
export interface FileFindings {
  /** Members below keys/, by name. */
  readonly keys: ReadonlyMap<string, Uint8Array>
  /**
   * The complete set of blobs; undefined where a page is missing or damaged: then no blob has a
   * place.
   */
  readonly records: readonly BlobRecord[] | undefined
  readonly inventory: Uint8Array | undefined
  /** The first member of the blobs, whose header has been read. */
  readonly next: Member | undefined
}

/**
 * Reads the files that the head lists, each against its digest, and expects the blobs that the
 * pages name.
 */
export async function verifyFiles(pass: FilePass): Promise<FileFindings> {
  const reader = new FileReader(pass)
  let member = await pass.walk.next()
  for (; member?.kind === 'file'; member = await pass.walk.next()) await reader.read(member)
  return { ...reader.findings(), next: member }
}

class FileReader {
  readonly #pass: FilePass
  readonly #keys = new Map<string, Uint8Array>()
  readonly #closure = new Closure()
  #statesLeft: number
  #records: BlobRecord[] | undefined = []
  #pagesLeft: number
  #inventory: Uint8Array | undefined

  constructor(pass: FilePass) {
    this.#pass = pass
    const kinds = pass.head.files.map(headFileKind)
    this.#statesLeft = kinds.filter((kind) => kind === 'state').length
    this.#pagesLeft = kinds.filter((kind) => kind === 'page').length
  }

  async read(member: Member & { kind: 'file' }): Promise<void> {
    const { source, walk, problems } = this.#pass
    const offset = source.offset
    const bytes = await this.#content(member)
    if (bytes === undefined) return
    await walk.endOf(member)
    try {
      await this.#use(member, bytes)
    } catch (error) {
      problems.addError(error, member.name, offset)
      if (headFileKind(member.file) === 'page') this.#records = undefined
    }
  }

  findings() {
    const records = this.#pagesLeft === 0 ? this.#records : undefined
    return { keys: this.#keys, records, inventory: this.#inventory }
  }

  /** The content where its digest holds; a large inventory is hashed and not kept. */
  async #content(member: Member & { kind: 'file' }): Promise<Uint8Array | undefined> {
    const { source, walk, problems } = this.#pass
    const offset = source.offset
    const keep = headFileKind(member.file) !== 'inventory' || member.bytes <= INVENTORY_KEPT_BYTES
    const digest = runningSha256()
    const parts: Uint8Array[] = []
    const passed = await source.pass(member.bytes, (piece) => {
      digest.update(piece)
      if (keep) parts.push(Uint8Array.from(piece))
    })
    if (passed < member.bytes) {
      walk.truncated()
      return undefined
    }
    if (digest.hex() === member.file.sha256) return Buffer.concat(parts)
    problems.add(
      'INTEGRITY',
      member.name,
      offset,
      'its content has another digest than the head says',
    )
    await walk.endOf(member)
    return undefined
  }

  async #use({ file }: Member & { kind: 'file' }, bytes: Uint8Array): Promise<void> {
    const kind = headFileKind(file)
    if (this.#pass.filesOnly === true && kind !== 'inventory') return
    if (kind === 'key') this.#keys.set(file.path, bytes)
    if (kind === 'inventory' && bytes.byteLength > 0) this.#inventory = bytes
    if (kind === 'state') {
      this.#closure.add(decodeState(bytes, file.path))
      this.#statesLeft--
      await this.#pass.onState?.(file.sha256, bytes)
    }
    if (kind === 'page') this.#page(bytes, file.path)
  }

  #page(bytes: Uint8Array, path: string): void {
    const records = this.#records
    if (records === undefined) return
    for (const record of decodePage(bytes, path, records.at(-1)?.ref.digest ?? '')) {
      records.push(record)
    }
    if (--this.#pagesLeft > 0) return
    checkTotals(this.#pass.head, records)
    checkLeftOut(this.#pass.head, records)
    if (this.#statesLeft === 0) this.#closure.check(records)
    this.#pass.walk.expect(blobMembers(records, this.#pass.head.partBytes))
  }
}

/** An inventory over this is checked and not shown. */
const INVENTORY_KEPT_BYTES = 2 * limits.chunkBytesLarge

/** What a full bundle does not carry the receiver must be able to build anew: graphs alone. */
function checkLeftOut({ kind }: BundleHead, records: readonly BlobRecord[]): void {
  const lost = records.find(({ ref, carried }) => !carried && ref.role !== 'graph')
  if (kind === 'delta' || lost === undefined) return
  const { role, digest } = lost.ref
  throw new AkidbError('INTEGRITY', `a full bundle leaves out the ${role} blob ${digest}`, {
    hint: 'Ask the sender for a new export.',
  })
}

function checkTotals({ totals }: BundleHead, records: readonly BlobRecord[]): void {
  const carried = records.filter((record) => record.carried)
  const sum = (items: readonly BlobRecord[]) => items.reduce((all, { ref }) => all + ref.bytes, 0)
  if (
    records.length !== totals.blobs ||
    carried.length !== totals.carriedBlobs ||
    sum(records) !== totals.bytes ||
    sum(carried) !== totals.carriedBytes
  ) {
    throw new AkidbError('INTEGRITY', 'the pages do not add up to the totals of the head', {
      hint: 'Ask the sender for a new export.',
    })
  }
}
