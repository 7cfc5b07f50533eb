"""Qdrant's embedded Python edition (qdrant-client with a path): exact search in numpy, payload in
SQLite. It has no index, so there is one setting and its recall is 1."""

import os

from importlib.metadata import version
from qdrant_client import QdrantClient, models

from harness import contest

DISTANCES = {"cosine": models.Distance.COSINE, "l2": models.Distance.EUCLID}
PIECE = 1000


class Qdrant:
    version = version("qdrant-client")
    filter_setting = {"label": "exact"}
    # Tens of milliseconds each: fewer give the same median.
    queries = 200
    filter_queries = 40

    def settings(self, data):
        return [{"label": "exact"}]

    def client(self, job):
        return QdrantClient(path=os.path.join(job["folder"], "qdrant"))

    def load(self, data):
        return data.base(), {name: data.field(name) for name in data.fields}

    def build(self, loaded, data, job):
        base, fields = loaded
        client = self.client(job)
        params = models.VectorParams(size=data.dimension, distance=DISTANCES[data.metric])
        client.create_collection("rows", vectors_config=params)
        for first in range(0, data.rows, PIECE):
            rows = range(first, min(first + PIECE, data.rows))
            payloads = [{name: values[row] for name, values in fields.items()} for row in rows]
            batch = models.Batch(ids=list(rows), vectors=base[rows.start : rows.stop], payloads=payloads)
            client.upsert("rows", batch)
        return client

    def save(self, client, data, job):
        client.close()

    def open(self, data, job):
        return self.client(job)

    def query(self, vector):
        return vector

    def search(self, client, query, k, setting):
        found = client.query_points(
            "rows", query=query, limit=k, query_filter=setting.get("filter"), with_payload=False
        )
        return [point.id for point in found.points]

    def filter(self, data, each):
        if each["op"] == "==":
            condition = {"match": models.MatchValue(value=each["value"])}
        else:
            bound = {">=": "gte", "<": "lt"}[each["op"]]
            condition = {"range": models.Range(**{bound: each["value"]})}
        return models.Filter(must=[models.FieldCondition(key=each["field"], **condition)])


contest(Qdrant())
