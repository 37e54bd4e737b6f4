"""Reads an export with programs that are not ours and says what they find, a JSON object a line.

    python tests/oracle/exports.py DIR [--reference DIR] [--tokens tokens.u32 --context 2048 --windows 8]
        [--inputs dynamic] [--kv 4] [--packers DIR]

`files`: every file opened with safetensors' own library or the gguf package. `weights`: the largest difference of
a decompressed weight to the reference, the same model exported as `huggingface` in float32. `kernel`: logits of
the reader's own linears against those of its decompressed weights. `perplexity`: windows of the tokens by the
GPTQ protocol, exp of the mean over windows of the mean negative log-likelihood of tokens 2..context, in float32;
`inputs` and `kv` say who rounds activations: nobody, the reader, or this script.

| format | who reads it |
| plain, compressed-tensors, GPTQ, AWQ | transformers, which calls compressed-tensors and gptqmodel |
| GGUF | gguf (file, tensors), transformers (names, order of rows, model) |
| TinyChat | the packers of autoawq and of deepcompressor, inverted |
| QServe | the packer of deepcompressor, inverted; scales by the order that QServe's kernel reads |

Python 3.11 on a CPU. For all but the last two rows:
    pip install torch==2.14.1 transformers==5.24.0 accelerate==1.15.0 optimum==2.3.0 compressed-tensors==0.20.0 \
        gguf==0.19.0 safetensors==0.8.0 sentencepiece==0.2.3 "setuptools>=84.2.1,<85"
    pip install --no-build-isolation gptqmodel==7.7.0
The packers are sources to read, not programs to install (their requirements contradict the above):
    pip download --no-deps --no-binary autoawq autoawq==0.2.9
    pip download --no-deps deepcompressor-toolkit==0.1.0
unpacked into one directory, given as --packers.
"""

import argparse
import importlib.util
import json
import math
import os
import resource
import sys
import time
import types
import warnings
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # gptqmodel would compile what runs a few times
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import numpy as np
import torch
from safetensors import safe_open
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_num_threads(int(os.environ.get("ORACLE_THREADS", os.cpu_count() or 1)))
OUT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # Whatever the packages print goes to standard error.


def tell(kind: str, **facts) -> None:
    print(json.dumps({"kind": kind, **facts}), file=OUT, flush=True)


class Tensors:
    """All tensors of a directory of safetensors files, read one at a time by safetensors' own library."""

    def __init__(self, directory: Path):
        self.files = {path.name: safe_open(path, "pt") for path in sorted(directory.glob("*.safetensors"))}
        self.where = {name: file for file in self.files.values() for name in file.keys()}
        index = directory / "model.safetensors.index.json"
        if index.exists():
            listed = json.loads(index.read_text())["weight_map"]
            found = {name: file for file, opened in self.files.items() for name in opened.keys()}
            if listed != found:
                raise ValueError(f"{index} disagrees with the files: {set(listed.items()) ^ set(found.items())}")

    def __contains__(self, name: str) -> bool:
        return name in self.where

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.where[name].get_tensor(name)

    def bytes(self, name: str) -> int:
        tensor = self[name]
        return tensor.numel() * tensor.element_size()


def format_of(directory: Path, config: dict, tensors: Tensors) -> str:
    if any(directory.glob("*.gguf")):
        return "gguf"
    stated = config.get("quantization_config", {})
    method = "tinychat" if stated.get("backend") == "llm-awq" else stated.get("quant_method")
    if method in ("compressed-tensors", "awq", "gptq", "tinychat"):
        return method
    for suffix, name in ((".scaled_zeros", "tinychat"), (".s1_scales", "qserve"), (".dequant_scale", "qserve")):
        if any(tensor.endswith(suffix) for tensor in tensors.where):
            return name
    return "plain"


# Readers: each loads a model and gives every weight of its linears in float32.


def linear_weights(model):
    return {name: module.weight for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and name != "lm_head"}


def read_plain(directory: Path, tensors: Tensors):
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    return model, linear_weights(model)


def read_gguf(directory: Path, tensors: Tensors):
    file = next(directory.glob("*.gguf"))
    model = AutoModelForCausalLM.from_pretrained(directory, gguf_file=file.name, dtype=torch.float32).eval()
    return model, linear_weights(model)


def read_compressed_tensors(directory: Path, tensors: Tensors):
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationConfig
    from transformers import CompressedTensorsConfig

    settings = json.loads((directory / "config.json").read_text())["quantization_config"]
    [scheme] = QuantizationConfig.model_validate(settings).config_groups.values()
    compressor = BaseCompressor.get_value_from_registry(scheme.format or settings["format"])
    asymmetric = not scheme.weights.symmetric
    # compressed-tensors 0.20 keeps the zeros of modules that it has not seen compressed unpacked.
    given = {"quantization_config": CompressedTensorsConfig(dequantize=True)} if asymmetric else {}
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, **given).eval()
    with torch.no_grad():
        model(input_ids=torch.zeros(1, 1, dtype=torch.long))  # it decompresses when it is first used

    def weight(name):
        parts = {part: tensors[f"{name}.{part}"] for part in compressor.compression_param_names(scheme)
                 if f"{name}.{part}" in tensors}
        parts["weight_scale"] = parts["weight_scale"].float()
        return compressor.decompress(parts, scheme)["weight"]

    linears = {tensor.removesuffix(".weight_scale"): weight(tensor.removesuffix(".weight_scale"))
               for tensor in tensors.where if tensor.endswith(".weight_scale")}
    return model, linears


def read_packed(directory: Path, tensors: Tensors):
    """GPTQ and AWQ: the loader of transformers with the portable kernel of gptqmodel, scales in float32."""
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear
    from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm
    from transformers import AwqConfig, GPTQConfig

    config = json.loads((directory / "config.json").read_text())["quantization_config"]
    kind, backend = (GPTQConfig, "gptq_torch") if config["quant_method"] == "gptq" else (AwqConfig, "torch_awq")
    model = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, quantization_config=kind(bits=config["bits"], backend=backend)).eval()

    def weight(module):
        scales = module.scales.float()
        if not isinstance(module, TorchLinear):
            return dequantize_gemm(module.qweight, module.qzeros, scales, module.bits, module.group_size).T
        kept, module.scales = module.scales, scales
        found = super(TorchLinear, module).dequantize_weight().T
        module.scales = kept
        return found

    return model, {name: weight(module).contiguous() for name, module in model.named_modules()
                   if hasattr(module, "qweight")}


def permutation(pack, rows: int, columns: int, bits: int) -> torch.Tensor:
    """Which code lies in which place of what a packer writes: it is given the digits of every code's index."""
    base, places = 1 << bits, math.ceil(math.log2(rows * columns) / bits)
    index = torch.arange(rows * columns).view(rows, columns)
    source = torch.zeros(rows * columns, dtype=torch.long)
    for place in range(places):
        source |= split(pack((index >> bits * place) % base), bits).long() << bits * place
    if not torch.equal(source.sort().values, torch.arange(rows * columns)):
        raise ValueError("the packer keeps no code as it is")
    return source


def split(packed: torch.Tensor, bits: int) -> torch.Tensor:
    """Codes in the order of their bits in memory."""
    data = packed.contiguous().view(torch.uint8).flatten()
    return torch.stack((data & 15, data >> 4), -1).flatten() if bits == 4 else data


LAYOUTS: dict = {}


def unpack(packer: str, pack, packed: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    key = packer, rows, columns
    if key not in LAYOUTS:
        LAYOUTS[key] = permutation(pack, rows, columns, 4)
    codes = torch.empty(rows * columns, dtype=torch.uint8)
    codes[LAYOUTS[key]] = split(packed, 4)
    return codes.view(rows, columns).float()


def source_file(packers: Path, pattern: str, name: str):
    """A module of an unpacked package, without what its package imports."""
    [path] = packers.rglob(pattern)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def packers_of(packers: Path):
    for package in ("deepcompressor", "deepcompressor.backend", "awq", "awq.utils"):
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = []
    sys.modules["awq.utils.module"] = types.ModuleType("awq.utils.module")
    sys.modules["awq.utils.module"].try_import = lambda _: (None, "")
    source_file(packers, "deepcompressor/backend/utils.py", "deepcompressor.backend.utils")
    qserve = source_file(packers, "deepcompressor/backend/qserve/utils.py", "deepcompressor.backend.qserve.utils")
    tinychat = source_file(packers, "deepcompressor/backend/tinychat/utils.py", "deepcompressor.backend.tinychat.utils")
    fast = source_file(packers, "awq/modules/linear/gemv_fast.py", "awq_gemv_fast")
    return {
        "qserve": lambda codes: qserve.QServePacker().pack_weight(codes.to(torch.uint8)),
        "tinychat": lambda codes: tinychat.pack_w4(codes.to(torch.int32)),
        "autoawq": lambda codes: fast.pack_intweight(codes, interleave=4, kstride=64),
        "tinychat_groups": tinychat.ceil_num_groups,
    }


def with_weights(directory: Path, tensors: Tensors, linears: dict):
    """The plain model of transformers with given weights of its linears."""
    config = AutoConfig.from_pretrained(directory)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    parameters = dict(model.named_parameters())
    missing = [name for name in parameters
               if name not in tensors and name.removesuffix(".weight") not in linears]
    if missing:
        raise ValueError(f"no tensor for {missing[:3]}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(linears.get(name.removesuffix(".weight"), None) if name not in tensors
                            else tensors[name].float())
    return model, linears


def read_tinychat(directory: Path, tensors: Tensors, packers):
    linears = {}
    for name in [tensor.removesuffix(".qweight") for tensor in tensors.where if tensor.endswith(".qweight")]:
        packed, scales, zeros = (tensors[f"{name}.{part}"] for part in ("qweight", "scales", "scaled_zeros"))
        rows, columns = packed.shape[0] * 4, packed.shape[1]
        codes = unpack("tinychat", packers["tinychat"], packed, rows, columns)
        if not torch.equal(codes, unpack("autoawq", packers["autoawq"], packed, rows, columns)):
            raise ValueError(f"{name}: autoawq and deepcompressor read other codes")
        groups = int((scales != 0).any(1).sum())
        group = columns // groups
        padded = packers["tinychat_groups"](columns, group)
        if padded != scales.shape[0] or scales[groups:].any() or zeros[groups:].any():
            raise ValueError(f"{name}: {scales.shape[0]} rows of scales for {groups} groups of {group}")
        spread = codes.view(rows, groups, group) * scales[:groups].float().T[..., None]
        linears[name] = (spread + zeros[:groups].float().T[..., None]).view(rows, columns)
    return with_weights(directory, tensors, linears)


def read_qserve(directory: Path, tensors: Tensors, packers):
    linears = {}
    scales = [tensor for tensor in tensors.where if tensor.endswith(".dequant_scale")]
    for name in (tensor.removesuffix(".dequant_scale") for tensor in scales):
        linears[name] = tensors[f"{name}.weight"].float() * tensors[f"{name}.dequant_scale"].float()[:, None]
    hidden = {f"{name}.weight" for name in linears}
    for name in [tensor.removesuffix(".qweight") for tensor in tensors.where if tensor.endswith(".qweight")]:
        packed, scales = tensors[f"{name}.qweight"], tensors[f"{name}.s1_scales"].float()
        rows, columns = packed.shape[0], packed.shape[1] * 2
        codes = unpack("qserve", packers["qserve"], packed, rows, columns)
        if f"{name}.s1_szeros" in tensors:
            linears[name] = codes * scales[:, None] - tensors[f"{name}.s1_szeros"].float()[:, None]
            continue
        # The kernel's order: place 32 t + 4 n + j holds channel 32 t + 8 j + n (QServe, w4a8_linear.py, from_linear).
        inner, zeros = (tensors[f"{name}.{part}"].view(-1, rows // 32, 8, 4).transpose(2, 3).reshape(-1, rows).T
                        for part in ("s2_scales", "s2_zeros"))
        spread = codes.view(rows, inner.shape[1], -1) * inner.float()[..., None]
        # Bytes are added without carry, as signed 8-bit numbers.
        wrapped = ((spread + zeros.float()[..., None] + 128) % 256) - 128
        linears[name] = (wrapped * scales[:, None, None]).view(rows, columns)
    for name in hidden:
        tensors.where.pop(name)
    norms = [name for name in tensors.where if "norm" in name and not bool((tensors[name] == 1).all())]
    tell("qserve", norms_not_one=norms[:3])
    return with_weights(directory, tensors, linears)


READERS = {"plain": read_plain, "gguf": read_gguf, "compressed-tensors": read_compressed_tensors,
           "gptq": read_packed, "awq": read_packed, "tinychat": read_tinychat, "qserve": read_qserve}
NAMES = {"plain": "transformers", "gguf": "transformers, gguf",
         "compressed-tensors": "transformers, compressed-tensors",
         "gptq": "transformers, gptqmodel", "awq": "transformers, gptqmodel",
         "tinychat": "packers of autoawq and deepcompressor", "qserve": "packer of deepcompressor"}


# What is said of an export.


def files_of(directory: Path, tensors: Tensors, format: str) -> None:
    if format == "gguf":
        from gguf import GGUFReader

        reader = GGUFReader(next(directory.glob("*.gguf")))
        kinds: dict = {}
        for tensor in reader.tensors:
            kinds[tensor.tensor_type.name] = kinds.get(tensor.tensor_type.name, 0) + 1
        parameters = sum(int(tensor.n_elements) for tensor in reader.tensors)
        size = sum(int(tensor.n_bytes) for tensor in reader.tensors)
        tell("files", format=format, files=1, tensors=len(reader.tensors), bytes=size, types=kinds,
             bits_a_parameter=8 * size / parameters, architecture=reader.fields["general.architecture"].contents())
        return
    kinds = {}
    for name in tensors.where:
        kind = str(tensors[name].dtype).removeprefix("torch.")
        kinds[kind] = kinds.get(kind, 0) + 1
    tell("files", format=format, files=len(tensors.files), tensors=len(tensors.where), types=kinds,
         bytes=sum(tensors.bytes(name) for name in tensors.where))


def compare(model, linears: dict, reference: Tensors, reader: str) -> None:
    """The largest differences to the reference, of linears and of all else."""
    worst = {"linears": (0.0, 0.0, ""), "others": (0.0, 0.0, "")}
    state = model.state_dict()
    parameters = coded = 0
    for name in reference.where:
        wanted = reference[name].float()
        linear = linears.get(name.removesuffix(".weight")) if name.endswith("_proj.weight") else None
        got = (linear if linear is not None else state[name]).detach().float()
        if got.shape != wanted.shape:
            raise ValueError(f"{name} is {tuple(got.shape)}, expected {tuple(wanted.shape)}")
        difference = (got - wanted).abs()
        rows = difference.flatten(1).amax(1) if wanted.ndim > 1 else difference
        largest = wanted.abs().flatten(1).amax(1) if wanted.ndim > 1 else wanted.abs()
        relative = float((rows / largest.clamp(min=1e-30)).max())
        kind = "others" if linear is None else "linears"
        worst[kind] = max(worst[kind], (relative, float(difference.max()), name))
        parameters += wanted.numel()
        coded += wanted.numel() if linear is not None else 0
    for kind, (relative, difference, name) in worst.items():
        tell("weights", reader=reader, of=kind, relative=relative, difference=difference, tensor=name)
    tell("counts", parameters=parameters, in_linears=coded)


@torch.inference_mode()
def perplexity(model, ids: np.ndarray, context: int, windows: int):
    """Means of negative log-likelihoods of each window, and exp of their mean."""
    means = []
    for window in range(windows):
        part = torch.from_numpy(ids[window * context : (window + 1) * context].astype(np.int64))
        hidden = model.model(input_ids=part[None], use_cache=False).last_hidden_state[0, :-1]
        total = sum(
            functional.cross_entropy(model.lm_head(hidden[at : at + 256]).double(), part[at + 1 : at + 257],
                                     reduction="sum").item()
            for at in range(0, context - 1, 256))
        means.append(total / (context - 1))
    return math.exp(sum(means) / len(means)), means


def rounded_inputs(x: torch.Tensor) -> torch.Tensor:
    """Signed 8-bit codes under a half-precision scale a token, as values again."""
    scale = (x.abs().amax(-1, keepdim=True) / 127).half().float()
    scale = torch.where(scale == 0, 1.0, scale)
    return (x / scale).round().clamp(-127, 127) * scale


def rounded_heads(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Unsigned codes under a half-precision scale and zero for every head of a token, as values again."""
    low, high = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
    scale = ((high - low) / (2**bits - 1)).half().float()
    scale = torch.where(scale == 0, 1.0, scale)
    zero = (-low).half().float()
    return ((x + zero) / scale).round().clamp(0, 2**bits - 1) * scale - zero


def emulate(model, linears, inputs: bool, kv: int | None) -> None:
    """Makes a model round the inputs of its linears, and its keys and values."""
    if inputs:
        for name in linears:
            model.get_submodule(name).register_forward_pre_hook(lambda _, given: (rounded_inputs(given[0]), *given[1:]))
    if kv:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        attend = ALL_ATTENTION_FUNCTIONS["sdpa"]

        def rounded(module, query, key, value, *rest, **more):
            return attend(module, query, rounded_heads(key, kv), rounded_heads(value, kv), *rest, **more)

        ALL_ATTENTION_FUNCTIONS["sdpa"] = rounded


@torch.no_grad()
def replace_linears(model, linears: dict) -> None:
    """Puts decompressed weights in place of a reader's own linears; says how far these were off."""
    ids = torch.arange(48)[None] * 101 % model.config.vocab_size
    before = model(input_ids=ids).logits
    for name, weight in linears.items():
        module = model.get_submodule(name)
        plain = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=module.bias is not None)
        plain.weight.data = weight.float()
        if module.bias is not None:
            plain.bias.data = module.bias.float()
        model.set_submodule(name, plain)
    after = model(input_ids=ids).logits
    tell("kernel", largest_difference=float((before - after).abs().max()), largest_logit=float(after.abs().max()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--tokens", type=Path)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--inputs", choices=["dynamic"])
    parser.add_argument("--kv", type=int)
    parser.add_argument("--packers", type=Path)
    given = parser.parse_args()
    started = time.time()
    tensors = Tensors(given.directory)
    config_path = given.directory / "config.json"
    config = json.loads(config_path.read_text()) if config_path.exists() else {}
    format = format_of(given.directory, config, tensors)
    files_of(given.directory, tensors, format)
    if format in ("tinychat", "qserve"):
        if not given.packers:
            raise SystemExit(f"{format} needs --packers")
        model, linears = READERS[format](given.directory, tensors, packers_of(given.packers))
    else:
        model, linears = READERS[format](given.directory, tensors)
    reader = NAMES[format]
    tell("loaded", reader=reader, linears=len(linears), seconds=time.time() - started)
    if given.reference:
        compare(model, linears, Tensors(given.reference), reader)
    if format in ("gptq", "awq") or any(name.endswith(".weight_zero_point") for name in tensors.where):
        replace_linears(model, linears)
    if given.tokens:
        ids = np.fromfile(given.tokens, dtype="<u4")

        def measure(inputs: str, kv: str) -> None:
            since = time.time()
            found, means = perplexity(model, ids, given.context, given.windows)
            tell("perplexity", reader=reader, inputs=inputs, kv=kv, perplexity=found, windows=means,
                 seconds=time.time() - since)

        rounding = [module for module in model.modules() if getattr(module, "quantization_scheme", None)
                    and module.quantization_scheme.input_activations]
        for module in rounding:
            module.quantization_enabled = False
        measure("float", "float")
        if rounding:
            for module in rounding:
                module.quantization_enabled = True
            measure("int8 (reader)", "float")
            for module in rounding:
                module.quantization_enabled = False
        if given.inputs or given.kv:
            emulate(model, linears, bool(given.inputs), given.kv)
            measure("int8 (this script)" if given.inputs else "float",
                    f"uint{given.kv} (this script)" if given.kv else "float")
    tell("done", seconds=time.time() - started,
         peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


main()
