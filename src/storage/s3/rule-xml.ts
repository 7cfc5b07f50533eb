import type { JsonValue } from '../../core/json.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { XmlElement, XmlValue } from './plain-xml.ts'
import { escapeXml, unescapeXml } from './s3-xml.ts'

/** Lists of the JSON form whose elements have another name in XML. */
const ELEMENT_OF: Readonly<Record<string, string>> = {
  Tags: 'Tag',
  Transitions: 'Transition',
  NoncurrentVersionTransitions: 'NoncurrentVersionTransition',
}
const NAME = /^[A-Z][A-Za-z]{0,63}$/
/** Elements inside each other; rules of S3 have four. */
const DEPTH_MAX = 8

/**
 * A rule in the JSON that S3's command lines take (`aws s3api`, `mc ilm import`), as an element.
 *
 * @param path what it is called in messages
 * @throws BAD_INPUT for what is no such rule
 */
export function elementOf(json: JsonValue, path: string): XmlElement {
  const value = partOf(json, path, DEPTH_MAX)
  if (typeof value === 'string' || isList(value)) throw wrong(path, 'expected an object')
  return value
}

function partOf(json: JsonValue, path: string, depth: number): XmlValue {
  if (typeof json === 'string') return escapeXml(xmlTextOf(json, path))
  if (typeof json === 'boolean' || typeof json === 'bigint') return String(json)
  if (typeof json === 'number' && Number.isSafeInteger(json)) return String(json)
  if (depth === 0) throw wrong(path, 'it nests too deep')
  if (Array.isArray(json)) return json.map((item, i) => partOf(item, `${path}[${i}]`, depth - 1))
  if (!(json instanceof Map)) throw wrong(path, 'expected text, a whole number, true or false')
  const element: Record<string, XmlValue> = Object.create(null)
  for (const [key, member] of json) {
    const name = ELEMENT_OF[key] ?? key
    if (!NAME.test(name) || name in element) throw wrong(path, `no member "${key.slice(0, 64)}"`)
    element[name] = partOf(member, `${path}.${key}`, depth - 1)
  }
  return element
}

/** Source: XML 1.0 §2.2, of which most control characters are no part, however they are written. */
function xmlTextOf(text: string, path: string): string {
  if (/[\p{Cc}\ufffe\uffff]/u.test(text)) throw wrong(path, 'a control character')
  return text
}

/** An element as text. Texts in it are escaped already, as they are where it was read. */
export function xmlOf(name: string, value: XmlValue): string {
  if (isList(value)) return value.map((item) => xmlOf(name, item)).join('')
  const content =
    typeof value === 'string'
      ? value
      : Object.entries(value).map(([child, inner]) => xmlOf(child, inner ?? ''))
  return `<${name}>${typeof content === 'string' ? content : content.join('')}</${name}>`
}

/** Whether two elements say the same: order, empty children and ways to escape say nothing. */
export const isSameElement = (a: XmlValue, b: XmlValue): boolean => plain(a) === plain(b)

function plain(value: XmlValue): string {
  if (typeof value === 'string') return JSON.stringify(unescapeXml(value))
  if (isList(value)) return value.map(plain).toSorted().join()
  const members = Object.entries(value).map(([name, child]) => [name, plain(child ?? '')] as const)
  const said = members.filter(([, text]) => text !== '""' && text !== '{}')
  return `{${said.map(([name, text]) => `${name}:${text}`).toSorted()}}`
}

const isList = (value: XmlValue): value is readonly XmlValue[] => Array.isArray(value)

const wrong = (path: string, why: string): AkidbError =>
  new AkidbError('BAD_INPUT', `${path}: ${why}`, {
    hint: 'See templates/s3/lifecycle.json and templates/s3/replication.json.',
  })
