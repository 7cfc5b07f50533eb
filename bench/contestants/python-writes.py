"""Qdrant's embedded edition and Milvus Lite, single rows: python-writes.py <engine> <set> <folder>.
One writer, since neither gains by more in one process; then a search after each write."""

import json
import os
import shutil
import sys
import time

import numpy as np

LASTS = 4.0
ROWS = 2000


def qdrant(folder, dimension):
    from qdrant_client import QdrantClient, models

    client = QdrantClient(path=os.path.join(folder, "qdrant"))
    params = models.VectorParams(size=dimension, distance=models.Distance.COSINE)
    client.create_collection("rows", vectors_config=params)

    def write(row, vectors):
        points = [models.PointStruct(id=row + i, vector=v.tolist()) for i, v in enumerate(vectors)]
        client.upsert("rows", points)

    def search(vector):
        client.query_points("rows", query=vector, limit=10, with_payload=False)

    return write, search


def milvus(folder, dimension):
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(os.path.join(folder, "milvus.db"))
    schema = client.create_schema(auto_id=False)
    schema.add_field("row", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
    client.create_collection("rows", schema=schema)
    params = client.prepare_index_params()
    params.add_index("vector", index_type="HNSW", metric_type="COSINE", params={"M": 16})
    client.create_index("rows", params)
    client.load_collection("rows")

    def write(row, vectors):
        client.insert("rows", [{"row": row + i, "vector": v} for i, v in enumerate(vectors)])

    def search(vector):
        client.search("rows", data=[vector], limit=10, search_params={"params": {"ef": 128}})

    return write, search


def main(engine, set_folder, folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with open(os.path.join(set_folder, "meta.json"), encoding="utf-8") as file:
        dimension = json.load(file)["dimension"]
    base = np.fromfile(os.path.join(set_folder, "base.f32"), "<f4").reshape(-1, dimension)
    write, search = {"qdrant": qdrant, "milvus": milvus}[engine](folder, dimension)
    for row in range(0, ROWS, 500):
        write(row, base[row : row + 500])
    row = ROWS

    def timed(lasts, act):
        times, started = [], time.perf_counter()
        while time.perf_counter() - started < lasts:
            before = time.perf_counter()
            act()
            times.append(time.perf_counter() - before)
        return times

    def one():
        nonlocal row
        write(row, base[row % len(base)][None, :])
        row += 1

    def told(times):
        ordered = sorted(times)
        at = lambda share: 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]
        return {"p50Ms": at(0.5), "p99Ms": at(0.99), "count": len(ordered)}

    idle = told(timed(LASTS / 2, lambda: search(base[0])))
    alone = len(timed(LASTS, one)) / LASTS
    times, wrote, started = [], 0, time.perf_counter()
    while time.perf_counter() - started < LASTS:
        one()
        wrote += 1
        before = time.perf_counter()
        search(base[wrote % len(base)])
        times.append(time.perf_counter() - before)
    print(json.dumps({"idle": idle, "alone": alone, "beside": wrote / LASTS, "during": told(times)}))
    sys.stdout.flush()
    os._exit(0)


main(*sys.argv[1:4])
