"""What every contestant in Python shares; harness.mjs says what the phases and adapters are."""

import json
import os
import resource
import sys
import time

import numpy as np

WARM_UP = 100
BATCH_RUNS = 5


class Set:
    """A set of bench/.data/sets, read as set-file.mjs writes it."""

    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "meta.json"), encoding="utf-8") as file:
            self.meta = json.load(file)
        self.rows, self.dimension = self.meta["rows"], self.meta["dimension"]
        self.metric, self.k, self.filters = self.meta["metric"], self.meta["k"], self.meta["filters"]
        self.fields = self.meta["fields"]
        self.queries = self.matrix("queries.f32", "<f4", self.dimension)
        self.truth = self.matrix("truth.i32", "<i4", self.k)

    def matrix(self, name, kind, width):
        return np.fromfile(os.path.join(self.folder, name), kind).reshape(-1, width)

    def base(self):
        return self.matrix("base.f32", "<f4", self.dimension)

    def mask(self, number):
        return np.fromfile(os.path.join(self.folder, f"filter-{number}.u8"), np.uint8)

    def field(self, name):
        strings = os.path.join(self.folder, f"field-{name}.json")
        if os.path.exists(strings):
            with open(strings, encoding="utf-8") as file:
                return json.load(file)
        return np.fromfile(os.path.join(self.folder, f"field-{name}.i32"), "<i4").tolist()


def unit(vectors):
    """Rows of length 1, for engines that know the inner product but no cosine."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-30), dtype=np.float32)


def contest(adapter):
    phase, path = sys.argv[1], sys.argv[2]
    with open(path, encoding="utf-8") as file:
        job = json.load(file)
    done = (build if phase == "build" else search)(adapter, Set(job["set"]), job)
    print(json.dumps({"version": adapter.version, **done}), flush=True)
    # Some engines hang in their own threads at the end.
    os._exit(0)


def now_ms():
    return time.perf_counter() * 1000


def build(adapter, data, job):
    loaded = adapter.load(data)
    started = now_ms()
    index = adapter.build(loaded, data, job)
    build_ms = now_ms() - started
    adapter.save(index, data, job)
    total_ms = now_ms() - started
    told = getattr(adapter, "told", {})
    return {"buildMs": build_ms, "totalMs": total_ms, "bytes": bytes_under(job["folder"]), **told}


def search(adapter, data, job):
    adapter.data = data
    queries = [adapter.query(vector) for vector in data.queries]
    settings = adapter.settings(data)
    started = now_ms()
    index = adapter.open(data, job)
    adapter.search(index, queries[0], data.k, settings[0])
    open_ms = now_ms() - started
    some = queries[: getattr(adapter, "queries", len(queries))]
    for query in some[:WARM_UP]:
        adapter.search(index, query, data.k, settings[0])
    searches = []
    for setting in settings:
        answers, times = timed_round(adapter, index, some, data.k, setting)
        batch = batched(adapter, index, data, setting, job["threads"])
        searches.append({**setting, **times, **batch, "recall": recall(data.truth, answers)})
    filters = filtered(adapter, index, queries, data, job)
    rss = resident_bytes()
    return {"openMs": open_ms, "searches": searches, "filters": filters, "rssBytes": rss}


def timed_round(adapter, index, queries, k, setting):
    times, answers = [], []
    for query in queries:
        started = now_ms()
        rows = adapter.search(index, query, k, setting)
        times.append(now_ms() - started)
        answers.append([int(row) for row in rows if row >= 0])
    p50, p99 = float(np.median(times)), sorted(times)[min(len(times) - 1, int(len(times) * 0.99))]
    return answers, {"p50Ms": p50, "p99Ms": p99, "qps": 1000 / (sum(times) / len(times))}


def batched(adapter, index, data, setting, threads):
    if not hasattr(adapter, "batch"):
        return {}
    # The first starts threads.
    adapter.batch(index, data.queries, data.k, setting, threads)
    rates = []
    for _ in range(BATCH_RUNS):
        started = now_ms()
        adapter.batch(index, data.queries, data.k, setting, threads)
        rates.append(1000 * len(data.queries) / (now_ms() - started))
    return {"batchQps": float(np.median(rates))}


def filtered(adapter, index, queries, data, job):
    if not hasattr(adapter, "filter") or job.get("filters") is False:
        return []
    found = []
    for each in data.filters:
        truth = data.matrix(f"filter-{each['file']}.i32", "<i4", data.k)
        some = queries[: min(len(truth), getattr(adapter, "filter_queries", len(truth)))]
        setting = {**adapter.filter_setting, "filter": adapter.filter(data, each)}
        timed_round(adapter, index, some[:10], data.k, setting)
        answers, times = timed_round(adapter, index, some, data.k, setting)
        wanted = min(data.k, each["matching"])
        told = {name: each[name] for name in ("title", "share", "matching")}
        short = sum(len(rows) < wanted for rows in answers)
        found.append(
            {**told, **times, "short": short, "recall": recall(truth, answers), "queries": len(some)}
        )
    return found


def recall(truth, answers):
    found = wanted = 0
    for exact, got in zip(truth, answers):
        rows = {int(row) for row in exact if row >= 0}
        found += len(rows & set(got))
        wanted += len(rows)
    return found / wanted


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def bytes_under(folder):
    return sum(
        os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names
    )
