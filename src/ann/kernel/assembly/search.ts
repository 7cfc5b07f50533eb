// HNSW search: Malkov & Yashunin, arXiv:1603.09320, Algorithms 2 and 5. Link bytes are not trusted:
// counts are clamped and ids checked, so a damaged graph gives poorer answers but never reads or
// writes outside its arrays.
import { distances } from "./distance";
import { fetchLinks, fetchRows } from "./fetch";
import { makeKey, offer, popMin, pushMin } from "./heap";
import { Context, Index, levelOf, links, passes, Query, queryOf } from "./layout";
import { emit, prepareQuery } from "./query";

/**
 * Steps of one greedy descent a level; distances fall strictly, so this only bounds hostile graphs.
 */
const DESCENT_STEPS_MAX: u32 = 10000;

/**
 * Walks from `entry` on level `from` down to the level above `to`, always to the nearest neighbour.
 */
export function descend(x: Index, c: Context, q: Query, entry: u32, from: u32, to: u32): u32 {
  const ids = c.ids, dists = c.distances, rows = x.rows, form = x.walkForm;
  store<u32>(ids, entry);
  distances(x, c, q, ids, 1, dists, form);
  let best = load<f32>(dists);
  for (let level = from; level > to; level--) {
    let moved = true;
    for (let steps: u32 = 0; moved && steps < DESCENT_STEPS_MAX; steps++) {
      moved = false;
      const list = links(x, entry, level);
      const listed = min<u32>(load<u32>(list), x.m);
      let count: u32 = 0;
      for (let i: u32 = 1; i <= listed; i++) {
        const id = load<u32>(list + (i << 2));
        if (id < rows && levelOf(x, id) >= level) {
          store<u32>(ids + (count << 2), id);
          count++;
        }
      }
      fetchRows(x, form, ids, count);
      distances(x, c, q, ids, count, dists, form);
      for (let i: u32 = 0; i < count; i++) {
        const distance = load<f32>(dists + (i << 2));
        if (distance < best) {
          best = distance;
          entry = load<u32>(ids + (i << 2));
          moved = true;
        }
      }
    }
  }
  return entry;
}

/** A fresh tag for the visited array, which is cleared only when tags run out. */
function nextTag(x: Index, c: Context): u32 {
  let tag = c.tag + 1;
  if (tag > 0xffff) {
    memory.fill(c.visited, 0, x.rows << 1);
    tag = 1;
  }
  c.tag = tag;
  return tag;
}

/**
 * Best-first search of one level; leaves the `ef` nearest (that pass the filter, if any) in the top
 * heap. Stops early once more distances were taken than the context's budget allows.
 *
 * With a filter it ends after `steps` rows whose links were followed, `passing` of them rows that
 * pass. It is lost where fewer than `passingLeast` of the first `steps` pass: what passes is
 * elsewhere.
 */
export function searchLevel(
  x: Index, c: Context, q: Query, entry: u32, level: u32, ef: u32, filter: u32,
): void {
  const visited = c.visited, candidates = c.candidates, top = c.top;
  const ids = c.ids, dists = c.distances, form = x.walkForm, budget = c.budget;
  const rows = x.rows, capacity = level ? x.m : x.m0, tag = nextTag(x, c);
  const stepsMin = c.steps, passingMin = c.passing, passingLeast = c.passingLeast;
  c.topCount = 0;
  store<u32>(ids, entry);
  distances(x, c, q, ids, 1, dists, form);
  store<u16>(visited + (entry << 1), <u16>tag);
  const first = makeKey(load<f32>(dists), entry);
  store<u64>(candidates, first);
  let open: u32 = 1, steps: u32 = 0, passing: u32 = 0;
  if (!filter || passes(filter, entry)) offer(c, first, ef);

  while (open && c.evaluated <= budget) {
    const nearest = load<u64>(candidates);
    if (c.topCount >= ef && nearest > load<u64>(top)) break;
    if (filter) {
      if (steps >= stepsMin && passing >= passingMin) break;
      if (steps == stepsMin && passing < passingLeast) {
        c.isLost = 1;
        break;
      }
      steps++;
      passing += <u32>passes(filter, <u32>nearest);
    }
    open--;
    if (open) {
      popMin(candidates, open);
      if (level == 0) fetchLinks(x, <u32>load<u64>(candidates));
    }

    const list = links(x, <u32>nearest, level);
    const last = list + (min<u32>(load<u32>(list), capacity) << 2);
    let end = ids;
    for (let p = list + 4; p <= last; p += 4) {
      const id = load<u32>(p);
      if (id >= rows || (level && levelOf(x, id) < level)) continue;
      const mark = visited + (id << 1);
      const isNew = <u32>(load<u16>(mark) != tag);
      // No branch: a processor cannot foresee which rows are new.
      store<u16>(mark, <u16>tag);
      store<u32>(end, id);
      end += isNew << 2;
    }
    const count = (end - ids) >> 2;
    fetchRows(x, form, ids, count);
    distances(x, c, q, ids, count, dists, form);
    for (let p = ids, d = dists; p < end; p += 4, d += 4) {
      const id = load<u32>(p), key = makeKey(load<f32>(d), id);
      if (c.topCount < ef || key < load<u64>(top)) {
        pushMin(candidates, open, key);
        open++;
        if (!filter || passes(filter, id)) offer(c, key, ef);
      }
    }
  }
}

/**
 * Nearest k of the graph; where `over` is not 0, that many are ranked again in f32. `filter` is the address of a bitset
 * or 0.
 */
export function searchGraph(x: Index, c: Context, k: u32, ef: u32, filter: u32, over: u32): u32 {
  const q = queryOf(c);
  prepareQuery(x, c, x.walkForm);
  const entry = descend(x, c, q, x.entry, x.maxLevel, 0);
  c.isLost = 0;
  searchLevel(x, c, q, entry, 0, ef, filter);
  c.walked = c.evaluated;
  return emit(x, c, k, over);
}
