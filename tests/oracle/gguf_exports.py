"""Reads a GGUF export with the gguf package and compares it with a reference.

Usage: gguf_exports.py EXPORT [REFERENCE]. EXPORT is a .gguf file or the directory of an export; REFERENCE a directory of
safetensors in single precision, as the huggingface format with dtype float32 writes it. Prints a JSON line: metadata,
types, bytes, and for a reference the largest difference of each kind of tensor, relative to the largest of its row.
Needs `pip install gguf safetensors numpy`; written for gguf 0.19.0. `state_dict(path)` gives other scripts the tensors
under the names and in the row order of transformers.
"""

import json
import pathlib
import re
import sys

import numpy as np
from gguf import GGUFReader
from gguf.constants import MODEL_ARCH, MODEL_ARCH_NAMES
from gguf.quants import dequantize
from gguf.tensor_mapping import get_tensor_name_map


def file_of(path):
    path = pathlib.Path(path)
    return path / "model.gguf" if path.is_dir() else path


def state_dict(path):
    """Tensors by their names in transformers, float32; what only llama.cpp needs is left out."""
    reader = GGUFReader(file_of(path))
    value = lambda key: reader.fields[key].contents() if key in reader.fields else None
    architecture = value("general.architecture")
    heads = {"q": value(f"{architecture}.attention.head_count"), "k": value(f"{architecture}.attention.head_count_kv")}
    names = transformers_names(architecture, value(f"{architecture}.block_count"))
    state = {}
    for tensor in reader.tensors:
        if tensor.name == "rope_freqs.weight":
            continue
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        name = names[tensor.name]
        found = re.search(r"self_attn\.([qk])_proj\.", name)
        if found and architecture == "llama":
            # The converter's permutation undone: [heads, pairs, 2] to [heads, 2, pairs].
            shape = values.shape
            pairs = shape[0] // heads[found[1]] // 2
            values = values.reshape(heads[found[1]], pairs, 2, -1).swapaxes(1, 2).reshape(shape)
        state[name] = values
    return state


def transformers_names(architecture, layers):
    """transformers' names by those of the file, from the package's own table."""
    arch = next(arch for arch, name in MODEL_ARCH_NAMES.items() if name == architecture and isinstance(arch, MODEL_ARCH))
    table = get_tensor_name_map(arch, layers)
    theirs = ["model.embed_tokens", "model.norm", "lm_head"]
    parts = [f"self_attn.{role}_proj" for role in "qkvo"] + [f"mlp.{role}_proj" for role in ("gate", "up", "down")]
    parts += ["input_layernorm", "post_attention_layernorm"]
    theirs += [f"model.layers.{layer}.{part}" for layer in range(layers) for part in parts]
    endings = (".weight", ".bias")
    return {table.get_name(name + end, endings): name + end for name in theirs for end in endings}


def reference_of(directory):
    from safetensors import safe_open

    state = {}
    for path in sorted(pathlib.Path(directory).glob("*.safetensors")):
        with safe_open(path, "np") as file:
            state |= {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}
    return state


def compare(state, reference):
    if missing := [name for name in reference if name not in state and name != "lm_head.weight"]:
        raise SystemExit(f"tensors missing in the GGUF file: {missing}")
    worst = {}
    for name, values in state.items():
        expected = reference[name]
        if values.shape != expected.shape:
            raise SystemExit(f"{name} is {values.shape}, expected {expected.shape}")
        largest = np.abs(expected).max(axis=-1, keepdims=True)
        difference = np.abs(values - expected) / np.where(largest == 0, 1, largest)
        kind = re.sub(r"^model\.layers\.\d+\.", "", name)
        worst[kind] = max(worst.get(kind, 0.0), float(difference.max()))
    return worst


if __name__ == "__main__":
    file = file_of(sys.argv[1])
    reader = GGUFReader(file)
    types = {}
    for tensor in reader.tensors:
        types[tensor.tensor_type.name] = types.get(tensor.tensor_type.name, 0) + 1
    metadata = {}
    for key, field in reader.fields.items():
        value = field.contents()
        metadata[key] = value if not isinstance(value, (list, str)) or len(value) < 80 else f"{len(value)} of them"
    line = {"metadata": metadata, "types": types, "bytes": file.stat().st_size, "tensors": len(reader.tensors)}
    if len(sys.argv) > 2:
        line["differences"] = compare(state_dict(file), reference_of(sys.argv[2]))
    print(json.dumps(line))
