import { XMLParser } from 'fast-xml-parser'
import { describe, expect, it } from 'vitest'
import { plainXml } from '../../src/storage/s3/plain-xml.ts'

const LISTS = new Set(['Version', 'Contents'])
const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  processEntities: false,
  isArray: (name) => LISTS.has(name),
})

/** What the parser makes of a document, without its declaration. */
function parsed(text: string): unknown {
  const { '?xml': _, ...rest } = parser.parse(text) as Record<string, unknown>
  return rest
}

const plain = (text: string): unknown => JSON.parse(JSON.stringify(plainXml(text, LISTS) ?? null))

const PAGE = `<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix></Prefix>
  <KeyMarker/><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>
  <Version><Key>a%2Fb&amp;c</Key><VersionId>1</VersionId><ETag>&#34;x&#34;</ETag><Owner><ID>1</ID>
    <DisplayName xsi:type="CanonicalUser">  two words </DisplayName></Owner></Version>
  <Version><Key>a &gt; b > c</Key></Version><Other>1</Other><Other>2</Other>
</ListVersionsResult>
`

describe('plain XML', () => {
  it.each([
    ['a page of a listing', PAGE],
    ['one element', '<a>1</a>'],
    ['an empty element', '<a/>'],
    ['an empty list', '<a><Contents/></a>'],
    ['white space', '\n<a>\n <b> \n </b>\n</a>\n'],
    ['a name with a prefix', '<s3:a><s3:b>1</s3:b></s3:a>'],
  ])('reads %s as the parser does', (_, text) => {
    expect(plain(text)).toEqual(parsed(text))
  })

  it('keeps texts as they stand where they are written again', () => {
    const text = '<r xmlns="x"><a> b </a><c>\n </c><d> </d><e>\r\n&#xD;</e>\r\n<f/></r>'
    expect(JSON.parse(JSON.stringify(plainXml(text, LISTS, true)))).toEqual({
      r: { a: ' b ', c: '', d: ' ', e: '\r\n&#xD;', f: '' },
    })
    for (const lost of ['<a k="v">1</a>', '<a k="v"/>', '<x:a>1</x:a>', '<!-- a -->']) {
      expect(plainXml(`<r>${lost}</r>`, LISTS, true)).toBeUndefined()
    }
  })

  it('reads what is made at random as the parser does', () => {
    const seed = Date.now() >>> 0
    let state = seed
    const random = (count: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((state / 2 ** 32) * count)
    }
    const texts = ['', 'x', ' x y ', '&amp;', 'a>b', '"', '\u00e9\u{1f600}', '0', '\n']
    const names = ['a', 'b', 'Version', 'Contents', 'Key', 'x-y', '_z']
    const element = (depth: number): string => {
      const name = names[random(names.length)]
      const attribute = random(4) === 0 ? ` k="${['', 'v', '/', "it's"][random(4)]}"` : ''
      if (random(6) === 0) return `<${name}${attribute}/>`
      const children = depth > 3 ? 0 : random(4)
      const inner = Array.from({ length: children }, () => element(depth + 1)).join(
        random(2) === 0 ? '' : '\n ',
      )
      return `<${name}${attribute}>${children > 0 ? inner : texts[random(texts.length)]}</${name}>`
    }
    for (let trial = 0; trial < 500; trial++) {
      const text = element(0)
      expect(plain(text), `seed ${seed}: ${text}`).toEqual(parsed(text))
    }
  })

  it.each([
    ['a comment', '<a><!-- <b> --></a>'],
    ['CDATA', '<a><![CDATA[1]]></a>'],
    ['an instruction', '<a><?x y?></a>'],
    ['a document type', '<!DOCTYPE a><a/>'],
    ['text beside elements', '<a>1<b>2</b></a>'],
    ['text behind elements', '<a><b>2</b>1</a>'],
    ['text outside', 'x<a/>'],
    ['text at the end', '<a/>x'],
    ['two documents', '<a/><b/>'],
    ['nothing', ''],
    ['an element that does not end', '<a><b></b>'],
    ['ends in another order', '<a><b></a></b>'],
    ['an end alone', '</a>'],
    ['a tag that does not end', '<a>1</a'],
    ['an attribute with ">"', '<a b="1>2">x</a>'],
    ['an attribute without quotes', '<a b=1>x</a>'],
    ['a name that is none', '<1a>x</1a>'],
    ['a name that objects have', '<a><__proto__>x</__proto__></a>'],
    ['another such name', '<a><constructor>x</constructor></a>'],
    ['ends of lines that would be changed', '<a>1\r\n2</a>'],
    ['what is nested too deep', '<a>'.repeat(17) + '</a>'.repeat(17)],
  ])('leaves %s to the parser', (_, text) => {
    expect(plainXml(text, LISTS)).toBeUndefined()
  })
})
