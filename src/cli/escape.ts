// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this file is about
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same, without line feed and tab
const CONTROLS_IN_TEXT = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/**
 * Text from data for one line of a terminal or log: control characters (C0, C1, line separators, and those that
 * reorder what is read) become `\n`, `\t` or `\u001b`, so that data cannot move the cursor or forge lines.
 */
export const escapeLine = (text: string): string => text.replace(CONTROLS, escaped)

/** The same for text of several lines: line feeds and tabs stay. */
export const escapeText = (text: string): string => text.replace(CONTROLS_IN_TEXT, escaped)

/** JSON text for a terminal: what JSON itself leaves unescaped is escaped as JSON escapes. */
export const escapeJson = (json: string): string =>
  json.replace(CONTROLS_IN_TEXT, (character) => `\\u${hex(character)}`)

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

const escaped = (character: string): string => SHORT[character] ?? `\\u${hex(character)}`

const hex = (character: string): string => character.charCodeAt(0).toString(16).padStart(4, '0')
