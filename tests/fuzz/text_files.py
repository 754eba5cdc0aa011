"""Damaged settings: profiles, widths and trainings in TOML, experiments in YAML."""

from __future__ import annotations

from pathlib import Path

import torch
from mutations import Random, mutate_bytes, mutate_text, pick
from torch_files import _helper

ROOT = Path(__file__).parents[2]


class _Texts:
    suffix = ".toml"

    def __init__(self, folder: Path) -> None:
        self.bases = self.texts(folder)

    def texts(self, folder: Path) -> list[str]:
        raise NotImplementedError

    def make(self, rng: Random, folder: Path) -> Path:
        path = folder / f"case{self.suffix}"
        text = pick(rng, self.bases)
        if rng.random() < 0.15:
            path.write_bytes(mutate_bytes(rng, text.encode()))
        else:
            path.write_bytes(mutate_text(rng, text))
        return path


class Profiles(_Texts):
    def texts(self, folder: Path) -> list[str]:
        from neurossm.program import Program

        self.program = Program.load(ROOT / "tests/golden/single.h5")
        profiles = sorted((ROOT / "src/neurossm/hw_profiles").glob("*.toml"))
        return [path.read_text("utf-8") for path in profiles]

    def read(self, path: Path, rng: Random) -> None:
        from neurossm.cost import profile
        from neurossm.hw_profiles import targets

        targets(path)
        if rng.random() < 0.2:
            spec = self.program.input
            import numpy as np

            kind = {"uint8": np.uint8, "float": np.float64}.get(spec.kind, np.int64)
            x = np.zeros((1, 2, 1 if spec.kind == "tokens" else spec.size), kind)
            profile(self.program, x, hw=str(path), engine="reference")


class Widths(_Texts):
    def texts(self, folder: Path) -> list[str]:
        from neurossm.compile.options import CompileOptions
        from neurossm.compile.precision import Precision, layer_widths, save_precision
        from neurossm.program import Program

        texts = []
        self.graph = Program.load(ROOT / "tests/golden/single.h5").graph
        for scaling in (None, "proved"):
            layers = {
                layer: {name: getattr(CompileOptions().widths, name) for name in names}
                for layer, names in layer_widths(self.graph).items()
            }
            save_precision(folder / "base.toml", Precision(layers=layers, scaling=scaling))
            texts.append((folder / "base.toml").read_text("utf-8"))
        return texts

    def read(self, path: Path, rng: Random) -> None:
        from neurossm.compile import compile_model
        from neurossm.compile.options import CompileOptions
        from neurossm.compile.precision import check_layers, load_precision

        precision = load_precision(path)
        check_layers(self.graph, precision.layers, f"{path}: ")
        if rng.random() < 0.3:
            compile_model(self.graph, precision.applied(CompileOptions()))


class TrainConfigs(_Texts):
    def texts(self, folder: Path) -> list[str]:
        from neurossm.train import settings_of
        from neurossm.train.settings import presets

        augmented = {("augmentation", "degrees"): 5.0, ("", "freeze"): ("encoder.*",)}
        texts = [settings_of(preset, given={("", "task"): "x"}).toml() for preset in presets()]
        try:
            texts.append(settings_of("gsu-small", given=augmented).toml())
        except TypeError:
            texts.append(texts[0])
        return texts

    def read(self, path: Path, rng: Random) -> None:
        from neurossm.models import InputSpec
        from neurossm.train import settings_of
        from neurossm.train.start import start

        settings = settings_of(config=path)
        settings.toml()
        if settings.model.get("d_model", 1) < 300 and settings.model.get("n_layers", 1) < 9:
            start(settings.model, InputSpec.uint8(), 3, settings.source.init)


class Experiments(_Texts):
    suffix = ".yaml"

    def texts(self, folder: Path) -> list[str]:
        foreign = _helper("transcription")
        kinds = ("official binary-s4d", "official gsu", "s4d.py in train.py")
        self.files = []
        for index, kind in enumerate(kinds):
            path = folder / f"network-{index}.pt"
            torch.save(foreign.random_state(foreign.KINDS[kind]), path)
            self.files.append(path)
        return [_FULL, _COMPOSED, _FULL.replace("s4_surrogate", "s4_gsu")]

    def read(self, path: Path, rng: Random) -> None:
        from neurossm.importers import ImportOptions, import_checkpoint

        options = ImportOptions(input="uint8", residual="sum")
        import_checkpoint(pick(rng, self.files), path, options)


_FULL = """\
seed: 1111
train: {seed: 0, interval: step, monitor: val/accuracy}
dataset:
  _name_: mnist
  permute: false
  val_split: 0.1
encoder: linear
decoder:
  _name_: sequence
  mode: pool
model:
  _name_: model
  prenorm: true
  transposed: true
  n_layers: 2
  d_model: 6
  residual: R
  pool:
    _name_: pool
    stride: 1
    expand: null
  norm: batch
  dropout: 0.1
  layer:
    _name_: s4_surrogate
    d_state: 64
    channels: 1
    bidirectional: false
    activation: gelu
    mode: diag
    measure: diag-lin
    rank: 1
    dt_min: 0.001
    dt_max: 1.0e-1
    disc: zoh
    real_type: exp
    lr: {dt: 0.001, A: 0.001}
    n_ssm: 1
optimizer:
  _name_: adamw
  lr: 1e-2
"""
_COMPOSED = """\
# @package _global_
defaults:
  - /trainer: default
  - /loader: default
  - /dataset: mnist
  - override /model: s4
  - override /model/layer: s4d
  - /pipeline: mnist
model:
  n_layers: 4
  d_model: 128
  norm: layer
  layer:
    disc: zoh
    lr: 0.001
loader.batch_size: 50
decoder: null
encoder: ${x}
"""
