// Control characters, line and paragraph separators, and marks that reorder or hide what is read.
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu

/**
 * Text from data for one line of a terminal or log: control characters (C0, C1, line separators,
 * and those that reorder what is read) become `\n`, `\t` or `\u001b`, so that data cannot move the
 * cursor or forge lines.
 */
export const escapeLine = (text: string): string => text.replace(CONTROLS, escaped)

/** The same for text of several lines: line feeds and tabs stay. */
export const escapeText = (text: string): string =>
  text.replace(CONTROLS, (one) => (one === '\n' || one === '\t' ? one : escaped(one)))

/** JSON text for a terminal: what JSON itself leaves unescaped is escaped as JSON escapes. */
export const escapeJson = (json: string): string =>
  json.replace(CONTROLS, (one) => (one === '\n' || one === '\t' ? one : `\\u${hex(one)}`))

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

const escaped = (character: string): string => SHORT[character] ?? `\\u${hex(character)}`

const hex = (character: string): string => character.charCodeAt(0).toString(16).padStart(4, '0')
