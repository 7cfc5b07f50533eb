"""faiss-cpu: HNSW over flat float32 (or, with "sq8", 8-bit codes without rescoring), M 16."""

import os
import sys

import faiss
import numpy as np

from harness import contest, unit

EF = [16, 32, 64, 128, 256, 512]


class Faiss:
    version = faiss.__version__
    filter_setting = {"label": "ef 128", "ef": 128}

    def settings(self, data):
        return [{"label": f"ef {ef}", "ef": ef} for ef in EF]

    def load(self, data):
        return unit(data.base()) if data.metric == "cosine" else data.base()

    def build(self, base, data, job):
        faiss.omp_set_num_threads(job["threads"])
        metric = faiss.METRIC_L2 if data.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        if "sq8" in sys.argv:
            kind = faiss.ScalarQuantizer.QT_8bit
            index = faiss.IndexHNSWSQ(data.dimension, kind, 16, metric)
            index.train(base)
        else:
            index = faiss.IndexHNSWFlat(data.dimension, 16, metric)
        index.hnsw.efConstruction = 200
        index.add(base)
        return index

    def save(self, index, data, job):
        faiss.write_index(index, os.path.join(job["folder"], "index.faiss"))

    def open(self, data, job):
        faiss.omp_set_num_threads(1)
        return faiss.read_index(os.path.join(job["folder"], "index.faiss"))

    def query(self, vector):
        row = vector.reshape(1, -1)
        return unit(row) if self.data.metric == "cosine" else row

    def search(self, index, query, k, setting):
        params = faiss.SearchParametersHNSW(efSearch=setting["ef"], sel=setting.get("filter"))
        return index.search(query, k, params=params)[1][0]

    def batch(self, index, queries, k, setting, threads):
        faiss.omp_set_num_threads(threads)
        params = faiss.SearchParametersHNSW(efSearch=setting["ef"])
        index.search(unit(queries) if self.data.metric == "cosine" else queries, k, params=params)
        faiss.omp_set_num_threads(1)

    def filter(self, data, each):
        # One bit a row. The selector keeps no reference to the bits: kept here.
        self.bits = np.packbits(data.mask(each["file"]), bitorder="little")
        return faiss.IDSelectorBitmap(self.bits)


contest(Faiss())
