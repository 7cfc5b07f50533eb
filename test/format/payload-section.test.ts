import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  createPayloadPageWriter,
  decodePage,
  decodePageDirectory,
  PAGE_BYTES,
  PAGE_DECODED_BYTES_MAX,
  PAGE_ENTRY_BYTES,
  PAYLOAD_LEVELS,
  type PayloadPage,
  type PayloadTier,
  pageOf,
  tierOfPages,
} from '../../src/format/payload-section.ts'
import { randomOf, type SearchRandom, seedOf } from '../search/random.ts'
import { codeOf, flipped } from './expect-code.ts'

interface Written {
  readonly pages: Buffer
  readonly pagedir: Buffer
  readonly decodedBytes: number
}

function write(texts: readonly string[], tier: PayloadTier = 'written'): Written {
  const writer = createPayloadPageWriter(tier)
  for (const text of texts) writer.add(text)
  const { sections, decodedBytes } = writer.finish()
  const bytes = (name: string): Buffer => {
    const found = sections.find((section) => section.name === name)
    const all = Buffer.concat([...(found?.pieces ?? [])])
    expect(all.length).toBe(found?.bytes)
    return all
  }
  return { pages: bytes('pages'), pagedir: bytes('pagedir'), decodedBytes }
}

const read = ({ pages, pagedir }: Written, count: number): string[] =>
  decodePageDirectory(pagedir, count, pages.length).flatMap((page) =>
    decodePage(pages.subarray(page.offset, page.offset + page.storedBytes), page),
  )

describe('payload pages', () => {
  it('come back: none, one, empty, large, many', () => {
    const large = `{"t":"${'ä'.repeat(200_000)}"}`
    const many = Array.from({ length: 5_000 }, (_, i) => `{"n":${i},"t":"${'y'.repeat(i % 40)}"}`)
    for (const texts of [[], ['{}'], ['', ''], [large], ['{}', large, '{}'], many]) {
      const written = write(texts)
      expect(read(written, texts.length)).toEqual(texts)
      const length = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
      expect(written.decodedBytes).toBe(length)
    }
  })

  it('close after the row that reaches the size of a page', () => {
    const row = (bytes: number): string => 'x'.repeat(bytes)
    const pagesOf = (...sizes: number[]) => write(sizes.map(row)).pagedir.length / PAGE_ENTRY_BYTES
    expect(pagesOf(PAGE_BYTES - 1, 1, 1)).toBe(2)
    expect(pagesOf(PAGE_BYTES, 1)).toBe(2)
    expect(pagesOf(PAGE_BYTES - 1)).toBe(1)
    expect(pagesOf(PAGE_BYTES + 1)).toBe(1)
    expect(pagesOf(1, PAGE_BYTES * 3, 1)).toBe(2)
  })

  it('find the page of each row', () => {
    const texts = Array.from({ length: 400 }, (_, i) => `"${'z'.repeat((i * 37) % 3_000)}"`)
    const { pages, pagedir } = write(texts)
    const directory = decodePageDirectory(pagedir, texts.length, pages.length)
    expect(directory.length).toBeGreaterThan(5)
    for (let row = 0; row < texts.length; row++) {
      const page = directory[pageOf(directory, row)] as PayloadPage
      expect(page.firstRow).toBeLessThanOrEqual(row)
      expect(row).toBeLessThan(page.firstRow + page.rows)
    }
  })

  it('are the same for the same rows', () => {
    const random = randomOf(seedOf())
    const texts = Array.from({ length: 2_000 }, () => `${random.whole(0, 2 ** 30)}`.repeat(20))
    expect(write(texts)).toEqual(write(texts))
  })
})

const WORDS = 'river stone light house north winter bread song iron bird'.split(' ')

/** Lines of words, about 80 bytes each. */
const texts = (random: SearchRandom, count: number): string[] =>
  Array.from({ length: count }, () => {
    const words = Array.from({ length: 10 }, () => random.pick(WORDS))
    return JSON.stringify({ n: random.whole(0, 10_000), text: words.join(' ') })
  })

describe('the tier of pages', () => {
  const TIERS = ['written', 'merged'] as const

  /** What `tierOfPages` says, and how many pages it looked at. */
  async function found(
    { pages, pagedir }: Written,
    rows: number,
  ): Promise<{ tier: PayloadTier; looked: number }> {
    let looked = 0
    const tier = await tierOfPages({
      directory: decodePageDirectory(pagedir, rows, pages.length),
      stored: async (page) => {
        looked++
        return pages.subarray(page.offset, page.offset + page.storedBytes)
      },
    })
    return { tier, looked }
  }

  it('is in their bytes, not in their rows: merged ones are smaller', () => {
    const rows = texts(randomOf(seedOf()), 5_000)
    const [written, merged] = [write(rows, 'written'), write(rows, 'merged')]
    expect(written.pages.length).toBeGreaterThan(merged.pages.length * 1.05)
    expect(read(merged, rows.length)).toEqual(rows)
    expect(write(rows, 'merged')).toEqual(merged)
    expect(PAYLOAD_LEVELS.written).toBe(constants.ZSTD_CLEVEL_DEFAULT)
  })

  it.each(TIERS)('is found from the first page that tells: %s', async (tier) => {
    const rows = texts(randomOf(seedOf()), 5_000)
    expect(await found(write(rows, tier), rows.length)).toEqual({ tier, looked: 1 })
    const blank = 'x'.repeat(PAGE_BYTES)
    const late = [blank, blank, ...rows]
    const looked = 3
    expect(write([blank], 'written')).toEqual(write([blank], 'merged'))
    expect(await found(write(late, tier), late.length)).toEqual({ tier, looked })
  })

  it('gives the same bytes again, whatever the rows', async () => {
    const random = randomOf(seedOf())
    for (let round = 0; round < 12; round++) {
      const rows = texts(random, random.pick([0, 1, 3, 30, 300, 2_000]))
      for (const tier of TIERS) {
        const written = write(rows, tier)
        expect(write(rows, (await found(written, rows.length)).tier)).toEqual(written)
      }
    }
  })

  it('is that of rows ingested where no page tells', async () => {
    const rows = ['{}', '{"a":1}']
    expect(write(rows, 'written')).toEqual(write(rows, 'merged'))
    expect(await found(write(rows, 'merged'), 2)).toEqual({ tier: 'written', looked: 1 })
    expect(await found(write([]), 0)).toEqual({ tier: 'written', looked: 0 })
  })

  it('is the nearest by length where another compressor wrote them', async () => {
    const rows = texts(randomOf(seedOf()), 600)
    const { pages, pagedir } = write(rows)
    const [page] = decodePageDirectory(pagedir, rows.length, pages.length) as [PayloadPage]
    expect(page.rows).toBe(rows.length)
    const decoded = zstdDecompressSync(pages)
    for (const [level, tier] of [
      [1, 'written'],
      [19, 'merged'],
    ] as const) {
      const frame = zstdCompressSync(decoded, {
        params: { [constants.ZSTD_c_compressionLevel]: level },
      })
      const directory = [{ ...page, storedBytes: frame.length }]
      expect(await tierOfPages({ directory, stored: async () => frame })).toBe(tier)
    }
  })

  it('is INTEGRITY where the page that would tell is damaged, however', async () => {
    const random = randomOf(seedOf())
    const rows = texts(random, 500)
    const whole = write(rows, 'merged')
    for (let round = 0; round < 100; round++) {
      const at = random.whole(0, whole.pages.length - 1)
      const pages = Buffer.from(flipped(whole.pages, at, random.whole(0, 7)))
      const tier = await found({ ...whole, pages }, rows.length).then(
        (answer) => answer.tier,
        (error: { code?: string }) => error.code,
      )
      // zstd frames carry no checksum: some damage decodes to other text of the same length.
      expect(['INTEGRITY', ...TIERS], `byte ${at}`).toContain(tier)
    }
    const cut = { ...whole, pages: whole.pages.subarray(0, -1) }
    const [page] = decodePageDirectory(cut.pagedir, rows.length, whole.pages.length)
    const source = { directory: [page as PayloadPage], stored: async () => cut.pages }
    await expect(tierOfPages(source)).rejects.toMatchObject({ code: 'INTEGRITY' })
  })
})

describe('a damaged page directory', () => {
  const texts = Array.from({ length: 300 }, (_, i) => `{"n":${i},"t":"${'w'.repeat(1_000)}"}`)
  const { pages, pagedir } = write(texts)

  it('is INTEGRITY cut anywhere, for another count of rows, for other pages', () => {
    for (let length = 0; length < pagedir.length; length++) {
      const open = () => decodePageDirectory(pagedir.subarray(0, length), 300, pages.length)
      expect(codeOf(open)).toBe('INTEGRITY')
    }
    for (const count of [0, 299, 301]) {
      expect(codeOf(() => decodePageDirectory(pagedir, count, pages.length))).toBe('INTEGRITY')
    }
    expect(codeOf(() => decodePageDirectory(pagedir, 300, pages.length + 1))).toBe('INTEGRITY')
  })

  it('is INTEGRITY with any bit turned, at once or when the page is read', () => {
    for (let at = 0; at < pagedir.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const altered = { pages, pagedir: Buffer.from(flipped(pagedir, at, bit)), decodedBytes: 0 }
        expect(
          codeOf(() => read(altered, 300)),
          `${at}.${bit}`,
        ).toBe('INTEGRITY')
      }
    }
  })
})

describe('a damaged page', () => {
  const page = (decoded: Uint8Array, rows: number): [Uint8Array, PayloadPage] => {
    const stored = zstdCompressSync(decoded)
    const sizes = { decodedBytes: decoded.length, storedBytes: stored.length }
    return [stored, { firstRow: 0, rows, offset: 0, ...sizes }]
  }
  const decoded = (...lengths: number[]): Buffer =>
    Buffer.concat([Buffer.from(Uint32Array.from(lengths).buffer), Buffer.from('{"a":1}')])

  it('is INTEGRITY where its rows do not fill it exactly', () => {
    expect(decodePage(...page(decoded(7), 1))).toEqual(['{"a":1}'])
    expect(decodePage(...page(decoded(3, 4), 2))).toEqual(['{"a', '":1}'])
    for (const lengths of [[6], [8], [0xffffffff], [7, 1], [0, 0], [7, 0xffffffff]]) {
      expect(codeOf(() => decodePage(...page(decoded(...lengths), lengths.length)))).toBe(
        'INTEGRITY',
      )
    }
    expect(codeOf(() => decodePage(...page(decoded(7), 2 ** 31)))).toBe('INTEGRITY')
    expect(codeOf(() => decodePage(...page(Buffer.alloc(2), 1)))).toBe('INTEGRITY')
  })

  it('is INTEGRITY where a row is not UTF-8', () => {
    const bad = Buffer.concat([Buffer.from(Uint32Array.of(2).buffer), Buffer.from([0xc3, 0x28])])
    expect(codeOf(() => decodePage(...page(bad, 1)))).toBe('INTEGRITY')
  })

  it('is INTEGRITY cut anywhere', () => {
    const [stored, entry] = page(decoded(7), 1)
    for (let length = 0; length < stored.length; length++) {
      expect(codeOf(() => decodePage(stored.subarray(0, length), entry))).toBe('INTEGRITY')
    }
  })

  it('that would grow far beyond what it says is stopped', () => {
    const [stored, entry] = page(Buffer.alloc(64 * 2 ** 20), 1)
    expect(stored.length).toBeLessThan(10_000)
    const before = process.memoryUsage().rss
    for (const decodedBytes of [0, 1, 100_000, 2 ** 20]) {
      expect(codeOf(() => decodePage(stored, { ...entry, decodedBytes }))).toBe('INTEGRITY')
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(32 * 2 ** 20)
  })

  it('that says more than a page can be is refused unread', () => {
    const [stored, entry] = page(decoded(7), 1)
    for (const decodedBytes of [PAGE_DECODED_BYTES_MAX + 1, 2 ** 32 - 1]) {
      expect(codeOf(() => decodePage(stored, { ...entry, decodedBytes }))).toBe('INTEGRITY')
    }
  })
})
