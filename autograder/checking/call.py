"""Calling a learner's function so that nothing it does escapes: it may raise, loop, print, warn or meddle."""

import inspect
import io
import linecache
import random
import signal
import sys
import sysconfig
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from types import FrameType, FunctionType
from typing import Any

import numpy as np

SECONDS_PER_CALL = 2.0  # of computing
LONGEST_WAIT = 6.0  # seconds in which this process could have run, for a function that sleeps
TICK = 0.005  # seconds from one look at the time to the next


class TimeLimit(BaseException):
    """Raised inside a learner's function that runs for too long. Not an Exception, so that few handlers catch it."""


def not_written(error: BaseException | None) -> bool:
    """Whether an error comes from the stub of an exercise, not from a library that misses a method."""
    if not isinstance(error, NotImplementedError) or str(error):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return not (frames and frames[-1].filename.startswith(_LIBRARIES))


_LIBRARIES = (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"))


def functions_of(f: Callable) -> list[FunctionType]:
    """The functions that make up a learner's function or class, as they were written, without their decorators."""
    members = [*vars(f).values()] if inspect.isclass(f) else [f]
    members = [getattr(member, "fget", None) or member for member in members]
    unwrapped = [inspect.unwrap(member) for member in members]
    return [function for function in unwrapped if inspect.isfunction(function)]


@dataclass
class Call:
    """What came of one call: a value or an error, and what happened on the way."""

    value: Any = None
    error: BaseException | None = None
    where: str = ""
    printed: str = ""
    warnings: list[str] = field(default_factory=list)


def call(f: Callable, args: tuple, seconds: float = SECONDS_PER_CALL) -> Call:
    """Call ``f(*args)`` for so many seconds at most, with output and warnings caught and global state put back.

    The limit works in the main thread, and between two steps of Python: not inside one endless call of a library.
    """
    outcome = Call()
    printed = _Head()
    with (
        _state_restored(),
        _silent_in_callbacks(),
        warnings.catch_warnings(record=True) as caught,
        redirect_stdout(printed),
        redirect_stderr(printed),
    ):
        warnings.simplefilter("always")
        np.seterr(all="warn", under="ignore")
        timer = _start_timer(seconds)
        try:
            outcome.value = f(*args)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            outcome.error = error
        finally:
            _stop_timer(timer)
    if outcome.error is not None:
        outcome.where = _where(outcome.error, f)
    outcome.printed = printed.getvalue()
    outcome.warnings = sorted({f"{w.category.__name__}: {w.message}" for w in caught})
    return outcome


class _Head(io.StringIO):
    """Keeps the first characters that are written and drops the rest, however much is printed."""

    def write(self, text: str) -> int:
        room = 200 - self.tell()
        if room > 0:
            super().write(text[:room])
        return len(text)


@contextmanager
def _state_restored() -> Iterator[None]:
    """Put the global random generators, the recursion limit and the modes of NumPy and PyTorch back as they were.

    Inside, the generators start anew each time, so that an answer that draws from them differs from call to call.
    """
    numpy_state, python_state, errors = np.random.get_state(), random.getstate(), np.geterr()  # noqa: NPY002
    recursion_limit = sys.getrecursionlimit()
    np.random.seed()  # noqa: NPY002
    random.seed()
    try:
        with _torch_restored():
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
        np.seterr(**errors)
        sys.setrecursionlimit(recursion_limit)


@contextmanager
def _torch_restored() -> Iterator[None]:
    """The same for PyTorch, where it is in use: its generator, its default precision, and whether it keeps a graph."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    drawn, precision, recording = torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled()
    torch.default_generator.seed()  # torch.seed() also queues work for devices that may not be there
    try:
        yield
    finally:
        torch.set_rng_state(drawn)
        torch.set_default_dtype(precision)
        torch.set_grad_enabled(recording)


@contextmanager
def _silent_in_callbacks() -> Iterator[None]:
    """Say nothing of a `TimeLimit` that Python drops, in `__del__` or in a callback: the timer raises the next one."""
    former = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, TimeLimit):
            former(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = former


def _interrupter(seconds: float) -> Callable[[int, FrameType | None], None]:
    """A handler that stops the learner's code, and only that: on the way out, in this file, nothing is raised.

    It counts its own ticks for the time that has passed: the clock runs on while a machine sleeps or is overloaded.
    """
    begun, waited = time.thread_time(), seconds

    def interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal waited
        waited += TICK
        if time.thread_time() - begun < seconds and waited < LONGEST_WAIT:
            return
        if frame is not None and frame.f_code.co_filename != __file__ and not _is_importing(frame):
            _stop_at_every_line(frame)
            raise TimeLimit

    return interrupt


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported: cut short, it would stay broken for all later calls."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _stop_at_every_line(frame: FrameType | None) -> None:
    """From now on every line of the learner's raises, those in `except` blocks too: nothing can swallow them all."""

    def stop(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            raise TimeLimit
        return stop

    sys.settrace(lambda frame, event, argument: None)  # without it, Python does not look at a frame's own trace
    while frame is not None and frame.f_code.co_filename != __file__:
        frame.f_trace = stop
        frame = frame.f_back


def _start_timer(seconds: float) -> tuple | None:
    if threading.current_thread() is not threading.main_thread():
        return None
    handler = signal.signal(signal.SIGALRM, _interrupter(seconds))
    # It fires again and again, since a bare `except:` in the learner's loop may swallow it.
    return handler, signal.setitimer(signal.ITIMER_REAL, seconds, TICK), sys.gettrace()


def _stop_timer(timer: tuple | None) -> None:
    if timer is not None:
        sys.settrace(timer[2])
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, timer[0])
        signal.setitimer(signal.ITIMER_REAL, *timer[1])


def _where(error: BaseException, f: Callable) -> str:
    """The last line of the learner's own code that the error passed through."""
    files = {function.__code__.co_filename for function in functions_of(inspect.unwrap(f))}
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    if not own:
        return ""
    line = (own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno or 0)).strip()
    return f"line {own[-1].lineno}: `{line}`" if line else f"line {own[-1].lineno}"
