// The kernel's exports.
import { binariseRows, meanRows } from "./binary";
import { buildGraph } from "./build";
import { exactSums } from "./exact";
import { Context, F32, Index, Query } from "./layout";
import { LinkReader, readLinks } from "./links";
import { halveCentroids, splitRows, trainCentroids } from "./pq";
import { emit, offerScratch, prepareQuery } from "./query";
import { biasRows, centreRows, measureRows, quantiseRows } from "./rows";
import { scanRows } from "./scan";
import { searchGraph } from "./search";

/** Size of each struct, so that the TypeScript side can prove that it knows the layout. */
export function structBytes(which: u32): u32 {
  if (which == 0) return offsetof<Index>();
  if (which == 1) return offsetof<Query>();
  return which == 2 ? offsetof<Context>() : offsetof<LinkReader>();
}

export function measure(x: Index, c: Context, from: u32, to: u32): u32 {
  return measureRows(x, c, from, to);
}

export function centre(x: Index): f64 { return centreRows(x); }
export function quantise(x: Index, from: u32, to: u32): void { quantiseRows(x, from, to); }
export function bias(x: Index, from: u32, to: u32): void { biasRows(x, from, to); }
export function mean(x: Index, c: Context): void { meanRows(x, c); }
export function binarise(x: Index, c: Context, from: u32, to: u32): void {
  binariseRows(x, c, from, to);
}

export function train(x: Index): void { trainCentroids(x); }
export function halve(x: Index): void { halveCentroids(x); }
export function split(x: Index, c: Context, from: u32, to: u32): void { splitRows(x, c, from, to); }

export function takeLinks(x: Index, r: LinkReader, from: u32, until: u32): u32 {
  return readLinks(x, r, from, until);
}

export function build(x: Index, c: Context, worker: u32, workers: u32): void {
  buildGraph(x, c, worker, workers);
}

export function scan(x: Index, c: Context, k: u32, over: u32, filter: u32, form: u32): u32 {
  c.evaluated = 0;
  return scanRows(x, c, k, over, filter, form);
}

export function search(x: Index, c: Context, k: u32, ef: u32, filter: u32, over: u32): u32 {
  c.evaluated = 0;
  return searchGraph(x, c, k, ef, filter, over);
}

/** Ranking rows that come from outside: start, then rows of the scratch segment, then results. */
export function rescoreStart(x: Index, c: Context): void {
  c.evaluated = 0;
  c.topCount = 0;
  prepareQuery(x, c, F32);
}

export function rescoreAdd(x: Index, c: Context, count: u32, limit: u32): void {
  offerScratch(x, c, count, limit);
}

export function rescoreEnd(x: Index, c: Context, k: u32): u32 { return emit(x, c, k, 0); }

export function exact(x: Index, c: Context, count: u32): void { exactSums(x, c, count); }
