/**
 * A snapshot's label: it can be taken neither for a version nor for a state root nor for a time.
 */
export const LABEL = /^[A-Za-z_][A-Za-z0-9._-]{0,62}$/
