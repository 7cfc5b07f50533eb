import { isSha256Hex, sha256Hex } from '../../core/digest.ts'
import { fromPlain, stringifyJson } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import { object, ShapeError, text, whole } from '../../core/shape.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { ScrollRequest } from '../api/query-api.ts'

/** Where a page ended: in which state, and behind which record. */
export interface Cursor {
  readonly stateRoot: string
  readonly id: string
}

const CURSOR_VERSION = 1

const shape = object({
  v: whole(CURSOR_VERSION, CURSOR_VERSION),
  root: text(/^[0-9a-f]{64}$/),
  id: text(/^[^\0]+$/),
  of: text(/^[0-9a-f]{16}$/),
})

/** What a page's filter and order are recognised by. */
const digestOf = ({ filter, orderBy }: ScrollRequest): string => {
  const parts = [filter ?? null, orderBy ?? null].map((part) => stringifyJson(fromPlain(part)))
  return sha256Hex(Buffer.from(parts.join('\n'), 'utf8')).slice(0, 16)
}

/** A cursor as text without meaning to its bearer: base64url of JSON. */
export const encodeCursor = ({ stateRoot, id }: Cursor, request: ScrollRequest): string =>
  Buffer.from(
    stringifyJson({ v: CURSOR_VERSION, root: stateRoot, id, of: digestOf(request) }),
  ).toString('base64url')

/** @throws BAD_INPUT where it is no cursor, USAGE where it is of another request, LIMIT */
export function decodeCursor(cursor: string, request: ScrollRequest): Cursor {
  if (typeof cursor !== 'string') throw noCursor()
  if (cursor.length > limits.cursorBytesMax) {
    throw new AkidbError('LIMIT', `the cursor is over cursorBytesMax (${limits.cursorBytesMax})`)
  }
  const { root, id, of } = parsed(cursor)
  if (!isSha256Hex(root)) throw noCursor()
  if (of !== digestOf(request)) {
    throw new AkidbError('USAGE', 'the cursor is of a page with another filter or order', {
      hint: 'Give the filter and the order of the first page with every cursor.',
    })
  }
  return { stateRoot: root, id }
}

function parsed(cursor: string) {
  try {
    return shape(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')), 'cursor')
  } catch (error) {
    if (error instanceof ShapeError || error instanceof SyntaxError) throw noCursor(error)
    throw error
  }
}

const noCursor = (cause?: unknown): AkidbError =>
  new AkidbError('BAD_INPUT', 'this is no cursor of a page', {
    hint: 'Give back the cursor of the page before, as it came.',
    cause,
  })
