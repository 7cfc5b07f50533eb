import { describe, expect, it } from 'vitest'
import { tokenize } from '../../src/search/tokenizer.ts'
import { UNICODE_VERSION } from '../../src/search/unicode-tables.ts'
import { randomOf, seedOf } from './random.ts'

describe('plain/1', () => {
  it.each<[string, readonly string[]]>([
    ['', []],
    [' \n\t', []],
    ['a', ['a']],
    ["The B-52's 2nd flight, 1961.", ['the', 'b', '52', 's', '2nd', 'flight', '1961']],
    ['snake_case x²', ['snake', 'case', 'x']],
    ['Äiti ÅÄÖ ÉCOLE', ['äiti', 'åäö', 'école']],
    ['e\u0301tude E\u0301', ['e\u0301tude', 'e\u0301']],
    ['ΟΔΟΣ', ['οδοσ']],
    ['İstanbul', ['istanbul']],
    ['STRASSE straße ẞ', ['strasse', 'straße', 'ß']],
    ['Мир ЁЛКА', ['мир', 'ёлка']],
    ['हिन्दी की किताब', ['हिन्दी', 'की', 'किताब']],
    ['السلام عليكم', ['السلام', 'عليكم']],
    ['שָׁלוֹם', ['שָׁלוֹם']],
    ['東京都、日本。', ['東京都', '日本']],
    ['ภาษาไทย', ['ภาษาไทย']],
    ['٣٤٥ १२३', ['٣٤٥', '१२३']],
    ['Ⅳ ½ ①', []],
    ['𐐀𐐁 𠀀x', ['𐐨𐐩', '𠀀x']],
    ['a😀b', ['a', 'b']],
    ['ა Ა ᲀ', ['ა', 'ა', 'ᲀ']],
    ['\ud800a\udc00', ['a']],
  ])('cuts %j', (text, tokens) => {
    expect(tokenize(text)).toEqual(tokens)
  })

  it('gives the tokens of its own tables, which are those of one Unicode version', () => {
    expect(UNICODE_VERSION).toBe('17.0')
    if (process.versions.unicode !== UNICODE_VERSION) return
    const random = randomOf(seedOf())
    const letters = /[\p{L}\p{M}\p{Nd}]+/gu
    for (let i = 0; i < 2_000; i++) {
      const text = Array.from({ length: 30 }, () => {
        const code = random.whole(0, random.pick([0x7f, 0x5ff, 0xffff, 0x1ffff, 0x10ffff]))
        return code >= 0xd800 && code < 0xe000 ? ' ' : String.fromCodePoint(code)
      }).join('')
      const wanted = (text.match(letters) ?? []).map((run) =>
        Array.from(run, (letter) => (letter === 'İ' ? 'i' : letter.toLowerCase())).join(''),
      )
      expect(tokenize(text)).toEqual(wanted)
    }
  })
})
