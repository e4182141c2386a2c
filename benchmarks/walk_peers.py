"""Other walk engines behind one call, for benchmarks/walks.py.

Each takes a graph in compressed sparse rows, starts from every node `repeats` times, and returns
its walks as an array (walks, items) padded with any node, their lengths, and the seconds its inner
call took (no building of graphs, no names of nodes, no Python lists: the most favourable reading).
benchmarks/peers.txt pins the versions measured.
"""

from __future__ import annotations

import importlib
import sys
import time
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

Made = tuple[np.ndarray, np.ndarray, float]
THREADS = 2


def _padded(walks: list) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(w) for w in walks])
    padded = np.zeros((len(walks), lengths.max()), dtype=np.int64)
    for row, walk in enumerate(walks):
        padded[row, : len(walk)] = walk
    return padded, lengths


def igraph_walks(graph, order: int, p: float, q: float, items: int, repeats: int) -> Made:
    """igraph's random_walk, one call a walk.

    A weighted call passes over all edges, so that on a large graph only a few walks are made.
    """
    del p, q
    if order != 1:
        raise NotImplementedError("first order only")
    seen = graph.igraph()
    starts = np.tile(np.arange(graph.nodes), repeats)
    starts = starts[: max(3, min(len(starts), 400_000_000 // len(graph.indices)))]
    began = time.perf_counter()
    walks = [
        seen.random_walk(int(start), items - 1, weights="weight", stuck="return")
        for start in starts
    ]
    return *_padded(walks), time.perf_counter() - began


def graph_walker(graph, order: int, p: float, q: float, items: int, repeats: int) -> Made:
    """graph-walker, in C++."""
    native = importlib.import_module("_walker")
    shares = graph.confidence / np.repeat(
        np.add.reduceat(graph.confidence, graph.indptr[:-1]), np.diff(graph.indptr)
    )
    arrays = (
        graph.indptr.astype(np.uint32),
        graph.indices.astype(np.uint32),
        shares.astype(np.float32),
        np.arange(graph.nodes, dtype=np.uint32),
    )
    began = time.perf_counter()
    if order == 1:
        walks = native.random_walks(*arrays, repeats, items)
    else:
        walks = native.node2vec_random_walks(*arrays, repeats, items, p, q)
    seconds = time.perf_counter() - began
    return walks, np.full(len(walks), walks.shape[1]), seconds


def pecanpy(graph, order: int, p: float, q: float, items: int, repeats: int) -> Made:
    """PecanPy's PreCompFirstOrder and SparseOTF: the compiled kernel alone."""
    if "nptyping" not in sys.modules:
        # The release it needs for its annotations does not import under numpy 2.
        names = types.ModuleType("nptyping")
        anything = type("Anything", (), {"__class_getitem__": classmethod(lambda c, _: c)})
        names.__getattr__ = lambda name: anything  # type: ignore[method-assign]
        sys.modules["nptyping"] = names
    module = importlib.import_module("pecanpy.pecanpy")
    progress = importlib.import_module("numba_progress")
    sys.modules.pop("nptyping", None)  # others that look for it shall not find this one
    kind = module.PreCompFirstOrder if order == 1 else module.SparseOTF
    walker = kind(p=p, q=q, workers=THREADS, random_state=1)
    walker.set_node_ids([str(n) for n in range(graph.nodes)])
    walker.indptr = graph.indptr.astype(np.uint64)
    walker.indices = graph.indices.astype(np.uint32)
    walker.data = graph.confidence.astype(np.float32)
    walker._preprocess_transition_probs()
    move, has_neighbours = walker.get_move_forward(), walker.get_has_nbrs()
    starts = np.tile(np.arange(graph.nodes, dtype=np.uint32), repeats)

    def walk(which: np.ndarray) -> np.ndarray:
        with progress.ProgressBar(total=len(which), disable=True) as bar:
            return walker._random_walks(len(which), items - 1, 1, which, has_neighbours, move, bar)

    walk(starts[:10])
    began = time.perf_counter()
    found = walk(starts)
    seconds = time.perf_counter() - began
    return found[:, :-1], found[:, -1].astype(int), seconds


def fastnode2vec(graph, order: int, p: float, q: float, items: int, repeats: int) -> Made:
    """fastnode2vec's compiled walk, one call a walk, in threads."""
    module = importlib.import_module("fastnode2vec.graph")
    numba = importlib.import_module("numba")
    shares = graph.confidence / np.repeat(
        np.add.reduceat(graph.confidence, graph.indptr[:-1]), np.diff(graph.indptr)
    )
    indptr = graph.indptr
    cumulative = module._csr_row_cumsum(indptr, shares)
    if order == 1:
        p = q = 1.0
    inner = module._random_walk_weighted

    @numba.njit(nogil=True)
    def many(indptr, indices, cumulative, starts, items, p, q):
        walks = np.zeros((len(starts), items), np.int64)
        lengths = np.zeros(len(starts), np.int64)
        for row in range(len(starts)):
            walk = inner(indptr, indices, cumulative, items, p, q, starts[row])
            lengths[row] = len(walk)
            walks[row, : len(walk)] = walk
        return walks, lengths

    starts = np.tile(np.arange(graph.nodes), repeats)
    many(indptr, graph.indices, cumulative, starts[:2], items, p, q)
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        parts = list(
            pool.map(
                lambda part: many(indptr, graph.indices, cumulative, part, items, p, q),
                np.array_split(starts, THREADS),
            )
        )
    seconds = time.perf_counter() - began
    return np.concatenate([w for w, _ in parts]), np.concatenate([n for _, n in parts]), seconds


def csrgraph(graph, order: int, p: float, q: float, items: int, repeats: int) -> Made:
    """csrgraph, the engine of nodevectors."""
    module = importlib.import_module("csrgraph")
    sparse = importlib.import_module("scipy.sparse")
    matrix = sparse.csr_matrix(
        (graph.confidence.astype(np.float32), graph.indices, graph.indptr),
        shape=(graph.nodes, graph.nodes),
    )
    walker = module.csrgraph(matrix, threads=THREADS).normalize(return_self=False)
    bias = {} if order == 1 else {"return_weight": 1 / p, "neighbor_weight": 1 / q}
    walker.random_walks(walklen=items, epochs=1, start_nodes=np.arange(2), **bias)
    began = time.perf_counter()
    walks = walker.random_walks(walklen=items, epochs=repeats, **bias)
    return walks, np.full(len(walks), walks.shape[1]), time.perf_counter() - began


def torch_cluster(graph, order: int, p: float, q: float, items: int, repeats: int) -> Made:
    """torch_cluster's random_walk, which knows no weights."""
    torch = importlib.import_module("torch")
    module = importlib.import_module("torch_cluster")
    torch.set_num_threads(THREADS)
    row = torch.from_numpy(graph.sources().astype(np.int64))
    column = torch.from_numpy(graph.indices.astype(np.int64))
    starts = torch.arange(graph.nodes).repeat(repeats)
    if order == 1:
        p = q = 1.0
    began = time.perf_counter()
    walks = module.random_walk(
        row, column, starts, items - 1, p=p, q=q, coalesced=True, num_nodes=graph.nodes
    ).numpy()
    return walks, np.full(len(walks), walks.shape[1]), time.perf_counter() - began


PEERS: dict[str, Callable[..., Made]] = {
    "igraph": igraph_walks,
    "pecanpy": pecanpy,
    "graph-walker": graph_walker,
    "fastnode2vec": fastnode2vec,
    "csrgraph": csrgraph,
    "torch_cluster": torch_cluster,
}
