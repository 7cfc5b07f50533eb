/** An element's children by name: text, another element, or a list of those. */
export interface XmlElement {
  readonly [name: string]: XmlValue | undefined
}
export type XmlValue = string | XmlElement | readonly XmlValue[]

/** Elements inside each other; answers of S3 servers have four. */
const DEPTH_MAX = 16
const NAME = /^[A-Za-z_][\w.:-]*$/
/** A name, attributes without "<" or ">" in their values, and what closes an empty element. */
const TAG = /^([A-Za-z_][\w.:-]*)(?:\s+[A-Za-z_][\w.:-]*="[^"<>]*")*\s*(\/?)$/
const DECLARATION = /^\s*<\?xml[^<>?]*\?>/

type Open = Record<string, XmlValue>

/**
 * Reads XML as S3 servers write it: elements that hold text or elements, attributes that say
 * nothing to us, no comments, CDATA or instructions. A page of a listing takes a fraction of the
 * time and memory that it takes the parser, whose result for it is the same.
 *
 * @param lists names of elements that are lists even where there is one
 * @param exact for what is written again: texts keep the white space around them, and attributes
 *   within the document, or names of another namespace, make it another one
 * @returns undefined for any other document, well formed or not: that is the parser's
 */
export function plainXml(
  text: string,
  lists: ReadonlySet<string>,
  exact = false,
): XmlElement | undefined {
  // The parser makes one line end of two.
  if (text.includes('\r') && !exact) return undefined
  return new PlainReader(text, lists, exact).read()
}

class PlainReader {
  readonly #text: string
  readonly #lists: ReadonlySet<string>
  readonly #exact: boolean
  /** Names that were looked at. */
  readonly #known = new Set<string>()
  readonly #names: string[] = []
  /** The elements that are open, the document first. */
  readonly #open: Open[] = [emptyElement()]
  #at = 0

  constructor(text: string, lists: ReadonlySet<string>, exact: boolean) {
    this.#text = text
    this.#lists = lists
    this.#exact = exact
    this.#at = DECLARATION.exec(text)?.[0].length ?? 0
  }

  read(): XmlElement | undefined {
    for (;;) {
      const start = this.#text.indexOf('<', this.#at)
      if (start < 0) break
      const end = this.#text.indexOf('>', start)
      if (end < 0) return undefined
      const before = this.#text.slice(this.#at, start)
      const tag = this.#text.slice(start + 1, end)
      this.#at = end + 1
      const isFine = tag.startsWith('/') ? this.#close(tag, before) : this.#begin(tag, before)
      if (!isFine) return undefined
    }
    const [document] = this.#open
    const isWhole = this.#open.length === 1 && this.#text.slice(this.#at).trim() === ''
    return isWhole && Object.keys(document ?? {}).length === 1 ? document : undefined
  }

  /** Text before an element is text beside it, which nobody writes. */
  #begin(tag: string, before: string): boolean {
    if (before.trim() !== '') return false
    if (this.#isName(tag)) return this.#enter(tag)
    const [, name, slash] = TAG.exec(tag) ?? []
    if (name === undefined || !this.#isName(name)) return false
    const isBare = tag.replace(/\s*\/?$/, '') === name
    if (this.#exact && !isBare && this.#names.length > 0) return false
    if (slash === '') return this.#enter(name)
    this.#add(name, '')
    return true
  }

  #isName(name: string): boolean {
    if (this.#known.has(name)) return true
    if (!NAME.test(name) || name in Object.prototype) return false
    if (this.#exact && name.includes(':')) return false
    this.#known.add(name)
    return true
  }

  #enter(name: string): boolean {
    this.#names.push(name)
    return this.#open.push(emptyElement()) <= DEPTH_MAX
  }

  #close(tag: string, before: string): boolean {
    const name = this.#names.pop()
    const element = this.#open.pop()
    if (name === undefined || element === undefined || tag !== `/${name}`) return false
    let isEmpty = true
    for (const _ in element) isEmpty = false
    if (!isEmpty && before.trim() !== '') return false
    this.#add(name, isEmpty ? this.#textOf(before) : element)
    return true
  }

  /** A line break that is meant is written as an entity: one as it is sets elements apart. */
  #textOf(content: string): string {
    const trimmed = content.trim()
    const isLayout = trimmed === '' && content.includes('\n')
    return this.#exact && !isLayout ? content : trimmed
  }

  #add(name: string, value: XmlValue): void {
    const parent = this.#open.at(-1) as Open
    const former = parent[name]
    if (former === undefined) parent[name] = this.#lists.has(name) ? [value] : value
    else if (Array.isArray(former)) former.push(value)
    else parent[name] = [former, value]
  }
}

/** Without a prototype: no name means anything by itself. */
const emptyElement = (): Open => Object.create(null) as Open
