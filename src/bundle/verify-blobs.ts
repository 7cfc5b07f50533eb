import type { BlobRef } from '../format/manifest.ts'
import { BlobCheck } from './blob-check.ts'
import type { ByteSource } from './byte-source.ts'
import type { MemberWalk } from './member-walk.ts'
import type { Member } from './members.ts'
import type { ProblemList } from './problems.ts'

/**
 * Takes what a bundle holds into staging while it is checked. Nothing may become visible before the
 * whole report is ok.
 */
export interface BundleSink {
  /** A state's exact bytes (line 2), their digest checked. */
  state(stateRoot: string, bytes: Uint8Array): Promise<void>
  /** A blob begins. False: its bytes are not wanted, and none of the calls below follows for it. */
  begin(ref: BlobRef): Promise<boolean>
  /** The next bytes of it, not yet checked; valid until the promise resolves. */
  write(bytes: Uint8Array): Promise<void>
  /** The blob is whole and every byte of it has been checked. */
  end(): Promise<void>
  /** The blob is damaged or incomplete: what was written of it is worth nothing. */
  abort(): Promise<void>
}

export interface BlobPass {
  readonly source: ByteSource
  readonly walk: MemberWalk
  readonly problems: ProblemList
  readonly sink: BundleSink | undefined
  /** Called now and then with the bytes read. */
  readonly tick: (member: string) => void
}

/**
 * Reads the blobs' members to the last one; each is checked alone, so one bad blob does not hide
 * another.
 */
export async function verifyBlobs(pass: BlobPass, first: Member | undefined): Promise<void> {
  let open: OpenBlob | undefined
  try {
    for (let member = first; member !== undefined; member = await pass.walk.next()) {
      if (member.kind === 'file') throw new Error('a file stands among the blobs')
      if (open?.check.ref !== member.ref) {
        await open?.abandon()
        open = new OpenBlob(pass, member.ref)
      }
      if (member.kind === 'chunks') await open.readList(member)
      else await open.readPart(member)
    }
  } finally {
    await open?.abandon()
  }
}

/** One blob between its first member and its last. */
class OpenBlob {
  readonly check: BlobCheck
  readonly #pass: BlobPass
  #wanted = false
  #broken = false

  constructor(pass: BlobPass, ref: BlobRef) {
    this.#pass = pass
    this.check = new BlobCheck(ref, pass.problems)
  }

  async readList(member: Member & { kind: 'chunks' }): Promise<void> {
    const { source, walk } = this.#pass
    const offset = source.offset
    const bytes = await source.take(member.bytes)
    if (bytes.byteLength < member.bytes) return walk.truncated()
    this.check.list(bytes, member.name, offset)
    await walk.endOf(member)
  }

  async readPart(member: Member & { kind: 'part' }): Promise<void> {
    const { source, walk, sink, tick } = this.#pass
    const { check } = this
    if (member.offset !== check.at) this.#broken = true
    else if (member.offset === 0) this.#wanted = (await sink?.begin(check.ref)) ?? false
    check.enter(member.name, source.offset)
    const passed = await source.pass(member.bytes, (piece) => {
      if (this.#broken) return undefined
      check.update(piece)
      tick(member.name)
      return this.#wanted ? sink?.write(piece) : undefined
    })
    if (passed < member.bytes) return walk.truncated()
    await walk.endOf(member)
    if (check.at === check.ref.bytes) await this.#close()
  }

  async #close(): Promise<void> {
    const whole = this.check.finish()
    if (!whole) return this.abandon()
    if (this.#wanted) await this.#pass.sink?.end()
    this.#wanted = false
  }

  /** Ends a blob that will not become whole. Does nothing for one that has ended. */
  async abandon(): Promise<void> {
    if (this.#wanted) await this.#pass.sink?.abort()
    this.#wanted = false
  }
}
