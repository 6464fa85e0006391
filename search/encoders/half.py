"""Makes an exported ONNX file small: weights stored as float16, cast to float32 when the session is made."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_NUMBERS = 2048  # what is smaller saves nothing
_LARGEST = 65504.0  # in float16
_ZERO_ROWS = 0.05  # share of a token table that makes leaving them out worth an index


def halve(path: Path) -> None:
    """Rewrites the file; the outputs are those of the rounded weights."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    first, kept = [], []
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _LEAST_NUMBERS or np.abs(values).max() > _LARGEST:
            kept.append(tensor)
            continue
        users = [node for node in graph.node if tensor.name in node.input]
        if len(users) == 1 and _looks_up(users[0], tensor.name):
            kept += _halve_table(graph, users[0], values)
        else:
            half = onnx.numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}_half")
            kept.append(half)
            first.append(onnx.helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(first + nodes)
    graph.initializer.extend(kept)
    del graph.value_info[:]  # they name types that are no longer true, and nobody needs them
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _looks_up(node: Any, table: str) -> bool:
    return node.op_type == "Gather" and node.input[0] == table and all(axis.i == 0 for axis in node.attribute)


def _halve_table(graph: Any, gather: Any, table: NDArray[np.float32]) -> list[Any]:
    """Looks tokens up in a smaller table and casts what was found; all rows of zeros become one row.

    A row that is whole steps of a power of two is kept in bytes and its step, else in float16.
    """
    import onnx

    name, indices, output = gather.input[0], gather.input[1], gather.output[0]
    used = np.flatnonzero(table.any(axis=1))
    at = list(graph.node).index(gather)
    nodes, tensors = [], []
    if len(used) < (1 - _ZERO_ROWS) * len(table):
        where = np.zeros(len(table), dtype=np.int32)  # 0: the row of zeros
        where[used] = np.arange(1, len(used) + 1)
        table = np.concatenate([np.zeros_like(table[:1]), table[used]])
        tensors.append(onnx.numpy_helper.from_array(where, f"{name}_where"))
        nodes.append(onnx.helper.make_node("Gather", [f"{name}_where", indices], [f"{name}_row"]))
        indices = f"{name}_row"
    steps = _steps(table)
    kept = table.astype(np.float16) if steps is None else (table / steps).astype(np.int8)
    tensors.append(onnx.numpy_helper.from_array(kept, f"{name}_half"))
    nodes.append(onnx.helper.make_node("Gather", [f"{name}_half", indices], [f"{name}_found"]))
    if steps is None:
        nodes.append(onnx.helper.make_node("Cast", [f"{name}_found"], [output], to=onnx.TensorProto.FLOAT))
    else:
        tensors.append(onnx.numpy_helper.from_array(steps, f"{name}_steps"))
        nodes.append(onnx.helper.make_node("Cast", [f"{name}_found"], [f"{name}_whole"], to=onnx.TensorProto.FLOAT))
        nodes.append(onnx.helper.make_node("Gather", [f"{name}_steps", indices], [f"{name}_step"]))
        nodes.append(onnx.helper.make_node("Mul", [f"{name}_whole", f"{name}_step"], [output]))
    del graph.node[at]
    for offset, node in enumerate(nodes):
        graph.node.insert(at + offset, node)
    return tensors


def _steps(table: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The step of each row, (rows, 1), where all rows are whole multiples of at most 127; else None."""
    largest = np.maximum(np.abs(table).max(axis=1, keepdims=True), np.float32(2.0**-100))
    steps: NDArray[np.float32] = np.exp2(np.ceil(np.log2(largest / 127))).astype(np.float32)
    whole = table / steps
    return steps if np.array_equal(whole, np.round(whole)) and np.abs(whole).max() <= 127 else None
