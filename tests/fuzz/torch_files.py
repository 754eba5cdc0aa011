"""Damaged files of torch.save and safetensors: bytes, members of the archive, what they hold."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from mutations import Random, hostile, mutate_bytes, mutate_values, nested, pick

IMPORTERS = Path(__file__).parents[1] / "importers"


def _helper(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", IMPORTERS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _other_tensor(rng: Random, value: Any) -> Any:
    """Return a tensor of another kind, type or shape; or something else."""
    if not isinstance(value, torch.Tensor) or rng.random() < 0.15:
        return hostile(rng)
    plain = value.detach().clone()
    ways = (
        lambda: plain.to_sparse(),
        lambda: torch.empty(plain.shape, device="meta"),
        lambda: plain.to(torch.bfloat16),
        lambda: plain.half(),
        lambda: plain.double(),
        lambda: plain.to(torch.int8),
        lambda: plain > 0,
        lambda: plain.to(torch.complex64),
        lambda: plain.float().requires_grad_(),
        lambda: torch.nn.Parameter(plain.float()),
        lambda: torch.zeros(()).expand((10**6,) * max(plain.ndim, 1)),
        lambda: torch.zeros(1).expand(plain.shape),
        lambda: plain.reshape(-1),
        lambda: plain[None],
        lambda: plain[..., None],
        lambda: plain.reshape(-1)[:0],
        lambda: plain.T.contiguous() if plain.ndim == 2 else plain,
        lambda: torch.cat([plain.reshape(-1)] * 2),
        lambda: plain.float() * float("nan"),
        lambda: plain.float() + float("inf"),
        lambda: plain.float() * 1e38,
        lambda: plain.float() * 0,
        lambda: plain.float() * -1,
        lambda: torch.quantize_per_tensor(plain.float(), 0.1, 0, torch.qint8),
        lambda: plain.tolist(),
        lambda: torch.view_as_complex(torch.zeros(3, 2)).conj(),
        lambda: torch.nan_to_num(plain.float()).log(),
    )
    try:
        return pick(rng, ways)()
    except (RuntimeError, NotImplementedError):
        return plain.reshape(-1)


def _mutated_archive(rng: Random, content: bytes) -> bytes:
    """Change members of an archive and keep it one."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    for _ in range(int(rng.integers(1, 3))):
        name = pick(rng, list(members))
        if rng.random() < 0.4:
            name = next((n for n in members if n.endswith("data.pkl")), name)
        ways = (
            lambda n=name: members.__setitem__(n, mutate_bytes(rng, members[n])),
            lambda n=name: members.__setitem__(n, mutate_bytes(rng, members[n])),
            lambda n=name: members.__setitem__(n, mutate_bytes(rng, members[n], 1)),
            lambda n=name: members.pop(n) if len(members) > 1 else None,
            lambda n=name: members.__setitem__(n, b""),
            lambda n=name: members.__setitem__(n, members[pick(rng, list(members))]),
            lambda n=name: members.__setitem__(n, members[n] + bytes(1000)),
            lambda n=name: members.__setitem__(
                pick(rng, ("archive/data/0", "x/constants.pkl", "../x", "archive/byteorder")),
                members.pop(n) if len(members) > 1 else b"",
            ),
        )
        pick(rng, ways)()
    buffer = io.BytesIO()
    kind = pick(rng, (zipfile.ZIP_STORED,) * 4 + (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, value in members.items():
            archive.writestr(name, value)
    return buffer.getvalue()


class _Pickled:
    """Files of torch.save."""

    suffix = ".pt"

    def __init__(self, folder: Path) -> None:
        self.bases = [(content, _saved(content)) for content in self.contents(folder)]

    def contents(self, folder: Path) -> list[Any]:
        raise NotImplementedError

    def make(self, rng: Random, folder: Path) -> Path:
        path = folder / f"case{self.suffix}"
        content, saved = pick(rng, self.bases)
        way = rng.random()
        if way < 0.25:
            path.write_bytes(mutate_bytes(rng, saved))
        elif way < 0.5:
            path.write_bytes(_mutated_archive(rng, saved))
        else:
            changed = mutate_values(rng, content, _other_tensor)
            try:
                path.write_bytes(_saved(changed))
            except Exception:  # what cannot be saved never comes back
                path.write_bytes(_saved({"format": nested(200)}))
        return path


def _networks() -> list[Any]:
    from neurossm.models import InputSpec, ModelConfig, Network

    specs = (InputSpec.uint8(), InputSpec.tokens(5), InputSpec.real(2, -1, 1))
    layers = ("binary-s4d", "gsu", "s4d", "spiking-ssm")
    networks = []
    for index, layer in enumerate(layers):
        activation = "gelu" if layer == "s4d" else None
        config = ModelConfig(
            layer, specs[index % 3], 3, n_layers=1, d_model=4, d_state=4, activation=activation
        )
        torch.manual_seed(index)
        networks.append(Network(config).eval())
    return networks


class Checkpoints(_Pickled):
    def contents(self, folder: Path) -> list[Any]:
        from neurossm.importers import ImportOptions, import_checkpoint
        from neurossm.models import save

        path, found = folder / "base.pt", []
        models: list[Any] = _networks()
        for kind in ("adlif", "rf"):
            torch.save(_helper("spiking_networks").random_state(kind), folder / "foreign.pt")
            options = ImportOptions(input="counts:9", neuron="adlif" if kind == "adlif" else None)
            models.append(import_checkpoint(folder / "foreign.pt", None, options).model)
        for model in models:
            spec = model.config.input
            shape = (3, 5) if spec.kind == "tokens" else (3, 5, spec.size)
            kind = {"uint8": torch.uint8, "float": torch.float32}.get(spec.kind, torch.int64)
            lengths = torch.tensor([5, 2, 1])
            save(path, model, torch.zeros(shape, dtype=kind), {"epoch": 1, "task": "x"}, None,
                 lengths if len(found) % 2 else None)  # fmt: skip
            found.append(torch.load(path, weights_only=True))
        return found

    def read(self, path: Path, rng: Random) -> None:
        from neurossm.compile import compile_model
        from neurossm.inspection import inspect
        from neurossm.models.export import export

        inspect(path).to_json()
        graph = export(path)
        if rng.random() < 0.1:
            compile_model(graph)


class Imports(_Pickled):
    suffix = ".ckpt"

    def contents(self, folder: Path) -> list[Any]:
        foreign, spiking = _helper("transcription"), _helper("spiking_networks")
        states = [foreign.random_state(kind) for kind in foreign.KINDS.values()]
        states += [spiking.random_state(kind) for kind in ("adlif", "rf", "silif", "csilif")]
        states.append(spiking.spikingssm_state())
        hyper = {"model": {"_name_": "model", "prenorm": True, "dropout": 0.1, "norm": "batch"},
                 "dataset": {"_name_": "mnist"}, "decoder": {"mode": "pool"}}  # fmt: skip
        nested_ones = [
            {"state_dict": {f"net.{k}": v for k, v in s.items()}, "epoch": 3, "acc": 0.9}
            for s in states[:3]
        ]
        nested_ones[0]["hyper_parameters"] = hyper
        return [*states, *nested_ones]

    def read(self, path: Path, rng: Random) -> None:
        from neurossm.importers import ImportOptions, import_checkpoint

        options = ImportOptions(
            input=pick(rng, ("uint8", "tokens", "counts:9", "float:-1:1", None)),
            discretization=pick(rng, ("zoh", "bilinear", None)),
            activation=pick(rng, ("spike", "gelu", "none", None)),
            prenorm=pick(rng, (True, False, None)),
            norm=pick(rng, ("layer", "batch", None, None)),
            residual=pick(rng, ("sum", None)),
            neuron=pick(rng, ("adlif", "cadlif", None)),
        )
        import_checkpoint(path, None, options).save(path.with_name("imported.pt"))


class Unfinished(_Pickled):
    """The state that a training goes on from."""

    def contents(self, folder: Path) -> list[Any]:
        from neurossm.train import TrainLimits, settings_of, train
        from neurossm.train.tasks import registry
        from neurossm.train.tasks.token_order import token_order

        task = token_order(length=6, vocabulary=4, samples=64)
        registry.token_order = lambda: task
        given = {("", "task"): "token-order", ("model", "d_model"): 4, ("model", "d_state"): 4,
                 ("model", "n_layers"): 1, ("training", "epochs"): 3, ("training", "ema"): 0.9,
                 ("training", "batch_size"): 16, ("training", "keep"): "best"}  # fmt: skip
        self.settings = settings_of("gsu-small", given=given)
        train(self.settings, folder / "base.pt", limits=TrainLimits(minutes=1e-9))
        return [torch.load(folder / "base.last.pt", weights_only=True)]

    def make(self, rng: Random, folder: Path) -> Path:
        path = super().make(rng, folder)
        return path.rename(path.with_name("case.last.pt"))

    def read(self, path: Path, rng: Random) -> None:
        from neurossm.train import TrainLimits, train

        limits = TrainLimits(minutes=1e-9)
        train(self.settings, path.with_name("case.pt"), resume=True, limits=limits)


class Safetensors:
    def __init__(self, folder: Path) -> None:
        imports = Imports(folder)
        self.bases = [
            _header(content) for content, _ in imports.bases if "state_dict" not in content
        ]
        self.read = imports.read

    def make(self, rng: Random, folder: Path) -> Path:
        path = folder / "case.safetensors"
        header, data = pick(rng, self.bases)
        way = rng.random()
        if way < 0.6:
            header = mutate_values(rng, header)
        if way > 0.5:
            data = mutate_bytes(rng, data)
        text = json.dumps(header).encode("utf-8", "surrogatepass")
        content = len(text).to_bytes(8, "little") + text + data
        path.write_bytes(mutate_bytes(rng, content) if way > 0.8 else content)
        return path


def _header(state: dict[str, torch.Tensor]) -> tuple[dict[str, Any], bytes]:
    kinds = {torch.float32: "F32", torch.int64: "I64", torch.float64: "F64", torch.complex64: "C64"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, value in state.items():
        own = value.contiguous().numpy().tobytes()
        ends = [len(data), len(data) + len(own)]
        header[name] = {
            "dtype": kinds[value.dtype],
            "shape": list(value.shape),
            "data_offsets": ends,
        }
        data += own
    return header, data
