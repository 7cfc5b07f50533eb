// Deterministic batch build of an HNSW graph (arXiv:1603.09320, Algorithms 1 and 4). Phase 1 plans
// every row of a batch against a frozen graph; phase 2 applies the reverse links, each target row
// owned by one worker, in source order. Any number of workers therefore produces the same bytes.
import { distances, distances4, int8RowDistances4 } from "./distance";
import { keyAt, keyDistance, makeKey, offer, setKey, sortHeap } from "./heap";
import {
  Context, F32, Index, INT8, levelOf, LEVELS_MAX, linkDistances, links, queryOf, rowQueryOf,
} from "./layout";
import { rowAsQuery } from "./rows";
import { descend, searchLevel } from "./search";

/**
 * Keeps at most `limit` of the sorted keys, each nearer to the new row than to any key kept before
 * it.
 */
function selectNeighbours(x: Index, c: Context, keys: u32, count: u32, limit: u32): u32 {
  if (count < limit) return count;
  return x.walkForm == INT8
    ? selectCoded(x, keys, count, limit)
    : selectFloat(x, c, keys, count, limit);
}

/**
 * By int8 distances, which are the same from either of two rows: what is kept strikes out what is
 * nearer to it than to the new row, so that four rows at a time are summed against one. Most are
 * struck out by the first that are kept.
 */
function selectCoded(x: Index, keys: u32, count: u32, limit: u32): u32 {
  let kept: u32 = 0, first: u32 = 0, last = count;
  while (first < last) {
    const key = keyAt(keys, first++), id = <u32>key;
    setKey(keys, kept++, key);
    if (kept == limit) break;
    const end = last - 1;
    last = first;
    for (let i = first; i <= end; i += 4) {
      const k0 = keyAt(keys, i), k1 = keyAt(keys, min<u32>(i + 1, end));
      const k2 = keyAt(keys, min<u32>(i + 2, end)), k3 = keyAt(keys, min<u32>(i + 3, end));
      const between = int8RowDistances4(x, id, <u32>k0, <u32>k1, <u32>k2, <u32>k3);
      let limits = f32x4.splat(keyDistance(k0));
      limits = f32x4.replace_lane(limits, 1, keyDistance(k1));
      limits = f32x4.replace_lane(limits, 2, keyDistance(k2));
      limits = f32x4.replace_lane(limits, 3, keyDistance(k3));
      const stays = ~i32x4.bitmask(f32x4.lt(between, limits));
      // A processor cannot foresee which are struck out: no branch but at the end.
      setKey(keys, last, k0);
      last += stays & 1;
      if (i == end) break;
      setKey(keys, last, k1);
      last += (stays >> 1) & 1;
      if (i + 1 == end) break;
      setKey(keys, last, k2);
      last += (stays >> 2) & 1;
      if (i + 2 == end) break;
      setKey(keys, last, k3);
      last += (stays >> 3) & 1;
    }
  }
  return kept;
}

/** By float32 distances, from the later row of two. */
function selectFloat(x: Index, c: Context, keys: u32, count: u32, limit: u32): u32 {
  const selected = c.selected, q = rowQueryOf(c);
  let kept: u32 = 0;
  for (let i: u32 = 0; i < count && kept < limit; i++) {
    const key = keyAt(keys, i), id = <u32>key, limitDistance = f32x4.splat(keyDistance(key));
    let good = true;
    if (kept > 0) rowAsQuery(x, q, id);
    for (let j: u32 = 0; j < kept && good; j += 4) {
      const left = kept - j, s = selected + (j << 2);
      const i0 = load<u32>(s);
      const i1 = left > 1 ? load<u32>(s, 4) : i0;
      const i2 = left > 2 ? load<u32>(s, 8) : i0;
      const i3 = left > 3 ? load<u32>(s, 12) : i0;
      const between = distances4(x, q, F32, i0, i1, i2, i3);
      if (v128.any_true(f32x4.lt(between, limitDistance))) good = false;
    }
    if (good) {
      store<u32>(selected + (kept << 2), id);
      setKey(keys, kept, key);
      kept++;
    }
  }
  return kept;
}

/** A staged list: a count, m ids and m distances. */
function stagedList(x: Index, slot: u32, level: u32): u32 {
  return x.staged + (((slot * LEVELS_MAX + level) * (2 * x.m + 1)) << 2);
}

/** Puts what selection left in the top heap into the row's own list and into the stage. */
function stageLinks(x: Index, c: Context, id: u32, slot: u32, level: u32, count: u32): void {
  const list = links(x, id, level), listDists = linkDistances(x, id, level);
  const staged = stagedList(x, slot, level);
  store<u32>(list, count);
  store<u32>(staged, count);
  for (let i: u32 = 0; i < count; i++) {
    const key = keyAt(c.top, i), at = (i + 1) << 2, distance = keyDistance(key);
    store<u32>(list + at, <u32>key);
    store<f32>(listDists + at, distance);
    store<u32>(staged + at, <u32>key);
    store<f32>(staged + (x.m << 2) + at, distance);
  }
}

/** Phase 1: chooses the links of row `id` and stages them; `from` is the first row of the batch. */
function planRow(x: Index, c: Context, id: u32, from: u32): void {
  const level = levelOf(x, id), m = x.m, top = c.top, q = queryOf(c);
  const maxLevel = x.maxLevel, empty = x.built == 0, earlier = id - from;
  const ids = c.ids, dists = c.distances, batchKeys = c.batchKeys;
  let entry = x.entry;

  rowAsQuery(x, q, id);
  for (let j: u32 = 0; j < earlier; j++) store<u32>(ids + (j << 2), from + j);
  distances(x, c, q, ids, earlier, dists, x.walkForm);
  for (let j: u32 = 0; j < earlier; j++) {
    setKey(batchKeys, j, makeKey(load<f32>(dists + (j << 2)), from + j));
  }

  if (!empty && maxLevel > level) entry = descend(x, c, q, entry, maxLevel, level);
  for (let l = <i32>level; l >= 0; l--) {
    c.topCount = 0;
    if (!empty && <u32>l <= maxLevel) {
      c.evaluated = 0;
      searchLevel(x, c, q, entry, l, x.efConstruction, 0);
    }
    if (c.topCount) {
      let best = u64.MAX_VALUE;
      for (let i: u32 = 0; i < c.topCount; i++) best = min<u64>(best, keyAt(top, i));
      entry = <u32>best;
    }
    for (let j: u32 = 0; j < earlier; j++) {
      if (levelOf(x, from + j) >= <u32>l) offer(c, keyAt(batchKeys, j), x.efConstruction);
    }
    sortHeap(top, c.topCount);
    stageLinks(x, c, id, earlier, l, min<u32>(selectNeighbours(x, c, top, c.topCount, m), m));
  }
}

/** Adds `id` to the links of `target`, thinning the list when it is full. */
function addLink(x: Index, c: Context, target: u32, id: u32, distance: f32, level: u32): void {
  const capacity = level ? x.m : x.m0;
  const list = links(x, target, level), dists = linkDistances(x, target, level);
  const count = load<u32>(list);
  if (count < capacity) {
    store<u32>(list, count + 1);
    store<u32>(list + ((count + 1) << 2), id);
    store<f32>(dists + ((count + 1) << 2), distance);
    return;
  }
  const top = c.top;
  c.topCount = 0;
  offer(c, makeKey(distance, id), capacity + 1);
  for (let j: u32 = 1; j <= capacity; j++) {
    offer(c, makeKey(load<f32>(dists + (j << 2)), load<u32>(list + (j << 2))), capacity + 1);
  }
  sortHeap(top, c.topCount);
  const kept = selectNeighbours(x, c, top, c.topCount, capacity);
  store<u32>(list, kept);
  for (let j: u32 = 0; j < kept; j++) {
    const key = keyAt(top, j), at = (j + 1) << 2;
    store<u32>(list + at, <u32>key);
    store<f32>(dists + at, keyDistance(key));
  }
}

/** Phase 2: applies the staged links whose target this worker owns. */
function applyLinks(x: Index, c: Context, from: u32, to: u32, worker: u32, workers: u32): void {
  for (let id = from; id < to; id++) {
    for (let level: u32 = 0; level <= levelOf(x, id); level++) {
      const staged = stagedList(x, id - from, level), count = load<u32>(staged);
      const dists = staged + (x.m << 2);
      for (let i: u32 = 1; i <= count; i++) {
        const target = load<u32>(staged + (i << 2));
        if (target % workers != worker) continue;
        addLink(x, c, target, id, load<f32>(dists + (i << 2)), level);
      }
    }
  }
}

/** Waits until every worker has arrived: spins briefly, then sleeps. */
function barrier(x: Index, workers: u32): void {
  if (workers == 1) return;
  const base = changetype<usize>(x);
  const waiting = base + offsetof<Index>("waiting");
  const generation = base + offsetof<Index>("generation");
  const before = atomic.load<u32>(generation);
  if (atomic.add<u32>(waiting, 1) == workers - 1) {
    atomic.store<u32>(waiting, 0);
    atomic.add<u32>(generation, 1);
    atomic.notify(generation, -1);
    return;
  }
  for (let spins = 0; spins < 20000; spins++) if (atomic.load<u32>(generation) != before) return;
  while (atomic.load<u32>(generation) == before) atomic.wait<i32>(generation, before, -1);
}

/** Makes the rows of a batch part of the graph that searches see. */
function admit(x: Index, from: u32, to: u32): void {
  for (let id = from; id < to; id++) {
    const level = levelOf(x, id);
    if (x.built == 0 || level > x.maxLevel) {
      x.maxLevel = level;
      x.entry = id;
    }
    x.built = id + 1;
  }
}

/** Runs on every worker at once; returns when the whole graph is built. */
export function buildGraph(x: Index, c: Context, worker: u32, workers: u32): void {
  const rows = x.rows, next = changetype<usize>(x) + offsetof<Index>("next");
  c.budget = u32.MAX_VALUE;
  for (let from: u32 = 0; from < rows; ) {
    const batch = min<u32>(max<u32>(from / 16, 1), x.maxBatch), to = min<u32>(from + batch, rows);
    barrier(x, workers);
    if (worker == 0) atomic.store<u32>(next, from);
    barrier(x, workers);
    for (let id = atomic.add<u32>(next, 1); id < to; id = atomic.add<u32>(next, 1)) {
      planRow(x, c, id, from);
    }
    barrier(x, workers);
    applyLinks(x, c, from, to, worker, workers);
    barrier(x, workers);
    if (worker == 0) admit(x, from, to);
    barrier(x, workers);
    from = to;
  }
}
