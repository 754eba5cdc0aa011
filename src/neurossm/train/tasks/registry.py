"""The tasks by name, and what each is made from.

A new task is a file beside this one with a function of a `TaskRequest`, and one entry here. Where
the request names a file that `neurossm data` wrote, it is read instead of the originals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from neurossm.errors import InputError
from neurossm.train.tasks.image import image
from neurossm.train.tasks.listops import generated_listops, read_listops
from neurossm.train.tasks.mnist import sequential_mnist
from neurossm.train.tasks.pathfinder import PATH_X, PATHFINDER, pathfinder
from neurossm.train.tasks.samples import Task
from neurossm.train.tasks.text import text
from neurossm.train.tasks.token_order import token_order


@dataclass(frozen=True)
class TaskRequest:
    """How a task's samples are to be made.

    Attributes
    ----------
    data
        Folder of the original files; None for tasks that are generated.
    limit
        At most so many samples in each part; None: all.
    seed
        Of generated samples. Splits of published ones do not depend on it.
    """

    data: str | None = None
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InputError(f"limit: {self.limit} must be at least 1")
        if self.seed < 0:
            raise InputError(f"seed: {self.seed} must not be negative")

    @property
    def folder(self) -> str:
        """The folder, of a task that needs one."""
        assert self.data is not None  # `named_task` has checked it
        return self.data


@dataclass(frozen=True)
class TaskSource:
    """A task that can be made.

    Attributes
    ----------
    make
        Makes it; it need not heed the limit where that saves nothing.
    summary
        What it is, in a few words.
    needs
        What ``--data`` must name; empty: nothing, the samples are generated.
    """

    make: Callable[[TaskRequest], Task]
    summary: str
    needs: str = ""


def _listops(request: TaskRequest) -> Task:
    if request.data is not None:
        return read_listops(request.data)
    return generated_listops(request.seed, request.limit)


TASKS: Mapping[str, TaskSource] = {
    "smnist": TaskSource(
        lambda request: sequential_mnist(request.folder),
        "sequential MNIST: a pixel per step",
        "the folder with the four MNIST files",
    ),
    "psmnist": TaskSource(
        lambda request: sequential_mnist(request.folder, permuted=True),
        "permuted sequential MNIST",
        "the folder with the four MNIST files",
    ),
    "listops": TaskSource(
        _listops,
        "nested lists of digits, generated, or from the published basic_*.tsv in --data",
    ),
    "text": TaskSource(
        lambda request: text(request.folder, request.limit),
        "film reviews byte by byte, favourable or not",
        "the folder aclImdb",
    ),
    "image": TaskSource(
        lambda request: image(request.folder, request.limit),
        "grey CIFAR-10, a pixel per step",
        "cifar-10-batches-bin, or a folder with train/CLASS and test/CLASS of picture files",
    ),
    "pathfinder": TaskSource(
        lambda request: pathfinder("pathfinder", PATHFINDER, request.limit, request.seed),
        "do two discs mark one dashed curve? 32 x 32 pixels",
    ),
    "pathx": TaskSource(
        lambda request: pathfinder("pathx", PATH_X, request.limit, request.seed),
        "the same on 128 x 128 pixels: 16,384 steps",
    ),
    "token-order": TaskSource(
        lambda request: token_order(),
        "which of two tokens comes first, a small trial",
    ),
}


def named_task(name: str, request: TaskRequest) -> Task:
    """Return a task of `TASKS`.

    Raises
    ------
    InputError
        If its name is unknown, it needs data that are not named, or files are missing.
    FormatError
        If files are damaged, or not the ones of the task.
    """
    source = TASKS.get(name)
    if source is None:
        raise InputError(f"task {name!r} is unknown; known are {', '.join(TASKS)}")
    if source.needs and request.data is None:
        raise InputError(
            f"task {name}: --data must name {source.needs}, or a file of `neurossm data {name}`"
        )
    return source.make(request).limited(request.limit)
