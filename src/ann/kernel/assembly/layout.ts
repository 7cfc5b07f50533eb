// Memory layout shared by TypeScript and the kernel. An @unmanaged class is a plain C struct: a
// pointer with typed fields at fixed offsets, no object header and no garbage collection. Field
// order is the ABI: ../layout.ts lists the same fields, and the sizes are compared when the kernel
// is compiled.

/** One segment: sizes, graph state and the addresses of its arrays. Shared by all workers. */
@unmanaged
export class Index {
  /** Largest Euclidean norm of a stored row. */
  normMax: f64;
  /**
   * Power of two that brings rows (centred ones for l2) to a norm of at most 1, for the int8 form.
   */
  unit: f64;
  rows: u32; dimension: u32; stride: u32; metric: u32; walkForm: u32; wide: u32; queryMax: u32;
  m: u32; m0: u32; efConstruction: u32; maxBatch: u32; entry: u32; maxLevel: u32; built: u32;
  vectors: u32; factors: u32; codes: u32; scales: u32; biases: u32; centre: u32; sums: u32;
  bits: u32; bitStride: u32; bitScales: u32; bitBiases: u32; mean: u32;
  pieces: u32; pieceStride: u32; subspaces: u32; centroids: u32; halves: u32;
  training: u32; sample: u32; sampleRows: u32;
  links0: u32; levels: u32; upperAt: u32; upper: u32;
  distances0: u32; distancesUpper: u32; staged: u32;
  next: u32; waiting: u32; generation: u32; spare: u32;
}

/** A vector that distances are taken from, in the forms that the kernels read. */
@unmanaged
export class Query {
  /** A kernel distance times this is the real one (1 but for scaled dot products and wide data). */
  unscale: f64;
  /** Applied to wide distances so that they fit float32. */
  wideScale: f64;
  values: u32; codes: u32; planes: u32; table: u32; wide: u32;
  /** Sum of the query's small integers, for the binary form. */
  sum: i32;
  /**
   * int8 and binary distance = offset + biasFactor · bias[row] + factor · scale[row] · (integer dot
   * product). signFactor stands for factor where only the signs of the query are read.
   */
  factor: f32; offset: f32; biasFactor: f32; signFactor: f32;
}

/** One worker's scratch space. Never shared between workers. */
@unmanaged
export class Context {
  normMin: f64; normMax: f64;
  query: u32; row: u32; raw: u32; visited: u32; tag: u32; candidates: u32; top: u32; topCount: u32;
  ids: u32; distances: u32; outIds: u32; outDistances: u32; selected: u32; batchKeys: u32;
  /** Distances computed, by the whole search and by its walk. */
  evaluated: u32; walked: u32; budget: u32; topMax: u32; scratch: u32; scratchFactors: u32;
  /** Of a walk with a filter: when it may end, and when it is given up (see searchLevel). */
  steps: u32; passing: u32; passingLeast: u32; isLost: u32;
}

export const COSINE: u32 = 0;
export const DOT: u32 = 1;
export const L2: u32 = 2;

/** Which stored form of the rows a distance is taken from. */
export const F32: u32 = 0;
export const INT8: u32 = 1;
/** One bit a component against a query of small integers. */
export const BINARY: u32 = 2;
/** Product quantisation. */
export const PQ: u32 = 3;
/** The same bits against the signs of the query alone: the first pass of a binary scan. */
export const SIGN: u32 = 4;

/** Bits of a query's integers in the binary form, as two's complement. */
export const PLANES: u32 = 4;
/** Components of a subspace of product quantisation, and centroids of each. */
export const PIECE: u32 = 8;
export const CENTROIDS: u32 = 256;

/** Levels 0 to 15. */
export const LEVELS_MAX: u32 = 16;

export function queryOf(c: Context): Query {
  return changetype<Query>(<usize>c.query);
}

export function rowQueryOf(c: Context): Query {
  return changetype<Query>(<usize>c.row);
}

/** Adjacency list of `id` on `level`: a count followed by up to m (m0 on level 0) ids. */
export function links(x: Index, id: u32, level: u32): u32 {
  return level == 0
    ? x.links0 + id * ((x.m0 + 1) << 2)
    : x.upper + ((load<u32>(x.upperAt + (id << 2)) + (level - 1) * (x.m + 1)) << 2);
}

/** Distances parallel to links(); only there while building. */
export function linkDistances(x: Index, id: u32, level: u32): u32 {
  return level == 0
    ? x.distances0 + id * ((x.m0 + 1) << 2)
    : x.distancesUpper + ((load<u32>(x.upperAt + (id << 2)) + (level - 1) * (x.m + 1)) << 2);
}

export function levelOf(x: Index, id: u32): u32 {
  return load<u8>(x.levels + id);
}

/** Tests bit `id` of a filter bitset. */
export function passes(filter: u32, id: u32): bool {
  return ((load<u32>(filter + ((id >> 5) << 2)) >> (id & 31)) & 1) != 0;
}
