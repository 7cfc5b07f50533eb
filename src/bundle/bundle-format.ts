/** Names and types of a bundle's members, in their order (docs/bundle.md has the whole format). */
export const HEAD_NAME = 'HEAD.json'
export const SIGNATURE_NAME = 'HEAD.dsse'
export const PROOF_NAME = 'HEAD.tlog-proof'
export const VERIFY_NAME = 'VERIFY.txt'
export const INVENTORY_NAME = 'inner/inventory.json'

/** DSSE payload type of a head. */
export const HEAD_PAYLOAD_TYPE = 'application/vnd.akidb.bundle-head+json'

/** Format of heads that this version reads and writes. */
export const BUNDLE_FORMAT = 'akidb-bundle/1'

/** The least version of akidb that reads what this version writes. */
export const MINIMUM_READER = '0.1.0'

/** Features of a head that this version reads. */
export const KNOWN_BUNDLE_REQUIRES: readonly string[] = []

export const stateName = (stateRoot: string): string => `states/${stateRoot}.json`
export const pageName = (index: number): string => `pages/${String(index).padStart(5, '0')}`
export const keyName = (keyId: string): string => `keys/${keyId}.pem`
export const certificateName = (keyId: string): string => `keys/${keyId}.dsse`
