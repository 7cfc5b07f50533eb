"""hnswlib from PyPI, compiled for this machine by pip, M 16, ef_construction 200."""

import os

import hnswlib
import numpy as np
from importlib.metadata import version

from harness import contest

EF = [16, 32, 64, 128, 256, 512]


class Hnswlib:
    version = version("hnswlib")
    filter_setting = {"label": "ef 128", "ef": 128}
    filter_queries = 60

    def settings(self, data):
        return [{"label": f"ef {ef}", "ef": ef} for ef in EF]

    def load(self, data):
        return data.base()

    def build(self, base, data, job):
        index = hnswlib.Index(space=data.metric, dim=data.dimension)
        index.init_index(max_elements=data.rows, M=16, ef_construction=200, random_seed=100)
        index.set_num_threads(job["threads"])
        index.add_items(base, np.arange(data.rows))
        return index

    def save(self, index, data, job):
        index.save_index(os.path.join(job["folder"], "index.hnsw"))

    def open(self, data, job):
        index = hnswlib.Index(space=data.metric, dim=data.dimension)
        index.load_index(os.path.join(job["folder"], "index.hnsw"))
        index.set_num_threads(1)
        return index

    def query(self, vector):
        return vector

    def search(self, index, query, k, setting):
        index.set_ef(setting["ef"])
        return index.knn_query(query, k, num_threads=1, filter=setting.get("filter"))[0][0]

    def batch(self, index, queries, k, setting, threads):
        index.set_ef(setting["ef"])
        index.knn_query(queries, k, num_threads=threads)

    def filter(self, data, each):
        mask = data.mask(each["file"]).astype(bool).tolist()
        return lambda row: mask[row]




contest(Hnswlib())
