import { limits } from '../core/limits.ts'
import type { ByteSource } from './byte-source.ts'
import type { Member } from './members.ts'
import type { ProblemList } from './problems.ts'
import { BLOCK_BYTES, claimedBytes, claimedName, paddingBytes, tarHeader } from './tar-header.ts'

/**
 * Follows the predicted members through a bundle. A header is never believed: it is compared with
 * the one that must stand there. Where it differs, what it claims serves to name the problem and to
 * find the way again, nothing else.
 */
export class MemberWalk {
  readonly #source: ByteSource
  readonly #problems: ProblemList
  readonly #members: Member[] = []
  readonly #missing = new Set<number>()
  #next = 0
  #detours = 0
  #unknownHeaders = 0
  #lost = false

  constructor(source: ByteSource, problems: ProblemList) {
    this.#source = source
    this.#problems = problems
  }

  /** True where what follows cannot be placed any more. */
  get lost(): boolean {
    return this.#lost
  }

  /** Says which members must come after those that are already expected. */
  expect(members: readonly Member[]): void {
    for (const member of members) this.#members.push(member)
  }

  /**
   * Reads headers up to the next expected member, whose content follows; undefined after the last,
   * or when lost.
   */
  async next(): Promise<Member | undefined> {
    while (!this.#lost && this.#next < this.#members.length) {
      const expected = this.#members[this.#next] as Member
      const offset = this.#source.offset
      const header = await this.#source.take(BLOCK_BYTES)
      if (header.byteLength < BLOCK_BYTES) {
        this.truncated()
      } else if (matches(header, expected)) {
        this.#unknownHeaders = 0
        this.#next++
        return expected
      } else {
        const found = await this.#detour(header, offset, expected)
        if (found !== undefined) return found
      }
    }
    return undefined
  }

  /** Reads what stands between a member's content and the next header: zeros. */
  async endOf(member: { readonly name: string; readonly bytes: number }): Promise<void> {
    const offset = this.#source.offset
    const wanted = paddingBytes(member.bytes)
    const padding = await this.#source.take(wanted)
    if (padding.byteLength < wanted) this.truncated()
    else if (!isZero(padding)) this.#bad(member.name, offset, 'the bytes after it are not zeros')
  }

  /** The end marker, then the end of the file. */
  async finish(): Promise<void> {
    while (!this.#lost) {
      const offset = this.#source.offset
      const block = await this.#source.take(BLOCK_BYTES)
      if (block.byteLength < BLOCK_BYTES) return this.truncated()
      if (isZero(block)) {
        const second = await this.#source.take(BLOCK_BYTES)
        if (second.byteLength < BLOCK_BYTES) return this.truncated()
        if (!isZero(second)) this.#bad('end', offset, 'the end marker is altered')
        if (!(await this.#source.atEnd())) {
          this.#bad('end', this.#source.offset, 'bytes follow the end marker')
        }
        return
      }
      await this.#detour(block, offset, undefined)
    }
  }

  /** Notes that the file ends too early, and which members are missing. */
  truncated(): void {
    this.#lost = true
    const at = this.#source.offset
    const inside = this.#members[this.#next - 1]?.name ?? 'HEAD.json'
    this.#bad(inside, at, `the file is truncated: it ends at byte ${at}, after or inside ${inside}`)
    this.#missingUpTo(this.#members.length, at)
  }

  async #detour(
    header: Uint8Array,
    offset: number,
    expected: Member | undefined,
  ): Promise<Member | undefined> {
    const wanted = expected?.name ?? 'end'
    if (++this.#detours > limits.bundleDetoursMax) return this.#loseWay(wanted, offset)
    if (isZero(header)) {
      this.#bad(wanted, offset, `the end marker stands where ${wanted} should`)
      this.#missingUpTo(this.#members.length, offset)
      this.#lost = true
      return undefined
    }
    const name = claimedName(header)
    const known = this.#members.findIndex((member) => member.name === name)
    if (known >= 0 && matches(header, this.#members[known] as Member)) {
      return this.#elsewhere(known, offset)
    }
    return this.#foreign(header, offset, expected)
  }

  /**
   * A true header of ours in another place: members before it are missing, or it stands twice or
   * too late.
   */
  async #elsewhere(index: number, offset: number): Promise<Member | undefined> {
    const member = this.#members[index] as Member
    if (index >= this.#next) {
      this.#missingUpTo(index, offset)
      this.#next = index + 1
      return member
    }
    const what = this.#missing.has(index) ? 'it stands too late: swapped' : 'it stands twice'
    this.#bad(member.name, offset, what)
    await this.#source.skip(member.bytes + paddingBytes(member.bytes))
    return undefined
  }

  /** A header that no member of this bundle has. */
  async #foreign(
    header: Uint8Array,
    offset: number,
    expected: Member | undefined,
  ): Promise<Member | undefined> {
    const name = claimedName(header)
    const bytes = hasChecksum(header) ? claimedBytes(header) : undefined
    if (expected !== undefined && (bytes === undefined || name === expected.name)) {
      this.#bad(expected.name, offset, 'its header is not the one that it must have')
      const likely = bytes === expected.bytes
      if (!likely && ++this.#unknownHeaders > 1) return this.#loseWay(expected.name, offset)
      this.#next++
      if (bytes === undefined || likely) return expected
      await this.#source.skip(bytes + paddingBytes(bytes))
      return undefined
    }
    if (bytes === undefined) return this.#loseWay('end', offset)
    this.#bad(printable(name), offset, 'no such member belongs here')
    await this.#source.skip(bytes + paddingBytes(bytes))
    return undefined
  }

  #loseWay(member: string, offset: number): undefined {
    this.#lost = true
    this.#bad(member, offset, 'what stands here is not expected, and what follows was not checked')
    return undefined
  }

  #missingUpTo(index: number, offset: number): void {
    for (; this.#next < index; this.#next++) {
      this.#missing.add(this.#next)
      this.#bad((this.#members[this.#next] as Member).name, offset, 'it is missing here')
    }
  }

  #bad(member: string, offset: number, message: string): void {
    this.#problems.add('INTEGRITY', member, offset, message)
  }
}

const matches = (header: Uint8Array, member: Member): boolean =>
  Buffer.compare(header, tarHeader(member.name, member.bytes)) === 0

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

/**
 * Whether a header's checksum fits: then somebody wrote it so, and it is not a damaged one of ours.
 */
function hasChecksum(header: Uint8Array): boolean {
  const claimed = Buffer.from(header.subarray(148, 156)).toString('latin1')
  let sum = 0
  for (const [at, byte] of header.entries()) sum += at >= 148 && at < 156 ? 0x20 : byte
  return /^[0-7]{6}\0 $/.test(claimed) && Number.parseInt(claimed, 8) === sum
}

/** A claimed name for a message: no control characters, nothing beyond ASCII. */
const printable = (name: string): string => name.replace(/[^\x20-\x7e]/g, '?') || '?'
