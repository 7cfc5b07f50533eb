import { XMLParser } from 'fast-xml-parser'
import { plainXml, type XmlElement } from './plain-xml.ts'
import { cut, notS3 } from './s3-errors.ts'

export type { XmlElement } from './plain-xml.ts'

/** Elements of which there may be several: they are lists even where there is one. */
const LISTS = new Set(['Contents', 'Version', 'DeleteMarker', 'Upload', 'Rule'])

/** Several times what a page of a listing has; more would take seconds and gigabytes to parse. */
const TAGS_MAX = 100_000

/** Numbers stay text: a version id of digits is no number. Entities are decoded by `textOf`. */
const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  processEntities: false,
  isArray: (name) => LISTS.has(name),
})

/** The root element of an answer. @throws S3Failure where it is cut, or another document */
export function parseXml(text: string, root: string): XmlElement {
  // The parser takes what is cut off for what is complete: half a page would pass for a page.
  const end = text.slice(-200).trimEnd()
  if (!end.endsWith(`</${root}>`) && !new RegExp(`<${root}(\\s[^<>]*)?/>$`).test(end)) {
    throw text.includes(`<${root}`) ? cut(`its ${root} has no end`) : notXml(root)
  }
  if (text.includes('<!DOCTYPE') || tagsIn(text) > TAGS_MAX) throw notXml(root)
  const found = (plainXml(text, LISTS) ?? parsed(text, root))[root]
  if (found === '') return {}
  if (typeof found !== 'object' || found === null || Array.isArray(found)) throw notXml(root)
  return found as XmlElement
}

/**
 * The same for what is written again: the texts as they stand there.
 *
 * @returns undefined where more would be lost than the order of elements
 */
export function parseExactXml(text: string, root: string): XmlElement | undefined {
  parseXml(text, root)
  const found = plainXml(text, LISTS, true)?.[root]
  if (found === '') return {}
  return typeof found === 'object' && !Array.isArray(found) ? (found as XmlElement) : undefined
}

function parsed(text: string, root: string): Record<string, unknown> {
  try {
    return parser.parse(text) as Record<string, unknown>
  } catch {
    throw notXml(root)
  }
}

const notXml = (root: string) => notS3(`its answer is no ${root}`)

function tagsIn(text: string): number {
  let count = 0
  for (let at = text.indexOf('<'); at >= 0; at = text.indexOf('<', at + 1)) count++
  return count
}

/** Text of a child; '' where there is none. */
export const textOf = (element: XmlElement, name: string): string => {
  const value = element[name]
  return typeof value === 'string' ? unescapeXml(value) : ''
}

/** A child element; empty where there is none. */
export const childOf = (element: XmlElement, name: string): XmlElement => {
  const value = element[name]
  return typeof value === 'object' && !Array.isArray(value) ? (value as XmlElement) : {}
}

/** Children of one of the names that repeat. */
export const childrenOf = (element: XmlElement, name: string): readonly XmlElement[] => {
  const value = element[name]
  if (!Array.isArray(value)) return []
  return value.filter((each): each is XmlElement => typeof each === 'object')
}

const NAMED: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
}

/** Text of an element as it was meant. */
export const unescapeXml = (text: string): string =>
  text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|([a-z]{2,4}));/gi, (whole, hex, decimal, name) => {
    const code = hex === undefined ? Number(decimal ?? Number.NaN) : Number.parseInt(hex, 16)
    if (code <= 0x10ffff) return String.fromCodePoint(code)
    return NAMED[name] ?? whole
  })

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

/** Text for a body that is sent. */
export const escapeXml = (text: string): string =>
  text.replace(/[&<>"']/g, (char) => ESCAPES[char] ?? char)
