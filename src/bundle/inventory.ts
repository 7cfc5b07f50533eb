import { blobRefsOf } from '../format/closure.ts'
import type { CollectionState } from '../format/manifest.ts'
import type { HeadCollection } from './head.ts'

/** One exported collection, for the inventory. */
export interface InventoryCollection {
  readonly head: HeadCollection
  readonly state: CollectionState
}

/** Predicate type of an inventory. */
export const INVENTORY_TYPE = 'urn:akidb:inventory:1'

/**
 * What a bundle holds, as an in-toto Statement: the blobs as subjects, and by collection where its
 * rows came from and how it is indexed. One line of JSON, the same bytes for the same states and
 * version.
 *
 * Source: in-toto attestation framework, Statement v1.
 */
export function encodeInventory(
  collections: readonly InventoryCollection[],
  akidbVersion: string,
): Uint8Array {
  const subjects = new Map<string, string>()
  for (const { state } of collections) {
    for (const ref of blobRefsOf(state)) subjects.set(ref.digest, ref.role)
  }
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [...subjects]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([sha256, role]) => ({ name: `${role}/${sha256.slice(0, 12)}`, digest: { sha256 } })),
    predicateType: INVENTORY_TYPE,
    predicate: { akidb: akidbVersion, collections: collections.map(describe) },
  }
  return Buffer.from(`${JSON.stringify(statement)}\n`)
}

const describe = ({ head, state }: InventoryCollection) => ({
  name: head.name,
  stateRoot: head.stateRoot,
  rows: head.rows,
  vectors: state.schema.vectors,
  text: state.schema.text,
  fields: state.schema.fields,
  index: state.index,
  sources: state.sources.map(({ name, sha256, rows, rejected }) => ({
    name,
    sha256,
    rows,
    rejected,
  })),
  sourcesBlob: state.sourcesBlob?.digest,
})
