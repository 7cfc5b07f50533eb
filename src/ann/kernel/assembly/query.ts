// Getting a query ready, and results out.
import { planeQuery } from "./binary";
import { distances, distances4 } from "./distance";
import { fetchRows } from "./fetch";
import { keyAt, keyDistance, makeKey, offer, sortHeap } from "./heap";
import { BINARY, Context, COSINE, DOT, F32, Index, INT8, L2, PQ, Query, queryOf } from "./layout";
import { tabulateQuery } from "./pq";
import { coded } from "./rows";
import { dotF64 } from "./simd";

/** 2 to the power `e`, −1022 ≤ e ≤ 1023. */
function powerOfTwo(e: i32): f64 {
  return reinterpret<f64>(<u64>(1023 + e) << 52);
}

/** e where 2^e ≤ v < 2^(e+1), for normal v; 0 for zero. */
function exponentOf(v: f64): i32 {
  return v == 0 ? 0 : <i32>(reinterpret<u64>(v) >> 52) - 1023;
}

/** Norms up to 2^60 have squared differences that fit float32 with room to spare. */
const NARROW_QUERY: f64 = 1152921504606846976;

/**
 * Reads the raw query of the context and fills in the form that `form` needs; the f32 form is
 * always made.
 */
export function prepareQuery(x: Index, c: Context, form: u32): void {
  const q = queryOf(c), raw = c.raw, dimension = x.dimension;
  const norm = Math.sqrt(dotF64(raw, raw, x.stride));
  let factor: f64 = 1;
  q.wide = x.wide;
  q.unscale = 1;
  q.wideScale = 1;
  if (x.metric == COSINE) {
    factor = norm > 0 ? 1 / norm : 0;
  } else if (x.metric == DOT) {
    const e = exponentOf(norm);
    factor = powerOfTwo(-e);
    if (x.wide) q.wideScale = powerOfTwo(98 - exponentOf(x.normMax));
    q.unscale = powerOfTwo(e) / q.wideScale;
  } else {
    if (norm > NARROW_QUERY) q.wide = 1;
    if (q.wide) q.wideScale = powerOfTwo(96 - 2 * exponentOf(max<f64>(norm, x.normMax)));
    q.unscale = 1 / q.wideScale;
  }
  for (let i: u32 = 0; i < dimension; i++) {
    store<f32>(q.values + (i << 2), <f32>(<f64>load<f32>(raw + (i << 2)) * factor));
  }
  if (form == INT8) codeQuery(x, q, x.metric == L2 ? raw : q.values);
  else if (form == BINARY) planeQuery(x, q, raw);
  else if (form == PQ) tabulateQuery(x, c, q);
}

/**
 * Codes a query as int16, as finely as int32 sums allow: twice to 250 times finer than the rows.
 */
function codeQuery(x: Index, q: Query, values: u32): void {
  const dimension = x.dimension, unit: f64 = x.metric == L2 ? x.unit : 1;
  let largest: f64 = 0, square: f64 = 0;
  for (let i: u32 = 0; i < dimension; i++) {
    const v = coded(x, values, i) * unit;
    largest = max<f64>(largest, abs<f64>(v));
    square += v * v;
  }
  const levels = <f64>x.queryMax, scale: f64 = largest > 0 ? levels / largest : 0;
  for (let i: u32 = 0; i < dimension; i++) {
    store<i16>(q.codes + (i << 1), <i16><i32>nearest<f64>(coded(x, values, i) * unit * scale));
  }
  if (x.metric != L2) {
    q.factor = <f32>(-largest / levels);
    return;
  }
  // Everything is divided by the query's norm where that is far above the rows', so that float32
  // holds it.
  const shrink = 1 / max<f64>(1, Math.sqrt(square));
  q.factor = <f32>(-2 * (largest * shrink) / levels);
  q.offset = <f32>(square * shrink);
  q.biasFactor = <f32>shrink;
}

/**
 * Writes the k nearest found, best first; with `rescore`, that many are ranked again by f32
 * distance.
 */
export function emit(x: Index, c: Context, k: u32, rescore: u32): u32 {
  const top = c.top;
  sortHeap(top, c.topCount);
  let count = c.topCount;
  if (rescore > 0) {
    const kept = min<u32>(count, rescore), ids = c.ids, dists = c.distances;
    for (let i: u32 = 0; i < kept; i++) store<u32>(ids + (i << 2), <u32>keyAt(top, i));
    fetchRows(x, F32, ids, kept);
    distances(x, c, queryOf(c), ids, kept, dists, F32);
    c.topCount = 0;
    const limit = min<u32>(k, kept);
    for (let i: u32 = 0; i < kept; i++) {
      offer(c, makeKey(load<f32>(dists + (i << 2)), load<u32>(ids + (i << 2))), limit);
    }
    sortHeap(top, c.topCount);
    count = c.topCount;
  }
  count = min<u32>(count, k);
  for (let i: u32 = 0; i < count; i++) {
    const key = keyAt(top, i);
    store<u32>(c.outIds + (i << 2), <u32>key);
    store<f32>(c.outDistances + (i << 2), keyDistance(key));
  }
  return count;
}

/** Offers rows 0…count of a scratch segment to the top heap, under the ids listed. */
export function offerScratch(x: Index, c: Context, count: u32, limit: u32): void {
  const q = queryOf(c), dists = c.distances, last = count - 1;
  c.evaluated += count;
  for (let i: u32 = 0; i < count; i += 4) {
    const b = min<u32>(i + 1, last), e = min<u32>(i + 2, last), d = min<u32>(i + 3, last);
    v128.store(dists + (i << 2), distances4(x, q, F32, i, b, e, d));
  }
  for (let i: u32 = 0; i < count; i++) {
    offer(c, makeKey(load<f32>(dists + (i << 2)), load<u32>(c.ids + (i << 2))), limit);
  }
}
