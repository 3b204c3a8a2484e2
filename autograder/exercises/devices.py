"""Chapter 12: honest timing, and loss scaling."""

import copy
import itertools
import statistics
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from autograder.checking.call import call
from autograder.checking.draw import normal
from autograder.checking.exercise import Case, Exercise, Record
from autograder.checking.score import Finding
from autograder.checking.structure import WrongStructure

CHAPTER = "12-devices"


# median_seconds
#
# `run()` hands the device a piece of work and returns before it is done; `synchronize()` waits until nothing is left to
# do; `clock()` reads the seconds. The device of the check is made up, and so is its time: the same numbers everywhere.

QUEUE = 4  # pieces of work that wait for the device at most: with more, `run` waits as well
COMPILING = 0.5  # seconds that the very first call takes besides


class _Device:
    """A device that works by itself, one piece after the other, while the time of the program beside it goes on.

    ``launch`` and ``work`` are seconds: how long the k-th call of ``run`` holds the program up, and how long its work
    takes. ``queued`` is what is left to do of somebody else's work when all begins.
    """

    def __init__(self, launch: np.ndarray, work: np.ndarray, queued: float):
        self.launch, self.work = launch.tolist(), work.tolist()
        self.now = 10.0
        self.ends = [self.now + queued]
        self.trace: list[tuple[str, bool]] = []  # what was called, and whether the device was idle then
        self.runs = 0

    def _note(self, what: str) -> None:
        self.trace.append((what, self.ends[-1] <= self.now))

    def run(self) -> None:
        self._note("run")
        k = self.runs % len(self.work)
        self.runs += 1
        waiting = [end for end in self.ends if end > self.now]
        if len(waiting) >= QUEUE:
            self.now = waiting[-QUEUE]
        self.now += self.launch[k]
        self.ends.append(max(self.now, self.ends[-1]) + self.work[k])

    def synchronize(self) -> None:
        self._note("synchronize")
        self.now = max(self.now, self.ends[-1])

    def clock(self) -> float:
        self._note("clock")
        return self.now


def _on_a_device(answer: Callable) -> Callable:
    def seconds(launch, work, queued, warmup, repeats):
        device = _Device(launch, work, queued)
        found = answer(device.run, device.synchronize, device.clock, warmup, repeats)
        clock_read = any(what == "clock" for what, _ in device.trace)
        if found is not None and not clock_read and device.runs < warmup + repeats:
            raise WrongStructure(
                "too-few-runs",
                f"With `warmup = {warmup}` and `repeats = {repeats}` there should be {warmup + repeats} runs; yours "
                f"{'was' if device.runs == 1 else 'were'} {device.runs}, none of them timed.",
                "Are the runs of the warm-up among the `repeats`, or do they come first?",
            )
        if found is not None and not clock_read:
            raise WrongStructure(
                "other-clock",
                "`clock` was never called.",
                "The device of this check has a clock of its own: `clock()` gives its seconds. Which clock is yours?",
            )
        if isinstance(found, list | tuple) or np.ndim(found) > 0:
            raise WrongStructure(
                "all-times-returned",
                f"Expected one number of seconds; got {len(found)} numbers.",
                "How is one number made of them that an outlier can't move?",
            )
        return found

    return seconds


def _in_telling_order(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The shortest first, so that a wait booked to it moves the median; one outlier; no median in the middle."""
    n = len(seconds)
    if n < 3:
        return np.sort(seconds)
    shortest, *others = np.sort(seconds)
    others[-1] = rng.uniform(0.1, 0.2)
    median = others[n // 2 - 1]
    while True:
        order = np.array([shortest, *rng.permutation(others)])
        if order[n // 2] != median and (n == 3 or order[n // 2] != others[-1]):
            return order


def _timing_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, warmup: int, repeats: int, queued: float = 0.0, group: str = "values") -> Case:
        runs = warmup + repeats
        launch, work = rng.uniform(1e-4, 6e-4, runs + 5), rng.uniform(2e-3, 8e-3, runs + 5)
        work[warmup:runs] = _in_telling_order(work[warmup:runs], rng)
        launch[warmup:runs] = np.sort(launch[warmup:runs])
        if warmup:
            launch[0] += COMPILING
            work[:warmup] *= rng.uniform(1.5, 3.0)  # caches are cold
        return Case(name, (launch, work, queued, warmup, repeats), {}, group)

    return [
        case("3 warm-up runs, 5 timed", 3, 5),
        case("2 warm-up runs, 7 timed", 2, 7),
        case("no warm-up, and the device is still at work", 0, 3, queued=0.03, group="busy"),
        case("7 warm-up runs, 5 timed", 7, 5),
        case("6 warm-up runs, 1 timed", 6, 1),
        case("3 warm-up runs, 11 timed", 3, 11),
        case("2 warm-up runs, 6 timed: an even number", 2, 6, group="even"),
        case("1 warm-up run, 2 timed: an even number", 1, 2, group="even"),
    ]


def _traces(f: Callable) -> Iterator[tuple[Case, list[tuple[str, bool]]]]:
    """What was called, and when, in cases of another seed; nothing where the function raises."""
    for case in _timing_cases(np.random.default_rng(12)):
        launch, work, queued, warmup, repeats = copy.deepcopy(case.args)
        device = _Device(launch, work, queued)
        outcome = call(f, (device.run, device.synchronize, device.clock, warmup, repeats))
        if outcome.error is None:
            yield case, device.trace


def _number_of_runs(f: Callable, seed: int = 0) -> Finding | None:
    for case, trace in _traces(f):
        runs, (warmup, repeats) = sum(what == "run" for what, _ in trace), case.args[-2:]
        if runs != warmup + repeats:
            return Finding(
                f"With `warmup` = {warmup} and `repeats` = {repeats} your function called `run` {runs} times.",
                "wrong-number-of-runs",
                "a run too many or too few, or a loop inside another one.",
                "How many runs are asked for in all? Write a `print` beside each call of `run`, and count.",
            )
    return None


def _how_it_was_timed(f: Callable) -> Finding | None:
    """What the order of the calls says of an answer that is wrong: how often it ran, and when the clock was read."""
    if (found := _number_of_runs(f)) is not None:
        return found
    traces = list(_traces(f))
    for look in (_readings_while_busy, _stretches):
        if (found := next(filter(None, itertools.starmap(look, traces)), None)) is not None:
            return found
    if not traces:
        return None
    return Finding(
        "Every reading of the clock is at the right moment; the number made of them is another one than the median of "
        "the times.",
        "not-the-median",
        "the times are right, and they are summed up in another way.",
        "Print the list of your times. Half of them lie below the median.",
    )


def _readings_while_busy(case: Case, trace: list[tuple[str, bool]]) -> Finding | None:
    queued, warmup, repeats = case.args[-3:]
    idle = [idle for what, idle in trace if what == "clock"]
    busy = idle.count(False)
    if not busy:
        return None
    where = " and a device that is at work when your function is called" if queued else ""
    step = "Go through your lines from one reading of the clock to the one before it. Which of them waits?"
    if busy == 1 and not idle[0]:
        step = f"With `warmup` = {warmup}, which of your lines waits for the device before the very first reading?"
    return Finding(
        f"With `warmup` = {warmup}, `repeats` = {repeats}{where}, {busy} of your {len(idle)} readings of the clock "
        f"{'was' if busy == 1 else 'were'} taken while the device was still at work.",
        "read-while-busy",
        "the very first reading is taken although nothing has waited for the device."
        if busy == 1 and not idle[0]
        else "there is a reading of the clock before which nothing waits for the device.",
        step,
    )


def _stretches(case: Case, trace: list[tuple[str, bool]]) -> Finding | None:
    repeats = case.args[-1]
    spans = "".join({"clock": ".", "run": "r"}.get(what, "") for what, _ in trace)
    timed = [span for span in spans.split(".")[1:-1] if span]
    if len(timed) == repeats and all(len(span) == 1 for span in timed):
        return None
    return Finding(
        f"In the case “{case.name}” {len(timed)} stretches of time between two readings of the clock have runs in "
        f"them; they hold {', '.join(str(len(span)) for span in timed) or 'no'} runs.",
        "wrong-stretches",
        f"asked for are {repeats} stretches with one run in each.",
        "Write down the order of `run`, `synchronize` and `clock` for one timed run.",
    )


median_seconds = Exercise(
    "median_seconds",
    CHAPTER,
    2,
    "median_seconds(run, synchronize, clock, warmup, repeats)",
    ("seconds",),
    reference=None,
    make_cases=_timing_cases,
    arguments=("launch", "work", "queued", "warmup", "repeats"),
    adapt=_on_a_device,
    explain=_how_it_was_timed,
    properties=(_number_of_runs,),
    formula="`synchronize()`, `start = clock()`, `run()`, `synchronize()`, `clock() - start`: in this order, "
    "`repeats` times, and of these times the median",
)


@median_seconds.refer
def median_seconds_reference(run, synchronize, clock, warmup, repeats):
    for _ in range(warmup):
        run()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        run()
        synchronize()
        seconds.append(clock() - start)
    return float(np.median(seconds))


@median_seconds.wheat
def by_the_statistics_module(run, synchronize, clock, warmup, repeats):
    for _ in range(warmup):
        run()
        synchronize()

    def once():
        synchronize()
        begin = clock()
        run()
        synchronize()
        return clock() - begin

    return statistics.median(once() for _ in range(repeats))


@median_seconds.wheat
def waiting_once_before_the_loop(run, synchronize, clock, warmup, repeats):
    for _ in range(warmup):
        run()
    synchronize()
    times = np.empty(repeats)
    for i in range(repeats):
        start = clock()
        run()
        synchronize()
        times[i] = clock() - start
    return np.median(times)


@median_seconds.wheat
def each_reading_ends_one_run_and_begins_the_next(run, synchronize, clock, warmup, repeats):
    for _ in range(warmup):
        run()
    synchronize()
    readings = [clock()]
    while len(readings) <= repeats:
        run()
        synchronize()
        readings.append(clock())
    return float(np.quantile(np.diff(readings), 0.5))


@median_seconds.wheat
def sorted_by_hand(run, synchronize, clock, warmup, repeats):
    times = []
    for i in range(warmup + repeats):
        synchronize()
        t0 = clock()
        run()
        synchronize()
        t1 = clock()
        if i >= warmup:
            times.append(t1 - t0)
    times.sort()
    middle = repeats // 2
    return times[middle] if repeats % 2 else (times[middle - 1] + times[middle]) / 2


@median_seconds.wheat
def all_timed_and_the_first_cut_off(run, synchronize, clock, warmup, repeats):
    starts, ends = [], []
    for _ in range(warmup + repeats):
        synchronize()
        starts.append(clock())
        run()
        synchronize()
        ends.append(clock())
    return np.percentile((np.array(ends) - np.array(starts))[warmup:], 50)


@median_seconds.wheat
def waiting_more_often_than_needed(run, synchronize, clock, warmup, repeats):
    remaining, seconds = warmup, []
    while remaining:
        run()
        synchronize()
        synchronize()
        remaining -= 1
    for _ in range(repeats):
        synchronize()
        synchronize()
        start = clock()
        run()
        synchronize()
        end = clock()
        synchronize()
        seconds.append(end - start)
    low, high = statistics.median_low(seconds), statistics.median_high(seconds)
    return (low + high) / 2


@median_seconds.wheat
def in_milliseconds_on_the_way(run, synchronize, clock, warmup, repeats):
    [run() for _ in range(warmup)]
    milliseconds = []
    for _ in range(repeats):
        synchronize()
        milliseconds.append(-1000 * clock())
        run()
        synchronize()
        milliseconds[-1] += 1000 * clock()
    return np.median(milliseconds) / 1000


def _warm(run: Callable, warmup: int) -> None:
    for _ in range(warmup):
        run()


def _times(run, synchronize, clock, repeats: int) -> list[float]:
    """The times of the reference, for chaffs that go wrong elsewhere."""
    times = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        run()
        synchronize()
        times.append(clock() - start)
    return times


@median_seconds.chaff(
    "never-synchronized",
    "nothing waits for the device: what is measured is how long it takes to hand out the work. (A name without its "
    "parentheses calls nothing.)",
    "`run()` returns before its work is done. What is certain to be done when the clock is read?",
)
def never_synchronized(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        times.append(clock() - start)
    return np.median(times)


@median_seconds.chaff(
    "not-synchronized-at-the-end",
    "the device is waited for before a run, and not before the second reading of the clock.",
    "`run()` returns before its work is done. Has the device finished when the second reading is taken?",
)
def not_synchronized_at_the_end(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    times = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        run()
        times.append(clock() - start)
    return np.median(times)


@median_seconds.chaff(
    "not-synchronized-at-the-start",
    "the device is waited for after a run, and not before the first reading of the clock: the first time holds what "
    "was still to do when the clock was read.",
    "Is the device idle when the clock is read for the very first time?",
)
def not_synchronized_at_the_start(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        synchronize()
        times.append(clock() - start)
    return np.median(times)


@median_seconds.chaff(
    "not-synchronized-without-warm-up",
    "the device is waited for in the warm-up, or after it: where there is none, nothing waits before the first reading "
    "of the clock.",
    "With `warmup` = 0, which line of yours waits for the device before the clock is read for the first time?",
)
def not_synchronized_without_warm_up(run, synchronize, clock, warmup, repeats):
    for _ in range(warmup):
        run()
        synchronize()
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        synchronize()
        times.append(clock() - start)
    return np.median(times)


@median_seconds.chaff(
    "synchronized-once",
    "the device is waited for once, before the loop, and never in it.",
    "After the first timed run, what waits for its work before the clock is read?",
)
def synchronized_once(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    synchronize()
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        times.append(clock() - start)
    return np.median(times)


@median_seconds.chaff(
    "synchronized-after-the-reading",
    "the device is waited for after the second reading of the clock, when it is too late.",
    "Which comes first in your loop: waiting for the device, or the second reading of the clock?",
)
def synchronized_after_the_reading(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        end = clock()
        synchronize()
        times.append(end - start)
    return np.median(times)


@median_seconds.chaff(
    "clock-started-after-the-launch",
    "the clock is started after `run()`: the time that it takes to hand out the work is left out.",
    "Between which two readings of the clock does your call of `run` stand?",
)
def clock_started_after_the_launch(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    times = []
    for _ in range(repeats):
        synchronize()
        run()
        start = clock()
        synchronize()
        times.append(clock() - start)
    return np.median(times)


@median_seconds.chaff(
    "synchronized-between-run-and-start",
    "the wait stands between `run()` and the first reading: the work is done before the clock is started.",
    "What happens between your two readings of the clock?",
)
def synchronized_between_run_and_start(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    times = []
    for _ in range(repeats):
        start = clock()
        synchronize()
        end = clock()
        run()
        times.append(end - start)
    return np.median(times)


@median_seconds.chaff(
    "warm-up-timed",
    "the warm-up runs are timed with the others.",
    "The first call compiles. Should its time be in your list?",
)
def warm_up_timed(run, synchronize, clock, warmup, repeats):
    return np.median(_times(run, synchronize, clock, warmup + repeats))


@median_seconds.chaff(
    "no-warm-up",
    "`warmup` is not used: the very first call, which compiles, is timed.",
    "What happens before the first reading of your clock?",
)
def no_warm_up(run, synchronize, clock, warmup, repeats):
    return np.median(_times(run, synchronize, clock, repeats))


@median_seconds.chaff(
    "warm-up-once",
    "there is one warm-up run, however many are asked for.",
    "How often does your code call `run` before its first timed one?",
)
def warm_up_once(run, synchronize, clock, warmup, repeats):
    run()
    return np.median(_times(run, synchronize, clock, repeats))


@median_seconds.chaff(
    "warm-up-in-every-repeat",
    "the warm-up stands inside the loop and is done again for each timed run.",
    "How often should the warm-up be done?",
)
def warm_up_in_every_repeat(run, synchronize, clock, warmup, repeats):
    times = []
    for _ in range(repeats):
        _warm(run, warmup)
        times += _times(run, synchronize, clock, 1)
    return np.median(times)


@median_seconds.chaff(
    "warm-up-counted-among-the-repeats",
    "the warm-up runs are taken out of the `repeats`: fewer runs are timed than asked for.",
    "How many times are in your list when the median is taken?",
)
def warm_up_counted_among_the_repeats(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    return np.median(_times(run, synchronize, clock, max(1, repeats - warmup)))


@median_seconds.chaff(
    "mean",
    "the times are averaged: one outlier pulls the mean with it.",
    "One of the runs takes thirty times as long as the others. What should it change?",
)
def mean(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    return np.mean(_times(run, synchronize, clock, repeats))


@median_seconds.chaff(
    "minimum",
    "the shortest time is returned.",
    "How many of the times should lie below the answer?",
)
def minimum(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    return min(_times(run, synchronize, clock, repeats))


@median_seconds.chaff("maximum", "the longest time is returned.", "How many of the times should lie above the answer?")
def maximum(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    return max(_times(run, synchronize, clock, repeats))


@median_seconds.chaff("total", "the times are added up.", "Whose time is asked for: that of one run, or of all?")
def total(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    return sum(_times(run, synchronize, clock, repeats))


@median_seconds.chaff(
    "clock-once-round-all",
    "the clock is read once before and once after all the runs: what comes out is a mean, and the runs overlap.",
    "From two readings alone, could you tell that one of the runs was an outlier?",
)
def clock_once_round_all(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    synchronize()
    start = clock()
    _warm(run, repeats)
    synchronize()
    return (clock() - start) / repeats


@median_seconds.chaff(
    "start-read-once",
    "the first reading is taken once, before the loop: every time counts from there.",
    "For the third run, where does its time begin?",
)
def start_read_once(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    synchronize()
    start, times = clock(), []
    for _ in range(repeats):
        run()
        synchronize()
        times.append(clock() - start)
    return np.median(times)


@median_seconds.chaff(
    "upper-middle",
    "with an even number of times, the upper one of the two in the middle is returned.",
    "What is the median of 1, 2, 4, 8?",
)
def upper_middle(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    return sorted(_times(run, synchronize, clock, repeats))[repeats // 2]


@median_seconds.chaff(
    "lower-middle",
    "with an even number of times, the lower one of the two in the middle is returned.",
    "What is the median of 1, 2, 4, 8?",
)
def lower_middle(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    return statistics.median_low(_times(run, synchronize, clock, repeats))


@median_seconds.chaff(
    "not-sorted",
    "the time in the middle of the list is returned, and the list is not sorted.",
    "The list is in the order in which the runs were made. Which order does a median ask for?",
)
def not_sorted(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    return _times(run, synchronize, clock, repeats)[repeats // 2]


@median_seconds.chaff(
    "first-time-dropped",
    "the first of the timed runs is left out of the median, as if it belonged to the warm-up.",
    "How many times does your list hold?",
)
def first_time_dropped(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    times = _times(run, synchronize, clock, repeats)
    return np.median(times[1:] or times)


@median_seconds.chaff(
    "outliers-trimmed",
    "the shortest and the longest time are left out, and the mean of the rest is taken.",
    "A trimmed mean is a good number, and another one than the median. How do you find the median?",
)
def outliers_trimmed(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    times = sorted(_times(run, synchronize, clock, repeats))
    return np.mean(times[1:-1] or times)


@median_seconds.chaff(
    "milliseconds",
    "the answer is in milliseconds; the clock, and the answer, are in seconds.",
    "In which unit does `clock()` count?",
)
def milliseconds(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    return 1000 * np.median(_times(run, synchronize, clock, repeats))


@median_seconds.chaff(
    "warmup-among-repeats",
    "the warm-up runs are counted among the `repeats`: too few are timed.",
    "How many runs does the contract ask for in all?",
)
def warmup_among_repeats(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    return np.median(_times(run, synchronize, clock, repeats - warmup) or [0.0])


@median_seconds.chaff("all-times-returned", "the list of all times is returned.", "How is one number made of them?")
def all_times_returned(run, synchronize, clock, warmup, repeats):
    _warm(run, warmup)
    return _times(run, synchronize, clock, repeats)


@median_seconds.chaff(
    "other-clock",
    "the time is taken from a clock that is not the `clock` of the arguments.",
    "Which clock does the contract hand you?",
)
def other_clock(run, synchronize, clock, warmup, repeats):
    import time

    _warm(run, warmup)
    return np.median(_times(run, synchronize, time.perf_counter, repeats))


# scaled_step
#
# `grads` are arrays by name, gradients of a loss that was multiplied by `scale`; `good_steps` counts the steps since
# the scale last changed. Back come the gradients of the loss itself, in float32 or wider, or None if an entry is inf
# or nan; then the scale and the count for the next step.


def _as_arrays(step: Callable) -> Callable:
    """The three results as numbers: whether there is a step to take, the gradients, scale and count."""

    def run(grads, scale, good_steps, growth_interval):
        if isinstance(grads, tuple):
            return in_a_row(grads, scale, good_steps, growth_interval)
        answer = step(grads, scale, good_steps, growth_interval)
        overflow = not all(np.isfinite(g).all() for g in grads.values())
        if answer is None and overflow:
            raise WrongStructure(
                "none-alone",
                "For gradients with inf or nan the function returned `None` alone.",
                "Three results are asked for, in this case, too: what are the scale and the count of the next step?",
            )
        if answer is None:
            return None
        if not isinstance(answer, tuple | list) or len(answer) != 3:
            what = f"{len(answer)} results" if isinstance(answer, tuple | list) else f"a `{type(answer).__name__}`"
            raise WrongStructure(
                "wrong-count",
                f"Expected three results, the gradients (or `None`), the scale and the count; got {what}.",
                "`return grads, scale, good_steps`",
            )
        found, scale, good_steps = answer
        if not isinstance(found, dict) and any(isinstance(other, dict) for other in (scale, good_steps)):
            raise WrongStructure(
                "wrong-order",
                "The dict of gradients should be the first of the three results; it is another one.",
                "Read your `return` lines aloud: gradients, scale, count, in this order?",
            )
        if found is not None and (not isinstance(found, dict) or not found.keys() <= grads.keys()):
            what = f"the keys {', '.join(map(repr, found))}" if isinstance(found, dict) else type(found).__name__
            raise WrongStructure(
                "wrong-keys",
                f"Expected `None`, or a dict with the keys {', '.join(map(repr, grads))}; got {what}.",
                "Use the same keys as `grads`.",
            )
        numbers = {"step taken (1) or skipped (-1)": -1 if found is None else 1}
        found = found or {}
        if overflow:
            with np.errstate(all="ignore"):
                bad = sum(int((~np.isfinite(np.asarray(g, float))).sum()) for g in found.values())
            numbers |= {"gradients handed on": len(found), "inf or nan in them": bad}
        else:
            numbers |= {name: found[name] for name in grads if name in found}
        return numbers | {"scale": scale, "good_steps": good_steps}

    def in_a_row(steps, scale, good_steps, growth_interval):
        scales, counts = [], []
        for grads in steps:
            numbers = run(copy.deepcopy(grads), scale, good_steps, growth_interval)
            if numbers is None:
                return None
            scale, good_steps = numbers["scale"], numbers["good_steps"]
            scales.append(scale)
            counts.append(good_steps)
        return {"scale, step by step": np.array(scales), "good_steps, step by step": np.array(counts)}

    return run


def _scaling_cases(rng: np.random.Generator) -> list[Case]:
    def arrays(scale: float, W: tuple[int, ...] = (3, 5), b: int = 5) -> dict[str, np.ndarray]:
        return {"W": scale * normal(rng, *W), "b": scale * normal(rng, b)}

    def good(name: str, scale: float, count: int, interval: int, **shapes) -> Case:
        return Case(name, (arrays(scale, **shapes), scale, count, interval))

    def overflow(
        name: str, scale: float, count: int, interval: int, *places: tuple[str, int | slice, float], **shapes
    ) -> Case:
        grads = arrays(scale, **shapes)
        for key, entry, value in places:
            grads[key].flat[entry] = value
        return Case(name, (grads, scale, count, interval), group="overflow")

    def half(name: str, size: float, scale: float, count: int, interval: int) -> Case:
        numbers = {"W": rng.uniform(0.5, 1.0, (5, 7)), "b": rng.uniform(-1.0, -0.5, 7)}
        grads = {key: (size * a).astype(np.float16) for key, a in numbers.items()}
        return Case(name, (grads, scale, count, interval), group="half precision")

    row = [arrays(64.0) for _ in range(11)]
    row[7]["W"][1, 2] = np.inf
    inf, nan = np.inf, np.nan
    return [
        good("a good step, 2 of 7 before it", 1024.0, 2, 7),
        overflow("one inf", 65536.0, 3, 7, ("W", 8, inf)),
        good("the 5th good step of 5", 256.0, 4, 5, W=(2, 7), b=7),
        overflow("one nan", 4096.0, 4, 7, ("b", 3, nan)),
        overflow("−inf in the last entry of all", 512.0, 1, 11, ("b", -1, -inf), W=(2, 3), b=3),
        good("the 4th good step of 5", 2048.0, 3, 5, W=(5, 2), b=2),
        overflow("nan where the count would be full", 128.0, 4, 5, ("W", 4, nan)),
        overflow("inf in one array, nan in the other", 64.0, 2, 3, ("W", 2, inf), ("b", 1, nan)),
        overflow("the very first entry is inf", 32.0, 2, 13, ("W", 0, inf)),
        overflow("all entries of an array are nan", 256.0, 1, 5, ("b", slice(None), nan)),
        overflow("all entries of all arrays are nan", 16.0, 1, 5, ("W", slice(None), nan), ("b", slice(None), nan)),
        overflow("a scale of 1, and inf", 1.0, 2, 5, ("W", 5, inf), W=(3, 3), b=3),
        good("every step doubles", 8.0, 0, 1, W=(1, 1), b=1),
        good("right after an overflow", 32768.0, 0, 2000),
        Case("float32", ({key: a.astype(np.float32) for key, a in arrays(8192.0).items()}, 8192.0, 1, 11)),
        Case("11 steps in a row, the 8th with inf", (tuple(row), 64.0, 1, 3)),
        half("float16, small gradients", 1e-3, 32768.0, 1, 7),
        half("float16, large gradients", 6e4, 16384.0, 5, 7),
    ]


Grads = dict[str, np.ndarray]


def _finite(g: np.ndarray) -> bool:
    return bool(np.isfinite(g).all())


# The ways to go wrong, part by part: what is looked at, what the gradients are divided by, what is handed on, and what
# becomes of scale and count.
_LOOKED_AT: dict[str, Callable[[Grads], bool]] = {
    "": lambda grads: all(map(_finite, grads.values())),
    "nan is not looked for": lambda grads: not any(np.isinf(g).any() for g in grads.values()),
    "inf is not looked for": lambda grads: not any(np.isnan(g).any() for g in grads.values()),
    "−inf is not looked for": lambda grads: not any(((g == np.inf) | np.isnan(g)).any() for g in grads.values()),
    "only the first array is looked at": lambda grads: _finite(next(iter(grads.values()))),
    "only the last array is looked at": lambda grads: _finite(list(grads.values())[-1]),
    "a step is skipped only if all entries of an array are inf or nan": lambda grads: all(
        np.isfinite(g).any() for g in grads.values()
    ),
    "a step is skipped only if all entries of all arrays are inf or nan": lambda grads: any(
        np.isfinite(g).any() for g in grads.values()
    ),
    "a step is skipped only if every array has an inf or nan": lambda grads: any(map(_finite, grads.values())),
    "only the first entry of each array is looked at": lambda grads: all(
        bool(np.isfinite(g.flat[0])) for g in grads.values()
    ),
    "the sum of an array is looked at, and it can overflow where no entry does": lambda grads: all(
        bool(np.isfinite(g.sum())) for g in grads.values()
    ),
    "inf and nan are not looked for": lambda grads: True,
    "every step is skipped": lambda grads: False,
    "the test is turned round: good steps are skipped, and bad ones taken": lambda grads: (
        not all(map(_finite, grads.values()))
    ),
}
_DIVIDED: dict[str, Callable[[np.ndarray, float, float], np.ndarray]] = {
    "": lambda g, old, new: g.astype(np.float64) / old,
    "the gradients are not divided by the scale": lambda g, old, new: g.astype(np.float64),
    "the gradients are multiplied by the scale": lambda g, old, new: g.astype(np.float64) * old,
    "the gradients are divided by the scale of the next step, not by that which they carry": lambda g, old, new: (
        g.astype(np.float64) / new
    ),
    "the gradients are divided in their own precision: float16 rounds the quotients to 0": lambda g, old, new: g / old,
    "the gradients are multiplied by the scale, and float16 overflows by it": lambda g, old, new: g * old,
    "the gradients are divided by the scale of the next step, and in their own precision": lambda g, old, new: g / new,
    "the quotients are rounded to float16": lambda g, old, new: (g.astype(np.float64) / old).astype(np.float16),
}
_HANDED_ON: dict[str, Callable[[Grads], Grads | None]] = {
    "": lambda grads: None,
    "the gradients are handed on although the step is to be skipped": lambda grads: grads,
    "inf and nan are replaced by numbers and the step is taken": lambda grads: {
        key: np.nan_to_num(g) for key, g in grads.items()
    },
    "only the arrays with inf or nan are left out": lambda grads: {key: g for key, g in grads.items() if _finite(g)},
    "an empty dict is handed on, not `None`": lambda grads: {},
}
_AFTER_OVERFLOW: dict[str, Callable[[float], float]] = {
    "": lambda scale: scale / 2,
    "after an overflow the scale stays as it is": lambda scale: scale,
    "after an overflow the scale is doubled": lambda scale: 2 * scale,
    "the scale does not go below 1": lambda scale: max(scale / 2, 1.0),
    "after an overflow the scale is set to 1": lambda scale: 1.0,
    "after an overflow the scale is halved twice": lambda scale: scale / 4,
    "after an overflow the scale is divided by 10": lambda scale: scale / 10,
}
_COUNT_THEN: dict[str, Callable[[int], int]] = {
    "": lambda good: 0,
    "after an overflow the count goes on from where it was": lambda good: good,
    "a skipped step is counted as a good one": lambda good: good + 1,
    "after an overflow the count starts at 1": lambda good: 1,
}
_GROWS: dict[str, Callable[[float, int, int], tuple[float, int]]] = {
    "": lambda scale, good, interval: (2 * scale, 0) if good + 1 >= interval else (scale, good + 1),
    "the scale never grows": lambda scale, good, interval: (scale, good + 1),
    "the scale never grows, but the count restarts": lambda scale, good, interval: (scale, (good + 1) % interval),
    "the scale doubles one step too late": lambda scale, good, interval: (
        (2 * scale, 0) if good + 1 > interval else (scale, good + 1)
    ),
    "the scale doubles one step too late, and the count starts at 1": lambda scale, good, interval: (
        (2 * scale, 1) if good + 1 > interval else (scale, good + 1)
    ),
    "the scale doubles two steps too late": lambda scale, good, interval: (
        (2 * scale, 0) if good > interval else (scale, good + 1)
    ),
    "the scale doubles one step too early": lambda scale, good, interval: (
        (2 * scale, 0) if good + 2 >= interval else (scale, good + 1)
    ),
    "the scale doubles at every good step": lambda scale, good, interval: (
        (2 * scale, 0) if good + 1 >= interval else (2 * scale, good + 1)
    ),
    "the count is not set back to 0 after the scale has doubled": lambda scale, good, interval: (
        (2 * scale, good + 1) if good + 1 >= interval else (scale, good + 1)
    ),
    "the count goes on after the scale has doubled, and is not set back to 0": lambda scale, good, interval: (
        (scale, good + 1) if (good + 1) % interval else (2 * scale, good + 1)
    ),
    "after the scale has doubled the count starts at 1": lambda scale, good, interval: (
        (2 * scale, 1) if good + 1 >= interval else (scale, good + 1)
    ),
    "the scale is multiplied by 10 when the count is full": lambda scale, good, interval: (
        (10 * scale, 0) if good + 1 >= interval else (scale, good + 1)
    ),
    "the scale is halved when the count is full": lambda scale, good, interval: (
        (scale / 2, 0) if good + 1 >= interval else (scale, good + 1)
    ),
    "the count does not go up": lambda scale, good, interval: (2 * scale, 0) if good >= interval else (scale, good),
    "the count does not go up, and restarts one step too early": lambda scale, good, interval: (
        (2 * scale, 0) if good + 1 >= interval else (scale, good)
    ),
}
_RULES = (_LOOKED_AT, _DIVIDED, _HANDED_ON, _AFTER_OVERFLOW, _COUNT_THEN, _GROWS)


def _step_by(grads: Grads, scale: float, good_steps: int, growth_interval: int, parts: tuple) -> tuple:
    """Loss scaling with something done otherwise; see the tables above."""
    looked_at, divided, handed_on, after_overflow, count_then, grows = parts
    with np.errstate(all="ignore"):
        if looked_at(grads):
            new, good_steps = grows(scale, good_steps, growth_interval)
            return {key: divided(g, scale, new) for key, g in grads.items()}, new, good_steps
        new = after_overflow(scale)
        handed = handed_on(grads)
        if handed is not None:
            handed = {key: divided(g, scale, new) for key, g in handed.items()}
        return handed, new, count_then(good_steps)


def _otherwise(*names: str) -> Callable:
    """Loss scaling with the named parts done otherwise."""
    assert all(any(name in table for table in _RULES) for name in names)
    parts = tuple(table[next((name for name in names if name in table), "")] for table in _RULES)
    return lambda grads, scale, good_steps, growth_interval: _step_by(grads, scale, good_steps, growth_interval, parts)


def _which_rule(f: Callable) -> Finding | None:
    """The parts which, done otherwise, give the learner's answers: found two by two, since each shows elsewhere."""
    cases = _scaling_cases(np.random.default_rng(3))
    answers = []
    for case in cases:
        outcome = call(_as_arrays(f), copy.deepcopy(case.args))
        if outcome.error is not None or outcome.value is None:
            return None
        answers.append(outcome.value)

    def explains(names: Iterable[str], groups: tuple[str, ...], words: tuple[str, ...] = ()) -> bool:
        step = _as_arrays(_otherwise(*names))
        return all(
            _alike(step(*case.args), answer, words)
            for case, answer in zip(cases, answers, strict=True)
            if case.group in groups and (isinstance(case.args[0], dict) or "in a row" in groups)
        )

    if _swapped(cases, answers):
        return Finding(
            "Where the scale should stand in your result stands the count, and the other way round.",
            "results-swapped",
            "scale and count have changed places in the result.",
            "Read your `return` lines aloud: gradients, scale, count, in this order?",
        )
    every, good = ("values", "overflow", "half precision"), ("values", "half precision")
    found: list[tuple[str, ...]] = [()]
    for tables, groups, words in (
        ((_LOOKED_AT, _HANDED_ON), every, ("step", "gradients", "inf")),
        ((_DIVIDED, _GROWS), good, ()),
        ((_AFTER_OVERFLOW, _COUNT_THEN), ("overflow",), ()),
    ):
        pairs = [tuple(filter(None, pair)) for pair in itertools.product(*tables)]
        found = [names + pair for names in found for pair in pairs if explains(names + pair, groups, words)]
        found = sorted(found, key=len)[:8]
    fitting = (names for names in found if names and explains(names, (*every, "in a row")))
    table = _case_by_case(cases, answers)
    if (names := next(fitting, None)) is None:
        what = f"Your function is wrong about {len(table) - 1} of {len(cases)} cases."
        return Finding(what, "unexplained", "", _STEP_BY_STEP, table=table[:7]) if len(table) > 1 else None
    names = sorted(names, key=lambda name: "own precision" in name)  # seldom the first thing to mend
    many = len(names) > 1
    return Finding(
        f"{'Several things are' if many else 'One thing is'} done otherwise than asked.",
        "wrong-rule",
        "; ".join(names) + ".",
        f"{'Begin with the first. ' if many else ''}{_NEXT[names[0]]}",
        table=table[:5],
    )


def _swapped(cases: list[Case], answers: list[dict]) -> bool:
    """Whether scale and count have changed places, in all cases of a single step."""
    single = [
        (_as_arrays(scaled_step.reference)(*copy.deepcopy(case.args)), answer)
        for case, answer in zip(cases, answers, strict=True)
        if isinstance(case.args[0], dict)
    ]
    return all(
        right["scale"] == yours["good_steps"] and right["good_steps"] == yours["scale"] for right, yours in single
    )


_STEP_BY_STEP = (
    "Take the first line of the table. May that step be taken? And if so, is the count full with it? Answer by hand, "
    "then follow the case through your lines."
)


def _case_by_case(cases: list[Case], answers: list[dict]) -> tuple[tuple[str, ...], ...]:
    """What should come of each case that is wrong, and what does."""
    rows = [("case", "should be", "yours")]
    for case, answer in zip(cases, answers, strict=True):
        right = _as_arrays(scaled_step.reference)(*copy.deepcopy(case.args))
        if not _alike(right, answer):
            rows.append((case.name, *_in_brief(right, answer)))
    return tuple(rows)


def _in_brief(right: dict, yours: dict) -> tuple[str, str]:
    """Two answers in words; of the gradients, only by what factor they are off."""

    def told(numbers: dict) -> str:
        if "scale, step by step" in numbers:
            return "scales " + ", ".join(f"{number:g}" for number in numbers["scale, step by step"])
        taken = "taken" if numbers["step taken (1) or skipped (-1)"] == 1 else "skipped"
        return f"{taken}, scale {numbers['scale']:g}, count {numbers['good_steps']:g}"

    if told(right) != told(yours):
        return told(right), told(yours)
    if "scale, step by step" in right:
        counts = (", ".join(f"{n:g}" for n in numbers["good_steps, step by step"]) for numbers in (right, yours))
        return f"counts {next(counts)}", f"counts {next(counts)}"
    with np.errstate(all="ignore"):
        ratios = np.asarray(yours.get("W", np.nan), float) / np.asarray(right.get("W", np.nan), float)
    if np.isfinite(ratios).all() and np.ptp(ratios) <= 1e-3 * np.abs(ratios).max():
        return "gradients of the loss", f"gradients {ratios.flat[0]:.6g} × as large"
    return "gradients of the loss", "other gradients"


def _alike(numbers: dict, others: dict, words: tuple[str, ...] = ()) -> bool:
    """Whether two answers agree, in those of their parts whose names begin with one of the words."""
    names = {name for name in numbers | others if not words or name.startswith(words)}
    return all(
        name in numbers
        and name in others
        and np.shape(numbers[name]) == np.shape(others[name])
        and np.allclose(numbers[name], others[name], rtol=1e-6, atol=0, equal_nan=True)
        for name in names
    )


class _OfTwoIdeas(Exercise):
    """Special cases earn nothing where a plain good step is wrong, or no overflow is noticed at all."""

    def _points(self, records: list[Record], wrong: dict, conduct: list[Finding]) -> float:
        good, overflows = records[0].case.name, ("one inf", "one nan")
        taken = not any(good in wrong.get(name, ()) for name in ("step taken (1) or skipped (-1)", "W", "b"))
        noticed = any(
            case not in wrong.get(name, ())
            for case in overflows
            for name in ("step taken (1) or skipped (-1)", "scale")
        )
        return super()._points(records, wrong, conduct) if taken and noticed else 0.0


scaled_step = _OfTwoIdeas(
    "scaled_step",
    CHAPTER,
    3,
    "scaled_step(grads, scale, good_steps, growth_interval)",
    ("grads", "scale", "good_steps"),
    reference=None,
    make_cases=_scaling_cases,
    adapt=_as_arrays,
    explain=_which_rule,
    may_alias=True,  # with a scale of 1 the gradients may come back as they are
    formula="`if not all(np.isfinite(g).all() for g in grads.values()): return None, scale / 2, 0`; else "
    "`g.astype(np.float32) / scale` for every gradient, and `2 * scale, 0` once `good_steps + 1 == growth_interval`",
)


@scaled_step.refer
def scaled_step_reference(grads, scale, good_steps, growth_interval):
    if not all(np.isfinite(g).all() for g in grads.values()):
        return None, scale / 2, 0
    unscaled = {name: g.astype(np.float64) / scale for name, g in grads.items()}
    good_steps += 1
    if good_steps == growth_interval:
        return unscaled, 2 * scale, 0
    return unscaled, scale, good_steps


@scaled_step.wheat
def in_single_precision(grads, scale, good_steps, growth_interval):
    for g in grads.values():
        if np.isnan(g).any() or np.isinf(g).any():
            return None, scale * 0.5, 0
    out = {}
    for name in grads:
        out[name] = grads[name].astype(np.float32) / scale
    good_steps = good_steps + 1
    if good_steps >= growth_interval:
        scale, good_steps = scale * 2, 0
    return out, scale, good_steps


@scaled_step.wheat
def entry_by_entry(grads, scale, good_steps, growth_interval):
    unscaled = {name: np.zeros(g.shape) for name, g in grads.items()}
    for name, g in grads.items():
        for index in np.ndindex(g.shape):
            value = float(g[index])
            if value != value or abs(value) == float("inf"):
                return (None, scale / 2, 0)
            unscaled[name][index] = value / scale
    full = good_steps + 1 == growth_interval
    return unscaled, scale * (2 if full else 1), 0 if full else good_steps + 1


@scaled_step.wheat
def all_entries_in_one_row(grads, scale, good_steps, growth_interval):
    row = np.concatenate([np.ravel(g).astype(np.float64) for g in grads.values()])
    if np.count_nonzero(np.isfinite(row)) < row.size:
        return None, np.float64(scale) / 2, np.int64(0)
    pieces = np.split(row / scale, np.cumsum([g.size for g in grads.values()])[:-1])
    unscaled = {name: piece.reshape(grads[name].shape) for name, piece in zip(grads, pieces, strict=True)}
    good_steps = (good_steps + 1) % growth_interval
    return unscaled, scale if good_steps else 2 * scale, good_steps


@scaled_step.wheat
def unscaled_first_then_looked_at(grads, scale, good_steps, growth_interval):
    with np.errstate(all="ignore"):
        unscaled = {name: np.divide(g, scale, dtype=np.float64) for name, g in grads.items()}
        bad = any(np.isnan(g - g).any() for g in unscaled.values())  # inf − inf is nan, and so is nan − nan
    if bad:
        return None, scale / 2, 0
    return (unscaled, scale * 2, 0) if good_steps == growth_interval - 1 else (unscaled, scale, good_steps + 1)


@scaled_step.wheat
def times_the_reciprocal(grads, scale, good_steps, growth_interval):
    largest = max(np.max(np.abs(g)) for g in grads.values() if g.size)
    if not largest < np.inf or any(np.isnan(g).sum() for g in grads.values()):
        good_steps, factor, result = 0, 0.5, None
    else:
        inverse = np.float64(1) / scale
        result = dict(zip(grads.keys(), (inverse * g for g in grads.values()), strict=True))
        good_steps, factor = (good_steps + 1, 1) if good_steps + 1 < growth_interval else (0, 2)
    return [result, factor * scale, good_steps]


@scaled_step.wheat
def in_lists(grads, scale, good_steps, growth_interval):
    finite = [bool(np.all(np.isfinite(grads[name]))) for name in grads]
    if False in finite:
        return None, scale / 2.0, 0
    unscaled = {name: (g.astype(float) / scale).tolist() for name, g in grads.items()}
    if good_steps + 1 < growth_interval:
        return unscaled, scale, good_steps + 1
    return unscaled, scale + scale, 0


@scaled_step.wheat
def in_place_on_copies(grads, scale, good_steps, growth_interval):
    grads = {name: np.array(g, dtype=np.float32) for name, g in grads.items()}
    for g in grads.values():
        if not np.isfinite(g).all():
            scale /= 2
            good_steps = 0
            return None, scale, good_steps
        g /= scale
    good_steps += 1
    if good_steps == growth_interval:
        scale *= 2
        good_steps -= growth_interval
    return grads, scale, good_steps


_SCALING_CHAFFS = (
    ("nan-missed", "only inf is looked for, and nan goes through.", "What is inf − inf? Is it inf?",
     "nan is not looked for"),
    ("inf-missed", "only nan is looked for, and inf goes through.", "What is 65504 × 2 in float16? Is it nan?",
     "inf is not looked for"),
    ("minus-inf-missed", "−inf goes through: it is not equal to inf.", "Which way can a gradient overflow?",
     "−inf is not looked for"),
    ("first-array-only", "only the first array decides: the others are never looked at.",
     "Is there a `return` in your loop that is reached in its first round?", "only the first array is looked at"),
    ("last-array-only", "only the last array decides: each round of the loop forgets what the one before found.",
     "After the loop, what does your variable say of the first array?", "only the last array is looked at"),
    ("all-instead-of-any", "the step is skipped only if all entries of an array are inf or nan; one is enough.",
     "One weight becomes nan. What is the output of the network then?",
     "a step is skipped only if all entries of an array are inf or nan"),
    ("all-instead-of-any", "the step is skipped only if all entries of all arrays are inf or nan; one is enough.",
     "One weight becomes nan. What is the output of the network then?",
     "a step is skipped only if all entries of all arrays are inf or nan"),
    ("every-array-must-overflow", "the step is skipped only if every array holds an inf or a nan; one array is enough.",
     "One layer becomes nan. What is the output of the network then?",
     "a step is skipped only if every array has an inf or nan"),
    ("first-entry-only", "of each array only the first entry is looked at.", "Where in an array may an inf stand?",
     "only the first entry of each array is looked at"),
    ("sum-overflows", "the sum of an array is looked at: in float16 it can overflow where no entry does.",
     "What is 60000 + 60000 in float16?",
     "the sum of an array is looked at, and it can overflow where no entry does"),
    ("never-skipped", "inf and nan are not looked for: every step is taken.",
     "What should be returned for a gradient with a nan in it?", "inf and nan are not looked for"),
    ("always-skipped", "every step is skipped: `None` comes back for good gradients, too.",
     "What should come back if all entries are finite?", "every step is skipped"),
    ("test-turned-round", "the test is turned round: good steps are skipped, and those with inf or nan are taken.",
     "What does your condition say of gradients that are all finite: True or False? Which branch is that?",
     "the test is turned round: good steps are skipped, and bad ones taken"),
    ("not-unscaled", "the gradients come back with the scale still in them.",
     "The loss was multiplied by `scale`. What happened to its gradients?",
     "the gradients are not divided by the scale"),
    ("scaled-again", "the gradients are multiplied by the scale; they carry it already.",
     "Which scale do the gradients have when they come, and which should they have when they go?",
     "the gradients are multiplied by the scale"),
    ("scaled-again", "the gradients are multiplied by the scale; they carry it already, and in float16 they overflow.",
     "Which scale do the gradients have when they come, and which should they have when they go?",
     "the gradients are multiplied by the scale, and float16 overflows by it"),
    ("unscaled-by-the-new-scale", "where the scale doubles, the gradients are divided by the new one.",
     "With which scale was the loss multiplied that these gradients belong to?",
     "the gradients are divided by the scale of the next step, not by that which they carry"),
    ("divided-in-half-precision", "the division is made in the precision of the gradients: in float16 small quotients "
     "are rounded to 0, and all is lost again that the scale has saved.",
     "What is the dtype of your result if that of the gradients is float16? What is its smallest number?",
     "the gradients are divided in their own precision: float16 rounds the quotients to 0"),
    ("rounded-to-half-precision", "the quotients are rounded to float16: what the wide division saved is lost again.",
     "What is the dtype of your result? Which one does the contract allow?", "the quotients are rounded to float16"),
    ("overflow-handed-on", "the overflow is noticed, and the gradients are handed on all the same.",
     "What tells the caller that there is no step to take?",
     "the gradients are handed on although the step is to be skipped"),
    ("overflow-replaced", "inf and nan are replaced by numbers (or all by zeros), and the step is taken with them.",
     "Is a made-up gradient better than none? What does the contract hand on?",
     "inf and nan are replaced by numbers and the step is taken"),
    ("empty-dict", "an empty dict is handed on where the contract wants `None`.",
     "How does the caller ask whether there is a step to take?", "an empty dict is handed on, not `None`"),
    ("bad-arrays-left-out", "only the arrays with inf or nan are left out, and the rest of the step is taken.",
     "If one layer takes a step and the next one does not, whose gradient was that?",
     "only the arrays with inf or nan are left out"),
    ("scale-kept", "the step is skipped, and the scale stays as it is: the next one will overflow again.",
     "What should be different at the next step?", "after an overflow the scale stays as it is"),
    ("wrong-way", "after an overflow the scale is doubled.", "The numbers were too large. Where should the scale go?",
     "after an overflow the scale is doubled"),
    ("scale-clamped", "the scale is kept from going below 1; the contract has no such limit.",
     "What is half of 1?", "the scale does not go below 1"),
    ("scale-restarted", "after an overflow the scale is set to 1: it will take many doublings to come back.",
     "How much smaller does the contract make the scale?", "after an overflow the scale is set to 1"),
    ("scale-quartered", "after an overflow the scale is halved twice.",
     "On how many lines does your code change the scale, and which of them are reached?",
     "after an overflow the scale is halved twice"),
    ("count-kept", "after an overflow the count goes on from where it was; good steps in a row are asked for.",
     "Four good steps, an overflow, one good step: how many in a row?",
     "after an overflow the count goes on from where it was"),
    ("overflow-counted", "a skipped step is counted as a good one.", "In which branch does your count go up?",
     "a skipped step is counted as a good one"),
    ("never-grows", "the scale never grows: `growth_interval` is not used.",
     "After many good steps, how can the scale get back what it lost?", "the scale never grows"),
    ("one-step-late", "the scale doubles one good step too late.",
     "With `growth_interval` = 1, after how many good steps does your scale double? Is this step counted when you ask?",
     "the scale doubles one step too late"),
    ("two-steps-late", "the scale doubles two good steps too late: it waits until the count is larger than "
     "`growth_interval`, and asks before this step is counted.",
     "With `growth_interval` = 1, after how many good steps does your scale double?",
     "the scale doubles two steps too late"),
    ("one-step-early", "the scale doubles one good step too early.",
     "With `growth_interval` = 5, how many good steps does your code wait for?",
     "the scale doubles one step too early"),
    ("grows-at-every-step", "the scale doubles at every good step.", "How many good steps in a row are asked for?",
     "the scale doubles at every good step"),
    ("count-not-restarted", "the count is not set back when the scale has doubled.",
     "Right after the scale has doubled, how many good steps has the new scale seen?",
     "the count is not set back to 0 after the scale has doubled"),
    ("count-restarts-at-1", "after the scale has doubled the count starts at 1.",
     "How many good steps has the new scale seen?", "after the scale has doubled the count starts at 1"),
    ("halved-instead-of-doubled", "the scale is halved when the count is full.",
     "Nothing has overflowed for a long time. Is there room above, or below?",
     "the scale is halved when the count is full"),
    ("never-counts", "the count does not go up.", "Which line of yours counts the good step?",
     "the count does not go up"),
)  # fmt: skip
_NEXT = {name: hint for *_, hint, name in _SCALING_CHAFFS} | {
    "the gradients are divided by the scale of the next step, and in their own precision": (
        "With which scale was the loss multiplied that these gradients belong to?"
    ),
    "after an overflow the scale is divided by 10": "How much smaller does the contract make the scale?",
    "after an overflow the count starts at 1": "How many good steps in a row are there right after an overflow?",
    "the scale never grows, but the count restarts": "When the count is full, what should happen besides?",
    "the scale doubles one step too late, and the count starts at 1": (
        "With `growth_interval` = 1, after how many good steps does your scale double? Is this step counted when you "
        "ask?"
    ),
    "the count goes on after the scale has doubled, and is not set back to 0": (
        "Right after the scale has doubled, how many good steps has the new scale seen?"
    ),
    "the scale is multiplied by 10 when the count is full": "How much larger does the contract make the scale?",
    "the count does not go up, and restarts one step too early": "Which line of yours counts the good step?",
}
for _cause, _text, _hint, _name in _SCALING_CHAFFS:
    scaled_step.chaff(_cause, _text, _hint)(_otherwise(_name))


@scaled_step.chaff(
    "argument-changed",
    "the quotients are written back into the caller's dict.",
    "Whose dict is `grads`?",
)
def argument_changed(grads, scale, good_steps, growth_interval):
    if not all(np.isfinite(g).all() for g in grads.values()):
        return None, scale / 2, 0
    for name in grads:
        grads[name] = grads[name].astype(np.float64) / scale
    full = good_steps + 1 == growth_interval
    return grads, 2 * scale if full else scale, 0 if full else good_steps + 1


@scaled_step.chaff(
    "argument-changed",
    "float32 gradients are divided in place: `astype(…, copy=False)` and `np.asarray` hand back the very array that "
    "they get, if it has the dtype already.",
    "When does your line make a new array, and when not?",
)
def divided_in_place(grads, scale, good_steps, growth_interval):
    if not all(np.isfinite(g).all() for g in grads.values()):
        return None, scale / 2, 0
    unscaled = {name: g.astype(np.float32, copy=False) for name, g in grads.items()}
    for g in unscaled.values():
        g /= np.float32(scale)
    full = good_steps + 1 == growth_interval
    return unscaled, 2 * scale if full else scale, 0 if full else good_steps + 1


@scaled_step.chaff(
    "wrong-order",
    "the dict of gradients is not the first of the three results.",
    "Read the `return` lines aloud: gradients, scale, count, in this order?",
)
def gradients_in_the_middle(grads, scale, good_steps, growth_interval):
    found, scale, good_steps = _otherwise()(grads, scale, good_steps, growth_interval)
    return scale, found, good_steps


@scaled_step.chaff(
    "results-swapped",
    "scale and count have changed places in the result.",
    "Read the `return` lines aloud: gradients, scale, count, in this order?",
)
def results_swapped(grads, scale, good_steps, growth_interval):
    with np.errstate(all="ignore"):  # the count comes back as the scale of the next step
        found, scale, good_steps = _otherwise()(grads, scale, good_steps, growth_interval)
    return found, good_steps, scale


@scaled_step.chaff(
    "none-alone",
    "for a step that is skipped only `None` is returned.",
    "What does the caller need for the next step, besides the gradients?",
)
def none_alone(grads, scale, good_steps, growth_interval):
    if not all(map(_finite, grads.values())):
        return None
    return _otherwise()(grads, scale, good_steps, growth_interval)


EXERCISES = [median_seconds, scaled_step]
