"""Milvus Lite through pymilvus: its server runs in threads of this process, HNSW M 16,
efConstruction 200 (faiss inside)."""

import os

from importlib.metadata import version
from pymilvus import DataType, MilvusClient

from harness import contest

METRICS = {"cosine": "COSINE", "l2": "L2"}
EF = [16, 32, 64, 128, 256]
PIECE = 1000


class Milvus:
    version = version("milvus-lite")
    filter_setting = {"label": "ef 128", "ef": 128}
    queries = 200
    filter_queries = 40

    def settings(self, data):
        return [{"label": f"ef {ef}", "ef": ef} for ef in EF]

    def client(self, job):
        return MilvusClient(os.path.join(job["folder"], "milvus.db"))

    def load(self, data):
        return data.base(), {name: data.field(name) for name in data.fields}

    def build(self, loaded, data, job):
        base, fields = loaded
        client = self.client(job)
        schema = client.create_schema(auto_id=False)
        schema.add_field("row", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=data.dimension)
        for name, values in fields.items():
            if isinstance(values[0], str):
                schema.add_field(name, DataType.VARCHAR, max_length=64)
            else:
                schema.add_field(name, DataType.INT64)
        client.create_collection("rows", schema=schema)
        for first in range(0, data.rows, PIECE):
            client.insert(
                "rows",
                [
                    {
                        "row": row,
                        "vector": base[row],
                        **{name: values[row] for name, values in fields.items()},
                    }
                    for row in range(first, min(first + PIECE, data.rows))
                ],
            )
        client.flush("rows")
        params = client.prepare_index_params()
        params.add_index(
            "vector",
            index_type="HNSW",
            metric_type=METRICS[data.metric],
            params={"M": 16, "efConstruction": 200},
        )
        client.create_index("rows", params)
        client.load_collection("rows")
        return client

    def save(self, client, data, job):
        client.close()

    def open(self, data, job):
        self.metric = METRICS[data.metric]
        client = self.client(job)
        client.load_collection("rows")
        return client

    def query(self, vector):
        return vector

    def search(self, client, query, k, setting):
        found = client.search(
            "rows",
            data=[query],
            limit=k,
            filter=setting.get("filter", ""),
            search_params={"metric_type": self.metric, "params": {"ef": setting["ef"]}},
        )
        return [hit["row"] for hit in found[0]]

    def filter(self, data, each):
        value = f'"{each["value"]}"' if isinstance(each["value"], str) else each["value"]
        return f"{each['field']} {each['op']} {value}"


contest(Milvus())
