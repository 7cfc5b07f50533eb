// Binary heaps of u64 keys. A key is an order-preserving image of the distance in its high half
// and the row id in its low half, so ties always break by id and every run agrees.
import { Context } from "./layout";

export function makeKey(distance: f32, id: u32): u64 {
  // Adding zero turns −0 into +0, which would otherwise break ties before the id does.
  const bits = reinterpret<u32>(distance + 0);
  const ordered = bits ^ (<u32>(<i32>bits >> 31) | 0x80000000);
  return (<u64>ordered << 32) | <u64>id;
}

export function keyDistance(key: u64): f32 {
  const ordered = <u32>(key >> 32);
  return reinterpret<f32>((ordered & 0x80000000) != 0 ? ordered ^ 0x80000000 : ~ordered);
}

export function keyAt(heap: u32, i: u32): u64 {
  return load<u64>(heap + (i << 3));
}

export function setKey(heap: u32, i: u32, key: u64): void {
  store<u64>(heap + (i << 3), key);
}

/** Whether `a` belongs nearer the root than `b`. `max` is a constant at every call. */
function above(a: u64, b: u64, max: bool): bool {
  return max ? a > b : a < b;
}

function siftUp(heap: u32, i: u32, key: u64, max: bool): void {
  while (i > 0) {
    const parent = (i - 1) >> 1;
    const p = keyAt(heap, parent);
    if (!above(key, p, max)) break;
    setKey(heap, i, p);
    i = parent;
  }
  setKey(heap, i, key);
}

function siftDown(heap: u32, count: u32, key: u64, max: bool): void {
  let i: u32 = 0;
  for (;;) {
    let child: u32 = 2 * i + 1;
    if (child >= count) break;
    let best = keyAt(heap, child);
    if (child + 1 < count) {
      const right = keyAt(heap, child + 1);
      const swap = above(right, best, max);
      child += <u32>swap;
      best = select<u64>(right, best, swap);
    }
    if (!above(best, key, max)) break;
    setKey(heap, i, best);
    i = child;
  }
  setKey(heap, i, key);
}

/** Adds to a min-heap that holds `count` keys. */
export function pushMin(heap: u32, count: u32, key: u64): void {
  siftUp(heap, count, key, false);
}

/** Removes the root of a min-heap, leaving `count` keys. */
export function popMin(heap: u32, count: u32): void {
  siftDown(heap, count, keyAt(heap, count), false);
}

function pushMax(heap: u32, count: u32, key: u64): void {
  siftUp(heap, count, key, true);
}

function replaceMax(heap: u32, count: u32, key: u64): void {
  siftDown(heap, count, key, true);
}

/** Keeps the `limit` smallest keys seen, in the context's max-heap. */
export function offer(c: Context, key: u64, limit: u32): void {
  const top = c.top, count = c.topCount;
  if (count < limit) {
    c.topCount = count + 1;
    pushMax(top, count, key);
  } else if (key < load<u64>(top)) {
    replaceMax(top, limit, key);
  }
}

/** Sorts a max-heap in place, smallest first. */
export function sortHeap(heap: u32, count: u32): void {
  while (count > 1) {
    const max = keyAt(heap, 0);
    count--;
    replaceMax(heap, count, keyAt(heap, count));
    setKey(heap, count, max);
  }
}
