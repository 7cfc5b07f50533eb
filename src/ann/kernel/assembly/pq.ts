// Product quantisation: every 8 components are one of 256 centroids of their own (Jégou, Douze &
// Schmid, "Product Quantization for Nearest Neighbor Search", IEEE TPAMI 33(1), 2011). Distances
// are sums of one table entry a subspace. Centroids lie component by component, 256 floats each,
// so that four are compared at once.
import { CENTROIDS, Context, Index, L2, PIECE, Query, rowQueryOf } from "./layout";
import { normaliseRow, rowFactor, shifted } from "./normal";

/** Bytes of the centroids of one subspace, and of one value for each of them. */
const BLOCK: u32 = CENTROIDS * PIECE * 4;
const LINE: u32 = CENTROIDS * 4;
/** Rounds of Lloyd's algorithm: the recall of a scan no longer moves after these. */
const ROUNDS: u32 = 8;

/** Half the squared norm of each centroid of a block. */
function halveBlock(centroids: u32, halves: u32): void {
  for (let at: u32 = 0; at < LINE; at += 16) {
    let sum = f32x4.splat(0);
    for (let i: u32 = 0; i < PIECE; i++) {
      const v = v128.load(centroids + i * LINE + at);
      sum = f32x4.add(sum, f32x4.mul(v, v));
    }
    v128.store(halves + at, f32x4.mul(sum, f32x4.splat(0.5)));
  }
}

/** Derives the halves of all subspaces from the centroids. */
export function halveCentroids(x: Index): void {
  for (let j: u32 = 0; j < x.subspaces; j++) {
    halveBlock(x.centroids + j * BLOCK, x.halves + j * LINE);
  }
}

/** half − <v, centroid> for the four centroids at byte `at` of each line. */
function gaps(v: u32, centroids: u32, halves: u32, at: u32): v128 {
  let dot = f32x4.mul(v128.load_splat<f32>(v), v128.load(centroids + at));
  for (let i: u32 = 1; i < PIECE; i++) {
    const product = f32x4.mul(
      v128.load_splat<f32>(v + (i << 2)), v128.load(centroids + i * LINE + at));
    dot = f32x4.add(dot, product);
  }
  return f32x4.sub(v128.load(halves + at), dot);
}

/** The nearest centroid of a block to the 8 components at `v`, ties by the lower number. */
function nearestOf(v: u32, centroids: u32, halves: u32): u32 {
  let best = f32x4.splat(f32.MAX_VALUE), bestAt = i32x4.splat(0);
  let number = v128(0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0);
  for (let at: u32 = 0; at < LINE; at += 16) {
    const gap = gaps(v, centroids, halves, at), less = f32x4.lt(gap, best);
    best = v128.bitselect(gap, best, less);
    bestAt = v128.bitselect(number, bestAt, less);
    number = i32x4.add(number, i32x4.splat(4));
  }
  let value = f32x4.extract_lane(best, 0), found = <u32>i32x4.extract_lane(bestAt, 0);
  for (let lane: u32 = 1; lane < 4; lane++) {
    const other = lane == 1 ? f32x4.extract_lane(best, 1)
      : lane == 2 ? f32x4.extract_lane(best, 2) : f32x4.extract_lane(best, 3);
    const at = <u32>(lane == 1 ? i32x4.extract_lane(bestAt, 1)
      : lane == 2 ? i32x4.extract_lane(bestAt, 2) : i32x4.extract_lane(bestAt, 3));
    if (other < value || (other == value && at < found)) {
      value = other;
      found = at;
    }
  }
  return found;
}

/**
 * Chooses the centroids by k-means over the sample, starting from its first rows. All sums run in
 * the order of the sample, in float64. The training space holds a factor, and then the components
 * of one subspace, for each row of the sample; then sums and counts.
 */
export function trainCentroids(x: Index): void {
  const sampled = x.sampleRows, factors = x.training, points = factors + (sampled << 3);
  for (let s: u32 = 0; s < sampled; s++) {
    store<f64>(factors + (s << 3), rowFactor(x, load<u32>(x.sample + (s << 2))));
  }
  for (let j: u32 = 0; j < x.subspaces; j++) {
    for (let s: u32 = 0; s < sampled; s++) loadPoint(x, s, j, points + s * (PIECE << 2));
    trainBlock(x, j, points, points + sampled * (PIECE << 2));
  }
}

function loadPoint(x: Index, s: u32, j: u32, out: u32): void {
  const row = load<u32>(x.sample + (s << 2)), factor = load<f64>(x.training + (s << 3));
  const values = x.vectors + row * (x.stride << 2);
  for (let i: u32 = 0; i < PIECE; i++) {
    store<f32>(out + (i << 2), <f32>(shifted(x, values, j * PIECE + i) * factor));
  }
}

function trainBlock(x: Index, j: u32, points: u32, sums: u32): void {
  const centroids = x.centroids + j * BLOCK, halves = x.halves + j * LINE, sampled = x.sampleRows;
  const counts = sums + CENTROIDS * PIECE * 8;
  memory.fill(centroids, 0, BLOCK);
  for (let s: u32 = 0; s < min<u32>(sampled, CENTROIDS); s++) {
    for (let i: u32 = 0; i < PIECE; i++) {
      const value = load<f32>(points + ((s * PIECE + i) << 2));
      store<f32>(centroids + i * LINE + (s << 2), value);
    }
  }
  halveBlock(centroids, halves);
  if (sampled <= CENTROIDS) return;
  for (let round: u32 = 0; round < ROUNDS; round++) {
    memory.fill(sums, 0, CENTROIDS * PIECE * 8 + LINE);
    for (let s: u32 = 0; s < sampled; s++) {
      const point = points + s * (PIECE << 2), best = nearestOf(point, centroids, halves);
      addPoint(point, sums + best * (PIECE << 3), counts + (best << 2));
    }
    for (let k: u32 = 0; k < CENTROIDS; k++) moveCentroid(centroids, sums, counts, k);
    halveBlock(centroids, halves);
  }
}

function addPoint(point: u32, sums: u32, count: u32): void {
  store<u32>(count, load<u32>(count) + 1);
  for (let i: u32 = 0; i < PIECE; i++) {
    const at = sums + (i << 3);
    store<f64>(at, load<f64>(at) + <f64>load<f32>(point + (i << 2)));
  }
}

/** A centroid that no row is nearest to stays where it is. */
function moveCentroid(centroids: u32, sums: u32, counts: u32, k: u32): void {
  const count = load<u32>(counts + (k << 2));
  if (count == 0) return;
  for (let i: u32 = 0; i < PIECE; i++) {
    const sum = load<f64>(sums + ((k * PIECE + i) << 3));
    store<f32>(centroids + i * LINE + (k << 2), <f32>(sum / <f64>count));
  }
}

/** Codes rows [from, to) with the centroids there are. */
export function splitRows(x: Index, c: Context, from: u32, to: u32): void {
  const values = rowQueryOf(c).values;
  for (let row = from; row < to; row++) {
    const out = x.pieces + row * x.pieceStride;
    normaliseRow(x, row, values);
    for (let j: u32 = 0; j < x.subspaces; j++) {
      const v = values + j * (PIECE << 2);
      store<u8>(out + j, <u8>nearestOf(v, x.centroids + j * BLOCK, x.halves + j * LINE));
    }
  }
}

/**
 * Fills in the table of a query whose values are in the segment's units: −<q, centroid>, or for l2
 * |centroid|² − 2<q, centroid>, which lacks only what all rows share. Far l2 queries are shrunk, so
 * that float32 holds everything.
 */
export function tabulateQuery(x: Index, c: Context, q: Query): void {
  const values = x.metric == L2 ? rowQueryOf(c).values : q.values;
  let half = f32x4.splat(0), weight = f32x4.splat(1);
  if (x.metric == L2) {
    half = f32x4.splat(2 * shrinkQuery(x, c));
    weight = f32x4.splat(2);
  }
  for (let j: u32 = 0; j < x.subspaces; j++) {
    const v = values + j * (PIECE << 2), centroids = x.centroids + j * BLOCK;
    const halves = x.halves + j * LINE, table = q.table + j * LINE;
    for (let at: u32 = 0; at < LINE; at += 16) {
      let dot = f32x4.mul(v128.load_splat<f32>(v), v128.load(centroids + at));
      for (let i: u32 = 1; i < PIECE; i++) {
        const product = f32x4.mul(
          v128.load_splat<f32>(v + (i << 2)), v128.load(centroids + i * LINE + at));
        dot = f32x4.add(dot, product);
      }
      const own = f32x4.mul(half, v128.load(halves + at));
      v128.store(table + at, f32x4.sub(own, f32x4.mul(weight, dot)));
    }
  }
}

/** Writes the raw l2 query in the segment's units, over max(1, norm); returns what it was over. */
function shrinkQuery(x: Index, c: Context): f32 {
  const out = rowQueryOf(c).values, dimension = x.dimension;
  let square: f64 = 0;
  for (let i: u32 = 0; i < dimension; i++) {
    const v = shifted(x, c.raw, i) * x.unit;
    square += v * v;
  }
  const shrink = 1 / max<f64>(1, Math.sqrt(square));
  memory.fill(out, 0, x.stride << 2);
  for (let i: u32 = 0; i < dimension; i++) {
    store<f32>(out + (i << 2), <f32>(shifted(x, c.raw, i) * x.unit * shrink));
  }
  return <f32>shrink;
}

/** Sum of the table's entries for one row, in four interleaved sums. */
function tableSum(x: Index, q: Query, row: u32): f32 {
  const end = row + x.subspaces, whole = row + (x.subspaces & ~3);
  let table = q.table, s0: f32 = 0, s1: f32 = 0, s2: f32 = 0, s3: f32 = 0;
  for (; row < whole; row += 4, table += LINE * 4) {
    s0 += load<f32>(table + (load<u8>(row) << 2));
    s1 += load<f32>(table + (load<u8>(row, 1) << 2), LINE);
    s2 += load<f32>(table + (load<u8>(row, 2) << 2), LINE * 2);
    s3 += load<f32>(table + (load<u8>(row, 3) << 2), LINE * 3);
  }
  for (; row < end; row++, table += LINE) s0 += load<f32>(table + (load<u8>(row) << 2));
  return (s0 + s1) + (s2 + s3);
}

export function pqDistances4(x: Index, q: Query, a: u32, b: u32, c: u32, d: u32): v128 {
  const stride = x.pieceStride, base = x.pieces;
  let v = f32x4.splat(tableSum(x, q, base + a * stride));
  v = f32x4.replace_lane(v, 1, tableSum(x, q, base + b * stride));
  v = f32x4.replace_lane(v, 2, tableSum(x, q, base + c * stride));
  return f32x4.replace_lane(v, 3, tableSum(x, q, base + d * stride));
}
