"""Any classification model of torchvision.models by name, read without hooks and fitted to small pictures."""

from __future__ import annotations

import copy
import difflib
import math
import os
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from kdcore.network import Network, pool
from kdcore.spec import KnobError, knob
from kdcore.vocabulary import Seen

SMALLEST = {"alexnet": 64, "inception_v3": 75}
"""Shorter side in pixels below which the model has no plane left, where that is more than 32."""
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU)
ACTIVATION_FUNCTIONS = (F.relu, torch.relu, F.relu6, F.silu, F.hardswish, F.gelu)
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")


class TorchvisionModel(Network):
    """A classification model of torchvision by its name, such as resnet18, mobilenet_v3_small or vit_b_16.

    Pictures smaller than the model can take are enlarged, and grey ones are shown to all three channels. Maps are read
    where a stage ends: the last block's output at each resolution (in a transformer of one resolution, after each
    quarter of its blocks). Where that block ends in an activation, the pre-activation is what goes into it. Elsewhere
    (sums, linear bottlenecks, concatenations, tokens) pre-activations are the same tensors as the maps. Inception and
    GoogLeNet come without their auxiliary classifiers. MaxViT sees 224 x 224 pixels whatever is given.
    """

    title = "torchvision model"
    model: str = knob(
        "resnet18", help="The name in torchvision.models, such as resnet18, mobilenet_v3_small or vit_b_16."
    )
    weights: str = knob(
        "none",
        help="none: from scratch. downloaded: ImageNet's, fetched once by torchvision. Or a safetensors file's name: "
        "it lies in the folder weights of $KDLAB_DATA.",
    )
    side: int = knob(
        32, 32, 224, unit="pixels",
        help="Pictures with a shorter side than this are enlarged to it, and further where the model needs more.",
    )  # fmt: skip

    @classmethod
    def skeleton(cls, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "weights": "none"}

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        """Raises KnobError for an unknown model, 2 or more than 3 channels, and weights that do not fit."""
        if shape[0] not in (1, 3):
            raise KnobError("model", f"model={self.model!r} reads 1 or 3 channels; these pictures have {shape[0]}")
        model, fixed_side = make(self.model, classes, side=self.side)
        self._fixed_side = fixed_side
        self._least_side = max(self.side, SMALLEST.get(self.model, 32))
        self._head_path = [name for name, part in model.named_modules() if isinstance(part, (nn.Linear, nn.Conv2d))][-1]
        if self.weights == "downloaded":
            load(model, downloaded(self.model), head=self._head_path, network=self, replace_head=True)
        elif self.weights != "none":
            load(model, read_file(self.weights), head=self._head_path, network=self, replace_head=False)
        self.extractor, self.layers = extractor_of(model, head=self._head_path, side=fixed_side or 224)
        self._channels_at_end = self.model.startswith("swin")

    @property
    def head(self) -> nn.Module:
        """The classifier on the embedding. AttributeError where it works on a map and is pooled later (SqueezeNet)."""
        head = self.extractor.get_submodule(self._head_path)
        if not isinstance(head, nn.Linear):
            raise AttributeError(f"{self.model} pools after its classifier")
        return head

    def look(self, images: Tensor) -> Seen:
        read = self.extractor(self._fitted(images))
        maps = tuple(self._plane(read[f"map {layer}"]) for layer in self.layers)
        preacts = tuple(self._plane(read[f"preact {layer}"]) for layer in self.layers)
        embedding = read["embedding"]
        return Seen(read["logits"], maps, preacts, embedding if embedding.ndim == 2 else pool(embedding))

    def __deepcopy__(self, memo: dict[int, Any]) -> TorchvisionModel:
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        twin.extractor.train(self.extractor.training)  # torchvision's copy of an extractor is always in training
        return twin

    def _fitted(self, images: Tensor) -> Tensor:
        """(N, 1 or 3, h, w) -> (N, 3, H, W), large enough for the model."""
        height, width = images.shape[2:]
        size = (height, width)
        if self._fixed_side:
            size = (self._fixed_side, self._fixed_side)
        elif min(size) < self._least_side:
            factor = self._least_side / min(size)
            size = (max(self._least_side, round(height * factor)), max(self._least_side, round(width * factor)))
        if size != (height, width):
            images = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        return images.expand(-1, 3, -1, -1)

    def _plane(self, features: Tensor) -> Tensor:
        """What a model has at a stage's end -> (N, c, h, w)."""
        if features.ndim == 3:  # (N, 1 + tokens, c), the class token first
            grid = math.isqrt(features.shape[1] - 1)
            return features[:, 1:].transpose(1, 2).reshape(features.shape[0], -1, grid, grid)
        return features.permute(0, 3, 1, 2) if self._channels_at_end else features


def make(name: str, classes: int, *, side: int) -> tuple[nn.Module, int]:
    """The model with fresh weights, and the side in pixels that it must be given (0: any). Raises KnobError.

    Its structure depends on these arguments alone and never on weights, so any run's snapshot fits it.
    """
    import torchvision  # here: it takes a second to import

    names = torchvision.models.list_models(module=torchvision.models)
    if name not in names:
        near = difflib.get_close_matches(name.lower(), names, n=4, cutoff=0.5) or ["resnet18", "mobilenet_v3_small"]
        raise KnobError(
            "model", f"model={name!r} is no classification model of torchvision; near are {', '.join(near)}"
        )
    options: dict[str, Any] = {}
    fixed_side = 0
    if name in ("googlenet", "inception_v3"):
        # as the downloaded weights want it; init_weights only silences a warning about a coming default
        options = {"aux_logits": False, "init_weights": True, "transform_input": True}
    elif name.startswith("vit_"):
        patch = int(name.rsplit("_", 1)[1])
        fixed_side = patch * max(4, math.ceil(side / patch))
        options = {"image_size": fixed_side}
    elif name.startswith("maxvit"):
        fixed_side = 224  # its windows of 7 must divide every stage
    return torchvision.models.get_model(name, weights=None, num_classes=classes, **options), fixed_side


def downloaded(name: str) -> Mapping[str, Tensor]:
    """ImageNet weights, fetched by torchvision into torch's cache. Raises KnobError."""
    import torchvision

    try:
        return torchvision.models.get_model(name, weights="DEFAULT", progress=False).state_dict()
    except (OSError, RuntimeError) as error:
        raise KnobError(
            "weights",
            f"weights='downloaded': those of {name} could not be fetched ({error}); 'none' needs no network, and a "
            "safetensors file can be put into the folder weights of $KDLAB_DATA",
        ) from error


def read_file(name: str) -> Mapping[str, Tensor]:
    """The tensors of a safetensors file in $KDLAB_DATA/weights. Raises KnobError, which says what was wrong."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    def wrong(why: str) -> KnobError:
        return KnobError("weights", f"weights={name!r} {why}")

    if any(sign in name for sign in ("/", "\\", ":", "\0")) or ".." in name:
        raise wrong("is a path; the name of a file in the folder weights of $KDLAB_DATA is right")
    if not name.endswith(".safetensors") or name.startswith("."):
        raise wrong("is neither 'none' nor 'downloaded' nor a file name that ends in .safetensors")
    if not os.environ.get("KDLAB_DATA"):
        raise wrong("is looked for in the folder weights of $KDLAB_DATA, which is not set")
    folder = Path(os.environ["KDLAB_DATA"], "weights").resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise wrong(f"leads out of {folder}")
    if not path.is_file():
        there = ", ".join(sorted(file.name for file in folder.glob("*.safetensors"))) or "none"
        raise wrong(f"is not in {folder}; there are {there}")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise wrong(f"cannot be read as a safetensors file ({error})") from error


def load(
    model: nn.Module, state: Mapping[str, Tensor], *, head: str, network: TorchvisionModel, replace_head: bool
) -> None:
    """Put weights into the model. A head for another number of classes stays fresh or is refused. Raises KnobError."""

    def wrong(why: str) -> KnobError:
        return KnobError("weights", f"weights={network.weights!r} {why}")

    own = model.state_dict()
    given = {
        key.removeprefix("extractor."): tensor
        for key, tensor in state.items()
        if not key.removeprefix("extractor.").startswith(AUXILIARY)
    }
    if network.model.startswith("vit_"):
        given = resized_positions(given, own)
    head_keys = [key for key in own if key.startswith(f"{head}.")]
    weight = given.get(f"{head}.weight")
    if weight is not None and weight.shape[:1] != own[f"{head}.weight"].shape[:1]:
        if not replace_head:
            raise wrong(
                f"tells {weight.shape[0]} classes apart, and the data has {own[f'{head}.weight'].shape[0]}; "
                "the counts must be the same"
            )
        given.update({key: own[key] for key in head_keys})
    missing = [key for key in own if key not in given and not key.endswith("num_batches_tracked")]
    unknown = [key for key in given if key not in own]
    if missing or unknown:
        raise wrong(
            f"does not hold the weights of {network.model}: {len(missing)} are missing and {len(unknown)} unknown, "
            f"such as {(missing + unknown)[0]}"
        )
    for key, tensor in given.items():
        if tensor.shape != own[key].shape:
            raise wrong(
                f"does not fit {network.model}: {key} is {tuple(tensor.shape)} and should be {tuple(own[key].shape)}"
            )
    model.load_state_dict(given, strict=False)


def resized_positions(given: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same with the position embedding (1, 1 + tokens, c) resized to the model's grid, as torchvision does it."""
    key = "encoder.pos_embedding"
    if key not in given or given[key].ndim != 3 or given[key].shape == own[key].shape:
        return given
    token, grid = given[key][:, :1], given[key][:, 1:]
    old, new = math.isqrt(grid.shape[1]), math.isqrt(own[key].shape[1] - 1)
    if old * old != grid.shape[1]:
        return given
    grid = grid.transpose(1, 2).reshape(1, -1, old, old)
    grid = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=True).flatten(2).transpose(1, 2)
    return {**given, key: torch.cat([token, grid], dim=1)}


def extractor_of(model: nn.Module, *, head: str, side: int) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """A module that gives `map L`, `preact L` for each stage L, `embedding` and `logits`, and the stages' names.

    Stages are chosen by the shapes at side x side pixels, on torch's meta device, where nothing is computed.
    """
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    parts: Iterable[Any] = model.modules()
    for part in parts:
        if getattr(part, "inplace", False):
            part.inplace = False  # a pre-activation would be overwritten
    nodes = get_graph_node_names(model, suppress_diff_warning=True)[1]
    units = [unit for unit in units_of(model) if any(f"{node}.".startswith(f"{unit}.") for node in nodes[:-1])]
    units = [unit for unit in units if unit.split(".")[0] != head.split(".")[0]]
    wanted = {**{unit: unit for unit in units}, nodes[-1]: "logits"}
    extractor = create_feature_extractor(model, wanted, suppress_diff_warning=True).eval()
    hollow = {
        name: tensor.to("meta") for name, tensor in chain(extractor.named_parameters(), extractor.named_buffers())
    }
    with torch.no_grad():
        seen = torch.func.functional_call(extractor, hollow, (torch.zeros(1, 3, side, side, device="meta"),))
    stages = stages_among({unit: tuple(seen[unit].shape) for unit in units})
    for graph in (extractor.train_graph, extractor.eval_graph):
        rewrite(graph, extractor, stages=stages, head=head)
    extractor.graph = extractor.eval_graph  # compiles it anew
    return extractor.train(), stages


def units_of(model: nn.Module) -> list[str]:
    """The parts whose outputs may end a stage, in order: children, and of lists of blocks each; pools are none."""
    from torchvision.ops import Permute

    units: list[str] = []
    for name, child in model.named_children():
        if name == "encoder":  # of a vision transformer
            name, child = "encoder.layers", child.get_submodule("layers")
        listed = type(child) in (nn.Sequential, nn.ModuleList)  # subclasses are blocks themselves
        parts = {f"{name}.{part}": module for part, module in child.named_children()} if listed else {name: child}
        units += [unit for unit, module in parts.items() if not isinstance(module, (*POOLS, Permute))]
    return units


def stages_among(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The last unit at each resolution, of shapes in order. Planes that lose less than a quarter of a side are one."""
    tokens = [unit for unit, shape in shapes.items() if len(shape) == 3]
    if tokens:
        return tuple(tokens[(len(tokens) * quarter) // 4 - 1] for quarter in (1, 2, 3, 4))
    stages: dict[int, str] = {}
    for unit, shape in shapes.items():
        if len(shape) == 4 and shape[2] > 1:
            stages[next((known for known in stages if shape[2] > 0.75 * known), shape[2])] = unit
    return tuple(stages.values())


def rewrite(graph: fx.Graph, owner: nn.Module, *, stages: tuple[str, ...], head: str) -> None:
    """Let the graph give maps, pre-activations, embedding and logits, and nothing be overwritten in it."""

    def activates(node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(owner.get_submodule(str(node.target)), ACTIVATIONS)
        return node.op == "call_function" and node.target in ACTIVATION_FUNCTIONS

    output = next(node for node in graph.nodes if node.op == "output")
    found = output.args[0]
    read: dict[str, fx.Node] = {}
    for stage in stages:
        node = found[stage]
        users = [user for user in node.users if user.op != "output"]
        if not activates(node) and len(users) == 1 and activates(users[0]):
            node = users[0]
        read[f"map {stage}"] = node
        read[f"preact {stage}"] = node.all_input_nodes[0] if activates(node) else node
    read["embedding"] = next(node for node in graph.nodes if node.target == head).all_input_nodes[0]
    read["logits"] = found["logits"]
    output.args = (read,)
    for node in graph.nodes:
        if node.kwargs.get("inplace"):
            node.update_kwarg("inplace", False)
    graph.eliminate_dead_code()
    graph.lint()
