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

/**
 * Whether two elements say the same: order, empty children, what is switched off in a rule, and
 * ways to escape say nothing.
 */
export const isSameElement = (a: XmlElement, b: XmlElement): boolean => plain(a) === plain(b)

/** The children that another element lacks, or of which it lacks something. */
export const lostFrom = (sent: XmlElement, found: XmlElement): string[] =>
  Object.entries(sent).flatMap(([name, value = '']) =>
    isSaid(plain(value, name)) && !holds(found[name] ?? '', value, name) ? [name] : [],
  )

/** Servers add to elements what they take for granted; not to lists. */
function holds(found: XmlValue, sent: XmlValue, name: string): boolean {
  const isText = typeof sent === 'string' || typeof found === 'string'
  if (isText || isList(sent) || isList(found)) return plain(found, name) === plain(sent, name)
  return lostFrom(sent, found).length === 0
}

function plain(value: XmlValue, name = ''): string {
  if (typeof value === 'string') return JSON.stringify(textIn(value, name))
  if (isList(value))
    return value
      .map((item) => plain(item, name))
      .toSorted()
      .join()
  const members = Object.entries(value).map(([child, inner = '']) => [child, plain(inner, child)])
  const said = members.filter(([, text = '']) => isSaid(text))
  return `{${said.map(([child, text]) => `${child}:${text}`).toSorted()}}`
}

const isSaid = (text: string): boolean => !['', '""', '{}', '{Status:"Disabled"}'].includes(text)

/** Servers write a time as they please: a day as its beginning, fractions of a second or none. */
function textIn(value: string, name: string): string {
  const text = unescapeXml(value)
  const isTime =
    name === 'Date' && /^\d{4}-\d\d-\d\d(T|$)/.test(text) && !Number.isNaN(Date.parse(text))
  return isTime ? new Date(text).toISOString() : text
}

const isList = (value: XmlValue): value is readonly XmlValue[] => Array.isArray(value)

const wrong = (path: string, why: string): AkidbError =>
  new AkidbError('BAD_INPUT', `${path}: ${why}`, {
    hint: 'See templates/s3/lifecycle.json and templates/s3/replication.json.',
  })
