"""The Ray cluster that KDLAB_RAY names: reached, counted, its workers hired and let go. Ray is imported when asked."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdcore.scribe import LOOK_EVERY
from kdcore.sources import ray_address

PACKAGE = Path(__file__).absolute().parent.parent
"""The code, which travels to the nodes."""
PLACE = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):(?P<port>[0-9]{1,5})\Z")
REACHED = 5.0
"""Seconds in which a cluster must answer; Ray itself would try for minutes."""
MOST = 10_000
_CONNECTING = threading.Lock()


class ClusterError(ValueError):
    """A cluster that cannot be used; the message says why."""


class WorkerLost(Exception):
    """A worker is gone; the message says how, as a clause."""


class Cancelled(Exception):
    """Someone asked to stop."""


def connected() -> Any:
    """The module `ray`, connected. Raises ClusterError."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's default to come, of which it warns else
    try:
        import ray
    except ImportError as error:
        raise ClusterError(f"KDLAB_RAY={ray_address()}: Ray is not installed here; pip install ray") from error
    with _CONNECTING:
        if not ray.is_initialized():
            _connect(ray)
    return ray


def _connect(ray: Any) -> None:
    address = reached(ray_address())
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.ERROR,
            runtime_env={"py_modules": [str(PACKAGE)], "excludes": ["__pycache__"]},
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(f"KDLAB_RAY={address}: the cluster cannot be used: {_first_line(error)}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray's own would leave without a word


def reached(address: str) -> str:
    """The same address, once something answers there. Raises ClusterError."""
    if address == "auto":
        return address
    found = PLACE.match(address)
    if found is None:
        raise ClusterError(
            f"KDLAB_RAY={address}: auto or host:port is right; this machine must be a node of that cluster"
        )
    try:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), REACHED).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(f"KDLAB_RAY={address}: no Ray cluster answers there: {error}") from error
    return address


def count() -> dict[str, int]:
    """Cores of the cluster as "cpu" and, where it has any, "gpu"; KDLAB_SLOTS lowers both. Raises ClusterError."""
    found = connected().cluster_resources()
    wanted = os.environ.get("KDLAB_SLOTS", "")
    most = max(1, int(wanted)) if wanted.isdigit() else MOST
    cores, gpus = (min(most, int(found.get(name, 0))) for name in ("CPU", "GPU"))
    if not cores:
        raise ClusterError(f"KDLAB_RAY={ray_address()}: the cluster has no CPU to give")
    return {"cpu": cores, **({"gpu": gpus} if gpus else {})}


def first(told: list[Any], seconds: float) -> Any:
    """The first of these answers that is there, or None after so many seconds."""
    found, _ = connected().wait(told, timeout=seconds)
    return found[0] if found else None


class Worker:
    """A process somewhere in the cluster that holds a core, or a GPU and a core, until it is ended."""

    def __init__(self, kind: Callable[..., Any], *given: Any, gpu: bool) -> None:
        """Asks for it; `kind(*given, gpu=gpu)` will stand there, which has a method `warm`. Raises ClusterError."""
        self.gpu = gpu
        self._ray = connected()
        self._actor = (
            self._ray.remote(kind)
            .options(num_cpus=1, num_gpus=1 if gpu else 0, max_restarts=0, max_task_retries=0)
            .remote(*given, gpu=gpu)
        )

    def tell(self, method: str, *given: Any) -> Any:
        """Begin what the method does; what it will answer is for `answer`."""
        return getattr(self._actor, method).remote(*given)

    def ready(self, stop: Callable[[], bool]) -> None:
        """Wait until the cluster has room for it and it is warm. Raises as `ask` does."""
        self.ask("warm", stop=stop)

    def ask(self, method: str, *given: Any, stop: Callable[[], bool]) -> Any:
        """What the method answers. Raises Cancelled once `stop` says so, else as `answer` does."""
        told = self.tell(method, *given)
        while not stop():
            with contextlib.suppress(self._ray.exceptions.GetTimeoutError):
                return self.answer(told, LOOK_EVERY)
        raise Cancelled

    def answer(self, told: Any, seconds: float) -> Any:
        """Raises WorkerLost, ClusterError, RuntimeError for what the method raised, TimeoutError after the seconds."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(told, timeout=seconds)
        except errors.GetTimeoutError:
            raise
        except errors.RuntimeEnvSetupError as error:
            raise ClusterError(f"A node of the Ray cluster cannot take the code: {_first_line(error)}") from error
        except errors.RayTaskError as error:
            if isinstance(error.cause, ImportError):
                raise ClusterError(f"A node of the Ray cluster lacks what runs need: {error.cause}") from error
            raise RuntimeError(f"a Ray worker broke: {_last_line(error)}") from error
        except errors.RayError as error:
            raise WorkerLost(_how(error)) from error

    def end(self) -> None:
        """Kill its process."""
        with contextlib.suppress(Exception):
            self._ray.kill(self._actor, no_restart=True)


class Spare:
    """A worker between two runs of one process: the next one need not wait until another has imported torch."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._worker: Worker | None = None

    def keep(self, worker: Worker) -> None:
        """For so many seconds; then it is ended."""
        with self._lock:
            before, self._worker = self._worker, worker
        if before is not None:
            before.end()
        timer = threading.Timer(self._seconds, self._end, (worker,))
        timer.daemon = True
        timer.start()

    def take(self, *, gpu: bool) -> Worker | None:
        """The one that was kept, if it holds what is wanted."""
        with self._lock:
            if self._worker is None or self._worker.gpu is not gpu:
                return None
            worker, self._worker = self._worker, None
            return worker

    def _end(self, worker: Worker) -> None:
        with self._lock:
            if self._worker is not worker:
                return
            self._worker = None
        worker.end()


def _how(error: Exception) -> str:
    told = str(error)
    if "OutOfMemory" in type(error).__name__ or "memory pressure" in told or "OOM" in told:
        return "its node had too little memory"
    return "its node is gone" if "node has died" in told or "NodeDied" in type(error).__name__ else "its process ended"


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]


def _last_line(error: Exception) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)[
        :300
    ]
