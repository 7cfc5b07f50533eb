import { limits } from '../../core/limits.ts'
import { literal, object, ShapeError, text } from '../../core/shape.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import type { ObjectStore } from '../../storage/object-store.ts'

export const STORE_FILE = 'akidb.json'
/** The state folder's note of which store it belongs to, and where that lay. */
export const PLACE_FILE = 'store.json'

/** `akidb.json`: written once. */
export interface StoreFile {
  readonly format: 'akidb-store/1'
  /** 32 hex digits, random. */
  readonly id: string
  readonly kind: 'working' | 'sealed'
  readonly createdAt: string
}

/**
 * Where a state folder last saw its store: the inode of `akidb.json`, since paths change with
 * mounts.
 */
export interface PlaceFile {
  readonly storeId: string
  readonly inode: string
}

const storeShape = object(
  {
    format: literal('akidb-store/1'),
    id: text(/^[0-9a-f]{32}$/),
    kind: literal('working', 'sealed'),
    createdAt: text(),
  },
  true,
)
const placeShape = object({ storeId: text(), inode: text() })

/** @throws NOT_FOUND where there is no store, FORMAT_VERSION for a newer one, INTEGRITY */
export async function readStoreFile(store: ObjectStore): Promise<StoreFile> {
  const value = await readJson(store, STORE_FILE)
  if (value === undefined) {
    const make = `Make one with: akidb init --store ${store.url}`
    // Nothing else lies in folders.
    const seal = store.capabilities.localFiles ? '' : ', or seal collections there: akidb push'
    throw new AkidbError('NOT_FOUND', `there is no akidb store in ${store.url}`, {
      hint: seal === '' ? make : `Is the address right? ${make}${seal} ${store.url}`,
      details: { store: store.url },
    })
  }
  return checkedFile(value, store.url)
}

/** The same, of bytes that were read elsewhere. @throws FORMAT_VERSION, INTEGRITY */
export const parseStoreFile = (bytes: Uint8Array, url: string): StoreFile =>
  checkedFile(parseJson(bytes, STORE_FILE), url)

function checkedFile(value: unknown, url: string): StoreFile {
  const format = (value as { format?: unknown } | null)?.format
  if (typeof format === 'string' && format !== 'akidb-store/1') {
    throw new AkidbError('FORMAT_VERSION', `store ${url} has format ${format}`, {
      hint: 'Open it with a newer akidb.',
    })
  }
  return checked(value, storeShape, STORE_FILE)
}

export async function readPlace(state: ObjectStore): Promise<PlaceFile | undefined> {
  const value = await readJson(state, PLACE_FILE)
  return value === undefined ? undefined : checked(value, placeShape, PLACE_FILE)
}

export const writePlace = async (state: ObjectStore, place: PlaceFile): Promise<void> =>
  void (await state.put(PLACE_FILE, Buffer.from(JSON.stringify(place)), { mode: 'replace' }))

async function readJson(store: ObjectStore, key: string): Promise<unknown> {
  try {
    return parseJson(await getBounded(store, key, limits.smallFileBytesMax), key)
  } catch (error) {
    // Where there is not even a bucket, no store is to be made.
    const isAbsent = hasCode(error, 'NOT_FOUND') && error.details.server !== 'NoSuchBucket'
    if (isAbsent) return undefined
    throw error
  }
}

function parseJson(bytes: Uint8Array, key: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (error) {
    if (error instanceof SyntaxError) throw damaged(key, error.message)
    throw error
  }
}

function checked<T>(value: unknown, shape: (value: unknown, path: string) => T, key: string): T {
  try {
    return shape(value, key)
  } catch (error) {
    if (error instanceof ShapeError) throw damaged(key, error.message)
    throw error
  }
}

const damaged = (key: string, what: string): AkidbError =>
  new AkidbError('INTEGRITY', `${key} is damaged: ${what}`, { details: { key } })
