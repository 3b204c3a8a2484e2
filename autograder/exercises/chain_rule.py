"""Chapter 4: the chain rule on a graph."""

import copy
import itertools
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

import backprop
from autograder.checking.call import call
from autograder.checking.compare import same
from autograder.checking.derivation import Derivation
from autograder.checking.exercise import Case
from autograder.checking.score import Finding
from autograder.checking.structure import WrongStructure
from autograder.checking.words import listing
from autograder.exercises.checking_gradients import InWords, moderate

CHAPTER = "04-chain-rule"

DEEP = 1000  # nodes: Python's usual limit of recursion
DIAMONDS = 25  # in a ladder: 33 million ways from top to bottom
MOST_VISITS = 60_000  # to a graph of a hundred nodes: an order that visits each way anew makes far more


class Graph(dict[str, tuple[tuple[str, float], ...]]):
    """For each node, by name, its parents and the slopes in them; parents come first. Never changed once drawn."""

    def __deepcopy__(self, memo: dict) -> "Graph":
        return self


class Visits:
    """Counts how often the parents of a graph's nodes are read, and puts an end to it."""

    def __init__(self, nodes: int):
        self.nodes = nodes
        self.left = min(MOST_VISITS, 200 * nodes**2) if nodes < DEEP else 100 * MOST_VISITS

    def too_many(self) -> WrongStructure:
        """What to raise when there are none left."""
        if self.nodes != 3 * DIAMONDS + 1:
            what = f"In a graph of {self.nodes} nodes your function was still at it after many thousand steps."
            step = "Print what is still to be done, in the first ten rounds of your loop. Does it become less?"
            return WrongStructure("endless", what, step)
        return WrongStructure(
            "visits-every-way",
            f"A ladder of {DIAMONDS} diamonds has {self.nodes} nodes, and 2 to the power of {DIAMONDS} ways from the "
            f"root to the first node. Your function walks along every one of them; it was stopped after "
            f"{MOST_VISITS:,} steps.",
            "What could your function remember, so as not to visit a node, and all that is behind it, again?",
        )


class Node:
    """A value in a graph; nodes are told apart by identity, and attributes can be set on them."""

    def __init__(self, name: str, parents: tuple["Node", ...], local_grads: tuple[float, ...], visits: Visits):
        self.name = name
        self.local_grads = local_grads
        self.grad = 0.0
        self._parents = parents
        self._visits = visits

    @property
    def parents(self) -> tuple["Node", ...]:
        self._visits.left -= 1
        if self._visits.left < 0:
            raise self._visits.too_many()
        return self._parents

    @parents.setter
    def parents(self, parents: tuple["Node", ...]) -> None:
        self._parents = parents

    def __repr__(self) -> str:
        return self.name


def build(graph: Graph) -> dict[str, Node]:
    """The nodes of a graph, by name."""
    nodes: dict[str, Node] = {}
    visits = Visits(len(graph))
    for name, parents in graph.items():
        slopes = tuple(slope for _, slope in parents)
        nodes[name] = Node(name, tuple(nodes[parent] for parent, _ in parents), slopes, visits)
    return nodes


def ancestors(graph: Graph, root: str) -> list[str]:
    """The root and all that it was computed from, parents first."""
    needed = {root}
    for name in reversed(graph):
        if name in needed:
            needed |= {parent for parent, _ in graph[name]}
    return [name for name in graph if name in needed]


class Draw:
    """Draws graphs with random names, and random slopes."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def names(self, count: int) -> list[str]:
        letters = [chr(ord("a") + i) for i in self.rng.permutation(26)]
        return letters[:count] if count <= 26 else [f"n{i}" for i in self.rng.permutation(count)]

    def graph(self, *parents: tuple[int, ...]) -> Graph:
        """From the numbers of each node's parents."""
        names = self.names(len(parents))
        return Graph(
            (name, tuple((names[i], float(moderate(self.rng))) for i in numbers))
            for name, numbers in zip(names, parents, strict=True)
        )

    def shuffled(self, *parents: tuple[int, ...]) -> Graph:
        """As above, with the parents of each node in random order."""
        return self.graph(*[tuple(self.rng.permutation(numbers)) for numbers in parents])

    def random(self, count: int) -> Graph:
        """Three leaves, and nodes with one to three parents each; the last has two, and they reach back."""
        parents: list[tuple[int, ...]] = [(), (), ()]
        for i in range(3, count - 1):
            parents.append(tuple(self.rng.choice(i, size=self.rng.integers(1, 4))))
        return self.graph(*parents, (count - 2, count - 3))

    def ladder(self) -> Graph:
        """Diamonds one after the other."""
        names, slope = self.names(3 * DIAMONDS + 1), lambda: float(self.rng.uniform(0.6, 0.8))
        graph = Graph({names[0]: ()})
        for i in range(0, 3 * DIAMONDS, 3):
            top, left, right, bottom = names[i : i + 4]
            graph[left], graph[right] = ((top, slope()),), ((top, slope()),)
            graph[bottom] = ((left, slope()), (right, slope()))
        return graph

    def chain(self, count: int) -> Graph:
        names = self.names(count)
        slopes = self.rng.choice([-1.0, 1.0], size=count) * self.rng.uniform(0.97, 1.03, size=count)
        links = zip(names[1:], names, slopes, strict=False)
        return Graph([(names[0], ()), *((name, ((parent, float(slope)),)) for name, parent, slope in links)])


def _too_deep(graph: Graph, error: RecursionError) -> Exception:
    """What to raise for a recursion that a deep graph brought to its end."""
    if len(graph) < DEEP:
        return error
    return WrongStructure(
        "recursion-too-deep",
        f"Your function raised `RecursionError`: it calls itself once for every node along the way, and Python stops "
        f"at a depth of {sys.getrecursionlimit():,}.",
        "Real graphs are that deep. Which list of your own could remember what is still to be done, in a loop?",
    )


def _computed_from(graph: Graph, name: str, slopes: bool = False) -> str:
    """The parents of a node in words."""
    parents = [f"{parent} (slope {slope:.3g})" if slopes else parent for parent, slope in graph[name]]
    return ", ".join(parents) if parents else "nothing: a leaf"


def _graph_unchanged(f: Callable, seed: int) -> Finding | None:
    """The parents and slopes of a graph must be as before."""
    graph = Draw(np.random.default_rng(seed)).graph((), (0,), (0,), (1, 2))
    nodes = build(graph)
    before = {name: (node.parents, node.local_grads) for name, node in nodes.items()}
    call(f, (list(nodes.values())[-1],))
    for name, node in nodes.items():
        after = (node.parents, node.local_grads)
        for what, old, new in zip(("parents", "local_grads"), before[name], after, strict=True):
            if len(old) != len(new) or any(a is not b and a != b for a, b in zip(old, new, strict=True)):
                return Finding(
                    f"Your function changed `{name}.{what}`.",
                    "graph-changed",
                    "the graph is used up on the way; a second call finds another graph.",
                    f"Which line writes on `.{what}` of a node?",
                )
    return None


# topological_order


def _order_cases(rng: np.random.Generator) -> list[Case]:
    draw = Draw(rng)

    def case(name: str, graph: Graph, *roots: int, group: str = "order") -> Case:
        names = list(graph)
        return Case(name, (graph, tuple(names[i] for i in roots or (-1,))), group=group)

    return [
        case("a diamond", draw.shuffled((), (0,), (0,), (1, 2))),
        case("a chain of five", draw.graph((), (0,), (1,), (2,), (3,))),
        case("a long way and a short one", draw.graph((), (0,), (1,), (2,), (1, 3))),
        case("a short way and a long one", draw.graph((), (0,), (1,), (2,), (3, 1))),
        case("twice by one step, and by a long way", draw.graph((), (0,), (1, 1), (1,), (3,), (4,), (2, 5))),
        case("by a long way, and twice by one step", draw.graph((), (0,), (1, 1), (1,), (3,), (4,), (5, 2))),
        case("x·x", draw.graph((), (0, 0), (1, 1))),
        case("w·x + b, used twice", draw.shuffled((), (), (), (0, 1), (2, 3), (3, 4), (4, 5))),
        case("a random graph", draw.random(17)),
        case("an inner node as the root", draw.random(17), 8),
        case("a wide graph", draw.graph((), *[(0,)] * 101, tuple(range(1, 102)))),
        case("a node alone", draw.graph(())),
        case("called twice", draw.shuffled((), (0,), (0,), (1, 2)), -1, -1, group="again"),
        case("first for an inner node, then for the root", draw.random(13), 6, -1, group="again"),
        case(f"a ladder of {DIAMONDS} diamonds", draw.ladder(), group="ladder"),
        case(f"a chain of {DEEP:,} nodes", draw.chain(DEEP), group="deep"),
    ]


def _as_numbers(f: Callable) -> Callable:
    """An order of nodes as the order of their numbers, in the graph as it was drawn, counted from 1."""

    def run(graph: Graph, roots: tuple[str, ...]) -> np.ndarray:
        nodes = build(graph)
        try:
            for root in roots:
                answer = f(nodes[root])
        except RecursionError as error:
            raise _too_deep(graph, error) from error
        return np.array(list(_numbers(answer, nodes)), dtype=float)

    return run


def _numbers(answer: Any, nodes: dict[str, Node]) -> Iterator[int]:
    if answer is None:
        step = "Is there a `return`, and does it return the list? `list.append`, `sort` and `reverse` return `None`."
        raise WrongStructure("returned-none", "The function returned `None`.", step)
    if isinstance(answer, set | frozenset | dict | str) or not isinstance(answer, Iterable):
        step = "A list has an order; return one."
        raise WrongStructure("wrong-type", f"Expected a list of nodes; got a `{type(answer).__name__}`.", step)
    number = {id(node): i for i, node in enumerate(nodes.values(), 1)}
    for i, node in enumerate(itertools.islice(answer, 10 * MOST_VISITS)):
        if isinstance(node, Node) and id(node) not in number:
            what = f"Entry {i} of the list is a node of another graph, from an earlier call."
            step = "Which list or set outlives the call: a global one, or a default argument such as `order=[]`?"
            raise WrongStructure("remembers", what, step)
        if not isinstance(node, Node):
            what = f"Entry {i} of the list is a `{type(node).__name__}`; expected the nodes themselves."
            raise WrongStructure("not-nodes", what, "What do you append: a node, or something made of it?")
        yield number[id(node)]


def _nearest_order(answer: Any, graph: Graph, roots: tuple[str, ...]) -> np.ndarray:
    """The answer itself if it is a right order, or else a right one."""
    names = list(graph)
    listed = [names[int(i) - 1] for i in np.ravel(answer)]
    if _is_order(graph, roots[-1], listed):
        return np.asarray(answer)
    return topological_order.right((graph, roots))


def _is_order(graph: Graph, root: str, listed: list[str]) -> bool:
    place = {name: i for i, name in enumerate(listed)}
    return sorted(listed) == sorted(ancestors(graph, root)) and all(
        place[parent] < place[name] for name in listed for parent, _ in graph[name]
    )


class _Listed(NamedTuple):
    """What a learner's function listed in a case."""

    case: Case
    names: list[str]

    @property
    def graph(self) -> Graph:
        return self.case.args[0]

    @property
    def root(self) -> str:
        return self.case.args[1][-1]

    @property
    def right(self) -> bool:
        return _is_order(self.graph, self.root, self.names)


def _listed(f: Callable, cases: list[Case]) -> Iterator[_Listed]:
    """The answers in those cases that have one."""
    for case in cases:
        outcome = call(topological_order.adapted(f), case.args)
        if outcome.error is None:
            names = list(case.args[0])
            yield _Listed(case, [names[int(i) - 1] for i in outcome.value])


ON_LARGE_GRAPHS = ("recursion-too-deep", "visits-every-way")


def _told_of_order(f: Callable, cases: list[Case], findings: list[Finding]) -> list[Finding]:
    """The first wrong order, with the names of the nodes; it comes before what goes wrong in large graphs only."""
    of_values = [finding for finding in findings if topological_order.speaks_of_values(finding)]
    others = [finding for finding in findings if finding not in of_values]
    if not of_values and not any(finding.cause in ON_LARGE_GRAPHS for finding in others):
        return findings
    wrong = next((listed for listed in _listed(f, cases) if not listed.right), None)
    if wrong is None:
        return findings
    finding = of_values[0] if of_values else _why_disordered(f)
    if finding is None:
        return findings
    graph, names = wrong.graph, wrong.names
    needed = ancestors(graph, wrong.root)
    places = {name: [str(i) for i, other in enumerate(names, 1) if other == name] for name in graph}
    table: tuple[tuple[str, ...], ...] = ()
    if len(needed) <= 9:
        rows = [(name, _computed_from(graph, name), listing(places[name]) or "missing") for name in needed]
        table = (("node", "computed from", "its place in your list"), *rows)
    what = f"In the case “{wrong.case.name}” {_what_is_wrong(wrong)}"
    return [replace(finding, what=what, table=table), *others]


def _what_is_wrong(wrong: _Listed) -> str:
    graph, names = wrong.graph, wrong.names
    needed = ancestors(graph, wrong.root)
    missing = [name for name in needed if name not in names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if not names:
        return f"your list is empty; it should have {len(needed)} nodes."
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        role = ", the root," if missing == [wrong.root] else ""
        return f"{listing([f'`{n}`' for n in missing[:3]])}{more}{role} {_is(missing)} missing from your list."
    if twice:
        return f"`{twice[0]}` is listed {names.count(twice[0])} times."
    foreign = [name for name in names if name not in needed]
    if foreign:
        return f"`{foreign[0]}` is listed, and the root was not computed from it."
    parent, child = next(
        (parent, name) for name in names for parent, _ in graph[name] if names.index(parent) > names.index(name)
    )
    return f"`{child}` is listed before `{parent}`, which it was computed from."


def _is(items: list) -> str:
    return "is" if len(items) == 1 else "are"


def _why_disordered(f: Callable) -> Finding | None:
    """A wrong way of walking that gives these lists, or what would have to be done to make them right."""
    cases = _order_cases(np.random.default_rng(0))
    answers = list(_listed(f, [case for case in cases if case.group in ("order", "again")]))
    wrong = [listed for listed in answers if not listed.right]
    what = "`order` is not right."
    if not wrong:
        return None
    if all(listed.case.group == "again" for listed in wrong):
        return Finding(what, *_MARKS_LEFT)
    for walk, turned, (cause, likely, step) in _WALKS:
        if all(listed.names == walk(listed.graph, listed.root, turned) for listed in answers):
            return Finding(what, cause, likely, step)
    for cause, holds, likely, step in _PARTS:
        if all(holds(listed) for listed in wrong):
            return Finding(what, cause, likely, step)
    for repairs in (*itertools.permutations(_REPAIRS, 1), *itertools.permutations(_REPAIRS, 2)):
        if all(_repaired(listed, repairs) for listed in answers):
            likely = " Besides, ".join(likely for _, _, likely, _ in repairs)
            return Finding(what, repairs[0][0], likely, repairs[0][3])
    return Finding(what, *_in_general(wrong))


_MARKS_LEFT = (
    "marks-left-behind",
    "the first call on a graph is right; something of it is left (marks on the nodes, or a set that outlives the "
    "call), and the next call takes these nodes for visited.",
    "What does your function write on the nodes, or keep outside of itself?",
)


def _breadth_first(graph: Graph, root: str, turned: bool) -> list[str]:
    order = [root]
    for name in order:
        for parent, _ in graph[name][:: -1 if turned else 1]:
            if parent not in order:
                order.append(parent)
    return order


def _depth_first(graph: Graph, root: str, turned: bool) -> list[str]:
    """Each node before its parents, when it is first met."""
    order: list[str] = []
    stack = [root]
    while stack:
        name = stack.pop()
        if name not in order:
            order.append(name)
            stack += [parent for parent, _ in graph[name][:: 1 if turned else -1]]
    return order


def _marked_when_stacked(graph: Graph, root: str, turned: bool) -> list[str]:
    order, seen, stack = [], {root}, [root]
    while stack:
        name = stack.pop()
        order.append(name)
        for parent, _ in graph[name][:: -1 if turned else 1]:
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return order


def _by_distance(graph: Graph, root: str, turned: bool) -> list[str]:
    """Nearest to the root last; the order within a distance is that of the names."""
    distance = {root: 0}
    for name in _breadth_first(graph, root, False):
        for parent, _ in graph[name]:
            distance.setdefault(parent, distance[name] + 1)
    return sorted(distance, key=lambda name: (-distance[name], name))


def _by_name(graph: Graph, root: str, turned: bool) -> list[str]:
    return sorted(ancestors(graph, root), reverse=turned)


def _backwards(walk: Callable) -> Callable:
    return lambda graph, root, turned: walk(graph, root, turned)[::-1]


_BREADTH = (
    "breadth-first",
    "the graph is walked level by level from the root, and the walk is turned round. A node that can be reached by a "
    "short way and by a long one then stands where the short way puts it: after nodes that need it.",
    "In the graph of the table, follow the longest way from the root. When may a node be listed?",
)
_DEPTH = (
    "listed-before-its-parents",
    "a node is put into the list when it is first met, before its parents, and the list is turned round at the end. A "
    "node that is met on a first way then stands after nodes that need it and are met later.",
    "At which moment have all parents of a node been listed: when you come to it, or when you leave it?",
)
_WALKS = tuple(
    (walk, turned, words)
    for turned in (False, True)
    for walk, words in (
        (_backwards(_breadth_first), _BREADTH),
        (_backwards(_depth_first), _DEPTH),
        (_backwards(_marked_when_stacked), _DEPTH),
        (_breadth_first, ("root-first", "the graph is listed as it is walked, level by level from the root: children "
                          "come before their parents.", "Must the root be the first node of the list, or the last?")),
        (_depth_first, ("root-first", "a node is put into the list when it is first met, before its parents: the root "
                        "comes first.", "Must the root be the first node of the list, or the last?")),
        (_marked_when_stacked, ("root-first", "a node is put into the list when it is first met, before its parents: "
                                "the root comes first.", "Must the root be the first node of the list, or the last?")),
        (_by_distance, ("sorted-by-distance", "the nodes are sorted by their distance from the root. A node that can "
                        "be reached by a short way and by a long one then stands too late.",
                        "Which distance counts for an order: that of the shortest way?")),
        (_by_name, ("sorted-by-name", "the nodes are sorted by their names; names say nothing about who needs whom.",
                    "What, besides the names, tells which node must come first?")),
    )
)  # fmt: skip


def _first_parents(listed: _Listed, which: int) -> set[str]:
    """The nodes on the way that takes the first, or last, parent at each step."""
    way = [listed.root]
    while listed.graph[way[-1]]:
        way.append(listed.graph[way[-1]][which][0])
    return set(way)


def _leaves(listed: _Listed) -> list[str]:
    return [name for name in ancestors(listed.graph, listed.root) if not listed.graph[name]]


_PARTS: tuple[tuple[str, Callable[[_Listed], bool], str, str], ...] = (
    (
        "empty-list",
        lambda listed: not listed.names,
        "nothing is ever put into the list that is returned.",
        "Is the list that you return the one that you append to?",
    ),
    (
        "only-the-root",
        lambda listed: set(listed.names) == {listed.root},
        "only the root is listed: the walk does not go on to its parents.",
        "Where does your function come to the parents of `root`?",
    ),
    (
        "only-leaves",
        lambda listed: set(listed.names) == set(_leaves(listed)),
        "only nodes without parents are listed.",
        "On which line is a node appended that has parents?",
    ),
    (
        "only-direct-parents",
        lambda listed: set(listed.names) <= {listed.root, *(parent for parent, _ in listed.graph[listed.root])},
        "the walk ends at the parents of the root.",
        "How does your function come to the parents of the parents?",
    ),
    (
        "one-parent-only",
        lambda listed: set(listed.names) in (_first_parents(listed, 0), _first_parents(listed, -1)),
        "only one parent of each node is followed: the loop over the parents ends after its first round, or one parent "
        "is picked.",
        "Where does your function `return`: inside the loop over the parents, or after it?",
    ),
)


def _once(names: list[str], last: bool = False) -> list[str]:
    """Each name once, where it stands first, or last."""
    if last:
        return _once(names[::-1])[::-1]
    return list(dict.fromkeys(names))


_REPAIRS: tuple[tuple[str, Callable[[_Listed], list[str]], str, str], ...] = (
    (
        "reversed",
        lambda listed: listed.names[::-1],
        "the order is turned round: children come before their parents.",
        "Must the root be the first node of the list, or the last?",
    ),
    (
        "listed-twice",
        lambda listed: _once(listed.names),
        "a node that is used more than once is listed more than once: nothing remembers that it was visited.",
        "When your walk comes to a node for the second time, what should it do?",
    ),
    (
        "listed-twice",
        lambda listed: _once(listed.names, last=True),
        "a node that is used more than once is listed more than once: whether it was visited is not asked, or asked "
        "too early.",
        "At the moment when a node is put into the list, can it be there already?",
    ),
    (
        "root-missing",
        lambda listed: [*listed.names, *({listed.root} - set(listed.names))],
        "the root itself is not listed: only parents are.",
        "Which line of yours puts `root` into the list?",
    ),
    (
        "leaves-missing",
        lambda listed: [*(leaf for leaf in _leaves(listed) if leaf not in listed.names), *listed.names],
        "nodes without parents are left out.",
        "What does your function do with a node whose `parents` is `()`?",
    ),
    (
        "root-first",
        lambda listed: [*listed.names[1:], *listed.names[:1]],
        "the root is put at the front; all others are in order.",
        "Must the root be the first node of the list, or the last?",
    ),
)


def _repaired(listed: _Listed, repairs: tuple) -> bool:
    """Whether a list is right, or becomes so by some repairs."""
    if listed.right:
        return True
    for _, repair, _, _ in repairs:
        listed = listed._replace(names=repair(listed))
    return listed.right


def _in_general(wrong: list[_Listed]) -> tuple[str, str, str]:
    """At least say what kind of fault it is."""
    needed = [set(ancestors(listed.graph, listed.root)) for listed in wrong]
    if all(names - set(listed.names) for names, listed in zip(needed, wrong, strict=True)):
        return (
            "nodes-missing",
            "some nodes are never reached, or are taken for visited before they are listed.",
            "Choose a node that is missing. By which way should your walk come to it, and what stops it there?",
        )
    if all(len(set(listed.names)) < len(listed.names) for listed in wrong):
        return (
            "listed-twice",
            "nodes are listed more than once.",
            "When your walk comes to a node for the second time, what should it do?",
        )
    return (
        "child-before-parent",
        "a node is put into the list although not all of its parents are in it yet.",
        "At which moment have all parents of a node been listed?",
    )


topological_order = InWords(
    "topological_order",
    CHAPTER,
    5,
    "topological_order(root)",
    ("order",),
    reference=backprop.topological_order,
    make_cases=_order_cases,
    oracle=_nearest_order,
    adapt=_as_numbers,
    properties=(_graph_unchanged,),
    explain=_why_disordered,
    retell=_told_of_order,
    formula="depth first, with a set of visited nodes: append a node when all of its parents have been appended",
)


@topological_order.wheat
def recursive_with_a_higher_limit(root):
    sys.setrecursionlimit(5_000)
    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for parent in node.parents:
                visit(parent)
            order.append(node)

    visit(root)
    return order


def _by_counting(root, users_in=tuple):
    """By counting the users of every node. Arrows are crossed off one by one; counted is what ``users_in`` keeps."""
    users, todo, seen = Counter(), [root], {root}
    while todo:
        for parent in users_in(todo.pop().parents):
            users[parent] += 1
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
    order, ready = [], [root]
    while ready:
        node = ready.pop(0)
        order.append(node)
        for parent in node.parents:
            users[parent] -= 1
            if users[parent] == 0:
                ready.append(parent)
    return order[::-1]


@topological_order.wheat
def by_counting_users(root):
    return _by_counting(root)


@topological_order.wheat
def two_visits_to_each(root):
    order, done, stack = [], {}, [(root, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif id(node) not in done:
            done[id(node)] = True
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.parents)
    return tuple(order)


@topological_order.wheat
def round_after_round(root):
    nodes = [root]
    for node in nodes:
        nodes += [parent for parent in dict.fromkeys(node.parents) if parent not in nodes]
    placed, order = set(), []
    while nodes:
        later = []
        for node in reversed(nodes):
            if all(parent in placed for parent in node.parents):
                placed.add(node)
                order.append(node)
            else:
                later.append(node)
        nodes = later[::-1]
    return order


@topological_order.wheat
def by_longest_distance_from_a_leaf(root):
    level, stack = {}, [root]
    while stack:
        node = stack[-1]
        waiting = [parent for parent in node.parents if parent not in level]
        if waiting:
            stack += waiting
        else:
            level[node] = 1 + max([level[parent] for parent in node.parents], default=0)
            stack.pop()
    return sorted(level, key=level.get)


@topological_order.wheat
def peels_leaves(root):
    reachable, front = {root: None}, [root]
    while front:
        front = dict.fromkeys(parent for node in front for parent in node.parents if parent not in reachable)
        reachable |= front
    children = {node: [] for node in reachable}
    waiting = {}
    for node in reachable:
        waiting[node] = len(set(node.parents))
        for parent in set(node.parents):
            children[parent].append(node)
    order = [node for node, count in waiting.items() if count == 0]
    for node in order:
        for child in children[node]:
            waiting[child] -= 1
            if waiting[child] == 0:
                order.append(child)
    return order


@topological_order.wheat
def marks_that_are_taken_off(root):
    order, stack = [], [(root, iter(root.parents))]
    root.mark = True
    while stack:
        node, rest = stack[-1]
        parent = next(rest, None)
        if parent is None:
            stack.pop()
            order.append(node)
        elif not getattr(parent, "mark", False):
            parent.mark = True
            stack.append((parent, iter(parent.parents)))
    for node in order:
        del node.mark
    return order


def _recursive_order(*, seen=True, before=False, turned=False, parents=lambda node: node.parents, root=True):
    """A walk by recursion with one thing done otherwise."""

    def function(start):
        order, visited = [], set()

        def visit(node):
            if seen and id(node) in visited:
                return
            visited.add(id(node))
            if before:
                order.append(node)
            for parent in parents(node):
                visit(parent)
            if not before and (root or node is not start):
                order.append(node)

        visit(start)
        return order[::-1] if turned else order

    return function


def _walk_by_queue(end, turned=True):
    """A walk from the root that takes the next node from one end of a list."""

    def function(root):
        order, seen, todo = [], {root}, [root]
        while todo:
            node = todo.pop(end)
            order.append(node)
            for parent in node.parents:
                if parent not in seen:
                    seen.add(parent)
                    todo.append(parent)
        return order[::-1] if turned else order

    return function


for _cause, _text, _hint, _function in (
    ("recursion-too-deep", "the function calls itself once for every node along the way.",
     "Which list of your own could remember what is still to be done, in a loop?", _recursive_order()),
    ("listed-before-its-parents", "a node is put into the list when it is first met, before its parents, and the list "
     "is turned round at the end.", "At which moment have all parents of a node been listed: when you come to it, or "
     "when you leave it?", _recursive_order(before=True, turned=True)),
    ("root-first", "a node is put into the list when it is first met, before its parents: the root comes first.",
     "Must the root be the first node of the list, or the last?", _recursive_order(before=True)),
    ("breadth-first", "the graph is walked level by level from the root, and the walk is turned round.",
     "In the graph of the table, follow the longest way from the root. When may a node be listed?",
     _walk_by_queue(0)),
    ("listed-before-its-parents", "a node is put into the list when it comes off the stack, before its parents, and "
     "the list is turned round at the end.", "At which moment have all parents of a node been listed?",
     _walk_by_queue(-1)),
    ("root-first", "the graph is listed as it is walked, level by level from the root: children come before their "
     "parents.", "Must the root be the first node of the list, or the last?", _walk_by_queue(0, turned=False)),
    ("reversed", "the order is turned round: children come before their parents.",
     "Must the root be the first node of the list, or the last?",
     lambda root: backprop.topological_order(root)[::-1]),
    ("visits-every-way", "nothing remembers that a node was visited.",
     "When your walk comes to a node for the second time, what should it do?", _recursive_order(seen=False)),
    ("root-missing", "the root itself is not listed: only parents are.",
     "Which line of yours puts `root` into the list?", lambda root: backprop.topological_order(root)[:-1]),
    ("only-leaves", "only nodes without parents are listed.",
     "On which line is a node appended that has parents?",
     lambda root: [node for node in backprop.topological_order(root) if not node.parents]),
    ("leaves-missing", "nodes without parents are left out.",
     "What does your function do with a node whose `parents` is `()`?",
     lambda root: [node for node in backprop.topological_order(root) if node.parents]),
    ("only-direct-parents", "the walk ends at the parents of the root.",
     "How does your function come to the parents of the parents?", lambda root: [*dict.fromkeys(root.parents), root]),
    ("one-parent-only", "only the first parent of each node is followed.",
     "Where does your function `return`: inside the loop over the parents, or after it?",
     lambda root: _first_parent_only(root)),
    ("listed-twice", "a node that is its child's parent twice, or is waiting on the stack already, is listed twice.",
     "At the moment when a node is put into the list, can it be there already?",
     lambda root: _without_second_look(root)),
    ("sorted-by-name", "the nodes are sorted by their names; names say nothing about who needs whom.",
     "What, besides the names, tells which node must come first?",
     lambda root: sorted(backprop.topological_order(root), key=repr)),
    ("not-nodes", "the names are listed, not the nodes.", "What do you append: a node, or something made of it?",
     lambda root: [node.name for node in backprop.topological_order(root)]),
):  # fmt: skip
    topological_order.chaff(_cause, _text, _hint)(_function)


def _first_parent_only(root):
    way = [root]
    while way[0].parents:
        way.insert(0, way[0].parents[0])
    return way


def _without_second_look(root):
    order, done, stack = [], set(), [(root, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            done.add(node)
            order.append(node)
        else:
            stack.append((node, True))
            stack += [(parent, False) for parent in node.parents if parent not in done]
    return order


@topological_order.chaff(
    "counted-once-crossed-off-twice",
    "a node that uses another one twice (as in x·x) is counted as one user, and crossed off twice: the count is down "
    "to zero while another user is still to come.",
    "For v = u·u, how many arrows leave u? Count and cross off the same things: either arrows or users.",
)
def _(root):
    return _by_counting(root, users_in=set)


@topological_order.chaff(
    "marks-left-behind",
    "what the first call wrote on the nodes stays there: the next call on this graph takes them for visited.",
    "What does your function write on the nodes, and who wipes it off?",
)
def _(root):
    order, stack = [], [(root, iter(root.parents))]
    while stack:
        parent = next((p for p in stack[-1][1] if not hasattr(p, "visited")), None)
        if parent is None:
            order.append(stack.pop()[0])
        else:
            parent.visited = True
            stack.append((parent, iter(parent.parents)))
    return order


@topological_order.chaff(
    "remembers",
    "the set of visited nodes is a default argument: it outlives the call.",
    "When is the default value of an argument made: at each call, or once?",
)
def _(root, order=[]):  # noqa: B006
    order += backprop.topological_order(root)
    return order


# backward


ZERO = "set every .grad to 0"  # a step of a plan, between calls for roots


def _backward_cases(rng: np.random.Generator) -> list[Case]:
    draw = Draw(rng)

    def case(name: str, graph: Graph, *plan: int | str, group: str = "one call") -> Case:
        names = list(graph)
        return Case(name, (graph, tuple(names[step] if step != ZERO else step for step in plan or (-1,))), group=group)

    return [
        case("a diamond", draw.shuffled((), (0,), (0,), (1, 2))),
        case("a chain of four", draw.graph((), (0,), (1,), (2,))),
        case("x·w", draw.graph((), (), (0, 1))),
        case("x·x", draw.graph((), (0, 0))),
        case("a long way and a short one", draw.graph((), (0,), (1,), (2,), (1, 3))),
        case("a short way and a long one", draw.graph((), (0,), (1,), (2,), (3, 1))),
        case("twice by one step, and by a long way", draw.graph((), (0,), (1, 1), (1,), (3,), (4,), (2, 5))),
        case("by a long way, and twice by one step", draw.graph((), (0,), (1, 1), (1,), (3,), (4,), (5, 2))),
        case("w·x + b, used twice", draw.shuffled((), (), (), (0, 1), (2, 3), (3, 4), (4, 5))),
        case("a random graph", draw.random(13)),
        case("an inner node as the root", draw.shuffled((), (0,), (0,), (1, 2), (3, 1)), 3),
        case("a wide graph", draw.graph((), *[(0,)] * 31, tuple(range(1, 32)))),
        case("a node alone", draw.graph(())),
        case("called twice", draw.shuffled((), (0,), (0,), (1, 2)), -1, -1, group="adding up"),
        case("two losses that share nodes", draw.shuffled((), (), (0, 1), (2, 0), (2, 1)), 3, 4, group="adding up"),
        case("first for an inner node, then for the root", draw.random(9), 5, -1, group="adding up"),
        case("twice, with zeros in between", draw.shuffled((), (0,), (0,), (1, 2)), -1, ZERO, -1, group="adding up"),
        case(f"a ladder of {DIAMONDS} diamonds", draw.ladder(), group="ladder"),
        case(f"a chain of {DEEP:,} nodes", draw.chain(DEEP), group="deep"),
    ]


def _as_gradients(f: Callable) -> Callable:
    """The `.grad` of all nodes, after the steps of a plan."""

    def run(graph: Graph, plan: tuple[str, ...]) -> np.ndarray:
        nodes = build(graph)
        try:
            for step in plan:
                if step == ZERO:
                    for node in nodes.values():
                        node.grad = 0.0
                else:
                    f(nodes[step])
        except RecursionError as error:
            raise _too_deep(graph, error) from error
        return np.array([_gradient(node) for node in nodes.values()])

    return run


def _gradient(node: Node) -> float:
    grad = node.grad
    if type(grad) is float:
        return grad
    if isinstance(grad, int | float | np.number | np.ndarray) and np.size(grad) == 1 and np.isrealobj(grad):
        return float(np.asarray(grad).item())
    what = f"`{node}.grad` is a `{type(grad).__name__}`; expected a float."
    raise WrongStructure("grad-not-a-number", what, "Which line writes on `.grad`, and what?")


def _told_of_gradients(f: Callable, cases: list[Case], findings: list[Finding]) -> list[Finding]:
    """The first graph with wrong gradients, node by node."""
    of_values = [finding for finding in findings if backward.speaks_of_values(finding)]
    others = [finding for finding in findings if finding not in of_values]
    if not of_values and not any(finding.cause in ON_LARGE_GRAPHS for finding in others):
        return findings
    finding = of_values[0] if of_values else None
    for case in sorted(cases, key=lambda case: len(case.args[0]) > 9):
        outcome = call(backward.adapted(f), copy.deepcopy(case.args))
        right = backward.right(case.args)
        if outcome.error is None and not same(outcome.value, right):
            break
    else:
        return findings
    finding = finding or _why_not_backward(f)
    if finding is None:
        return findings
    (graph, plan), mine = case.args, outcome.value
    i = int(np.argmax(np.where(np.isfinite(mine), np.abs(mine - right), np.inf)))
    a, r = _two_numbers(mine[i], right[i])
    what = f"In the case “{case.name}” `{list(graph)[i]}.grad` should be {r} and is {a}."
    if len(plan) > 1:
        steps = [f"`backward({step})`" if step != ZERO else ZERO for step in plan]
        what += f" What was done: {', then '.join(steps)}."
    rows = [
        (name, _computed_from(graph, name, slopes=True), *_two_numbers(right[k], mine[k]))
        for k, name in enumerate(graph)
    ]
    table = (("node", "computed from", "`.grad` should be", "yours"), *rows) if len(graph) <= 9 else ()
    return [replace(finding, what=what, table=table), *others]


def _two_numbers(a: float, b: float) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to tell them apart, if they differ."""
    digits = next(
        n for n in (4, 6, 9, 12, 17) if n == 17 or f"{a:.{n}g}" != f"{b:.{n}g}" or same(np.array(a), np.array(b))
    )
    return f"{a + 0.0:.{digits}g}", f"{b + 0.0:.{digits}g}"


# Which edges are used on the way back, and in which order.

Edges = Iterator[tuple[Node, int]]


def _in_order(root: Node) -> Edges:
    for node in reversed(backprop.topological_order(root)):
        yield from ((node, k) for k in range(len(node.parents)))


def _leaves_first(root: Node) -> Edges:
    for node in backprop.topological_order(root):
        yield from ((node, k) for k in range(len(node.parents)))


def _level_by_level(root: Node) -> Edges:
    seen, queue = {root}, [root]
    for node in queue:
        for k, parent in enumerate(node.parents):
            yield node, k
            if parent not in seen:
                seen.add(parent)
                queue.append(parent)


def _level_by_level_again(root: Node) -> Edges:
    """Nodes that are met on several ways are visited several times."""
    queue = [root]
    for node in queue:
        for k, parent in enumerate(node.parents):
            yield node, k
            queue.append(parent)


def _by_stack(root: Node) -> Edges:
    seen, stack = {root}, [root]
    while stack:
        node = stack.pop()
        for k, parent in enumerate(node.parents):
            yield node, k
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)


def _depth_first_once(node: Node, seen: set | None = None) -> Edges:
    seen = {node} if seen is None else seen
    for k, parent in enumerate(node.parents):
        yield node, k
        if parent not in seen:
            seen.add(parent)
            yield from _depth_first_once(parent, seen)


def _depth_first_after(node: Node, seen: set | None = None) -> Edges:
    """All edges of a node, then its parents, each once."""
    seen = {node} if seen is None else seen
    yield from ((node, k) for k in range(len(node.parents)))
    for parent in node.parents:
        if parent not in seen:
            seen.add(parent)
            yield from _depth_first_after(parent, seen)


def _every_visit(node: Node) -> Edges:
    for k, parent in enumerate(node.parents):
        yield node, k
        yield from _every_visit(parent)


def _every_visit_after(node: Node) -> Edges:
    yield from ((node, k) for k in range(len(node.parents)))
    for parent in node.parents:
        yield from _every_visit_after(parent)


def _first_way_only(node: Node, seen: set | None = None) -> Edges:
    """An edge to a node that was visited is not used."""
    seen = {node} if seen is None else seen
    for k, parent in enumerate(node.parents):
        if parent not in seen:
            seen.add(parent)
            yield node, k
            yield from _first_way_only(parent, seen)


class _Twist(NamedTuple):
    """One thing done otherwise on the way back: options of :func:`_backward_with`, and what to say of it."""

    options: dict[str, Any]
    cause: str
    likely: str
    next_step: str


def _backward_with(
    *,
    edges: Callable[[Node], Edges] = _in_order,
    apart: bool = True,
    seed: float = 1.0,
    seed_adds: bool = True,
    adds: bool = True,
    upstream: Callable[[float], float] = lambda g: g,
    slope: Callable[[tuple[float, ...], int], float] = lambda slopes, k: slopes[k],
    keeps: Callable[[Node, Node], bool] = lambda node, root: True,
    clears: bool = False,
    result_adds: bool = True,
    averages: bool = False,
) -> Callable[[Node], None]:
    """A backward pass: with the defaults the right one; each option is a mistake that learners make."""

    def backward(root: Node) -> None:
        nodes = backprop.topological_order(root)
        if clears:
            for node in nodes:
                node.grad = 0.0
        old = {node: node.grad for node in nodes}
        flow = dict.fromkeys(nodes, 0.0) if apart else dict(old)
        flow[root] = seed if apart or not seed_adds else flow[root] + seed
        uses = Counter(parent for node in nodes for parent in node.parents)
        for node, k in edges(root):
            parent = node.parents[k]
            sent = slope(node.local_grads, k) * upstream(flow[node]) / (uses[parent] if averages else 1)
            flow[parent] = flow[parent] + sent if adds else sent
        for node in nodes:
            if keeps(node, root):
                node.grad = flow[node] + (old[node] if apart and result_adds else 0.0)
            else:
                node.grad = old[node]

    return backward


_DOUBLE = (
    "counted-again",
    "a node passes its `.grad` on each time it is visited, and each time all of it: what was passed on before is "
    "counted again.",
    "A node that is used twice: when is its `.grad` complete? How often may it be passed on?",
)
_TOO_EARLY = (
    "passed-on-too-early",
    "a node passes its `.grad` on before all nodes that use it have added to it: what arrives later does not go on.",
    "In which order must the nodes be visited, so that a `.grad` is complete when it is passed on?",
)
_TWISTS = (
    _Twist({"adds": False}, "overwritten", "what arrives at a node replaces what arrived before (`=` where `+=` "
           "belongs): of several ways only the last one counts.", "If x goes up a little, and x is used twice: how "
           "much does the result move?"),
    _Twist({"edges": _every_visit}, *_DOUBLE),
    _Twist({"edges": _every_visit_after}, *_DOUBLE),
    _Twist({"edges": _level_by_level_again}, *_DOUBLE),
    _Twist({"edges": _depth_first_once}, *_TOO_EARLY),
    _Twist({"edges": _depth_first_after}, *_TOO_EARLY),
    _Twist({"edges": _level_by_level}, "level-by-level", "the graph is walked level by level from the root. Where a "
           "node is reached by a short way and by a long one, it passes its `.grad` on before the long way has added "
           "to it.", "In which order must the nodes be visited, so that a `.grad` is complete when it is passed on?"),
    _Twist({"edges": _by_stack}, *_TOO_EARLY),
    _Twist({"edges": _first_way_only}, "first-way-only", "what comes to a node on a second way is dropped, since the "
           "node was visited.", "May a node that was visited still be added to? May it still pass on?"),
    _Twist({"edges": _leaves_first}, "stops-at-the-parents", "the gradient goes from the root to its parents and no "
           "further: the walk ends there, or it goes from the leaves to the root, so that what a node passes on has "
           "not arrived yet.", "Where does the gradient start, and how does it come to the parents of the parents?"),
    _Twist({"upstream": lambda g: 1.0}, "upstream-forgotten", "a node adds its slope to its parent, without the factor "
           "that arrived at the node itself.", "In a chain of three, which slopes are multiplied with one another?"),
    _Twist({"slope": lambda slopes, k: slopes[-1 - k]}, "slopes-swapped", "the slopes are taken in the opposite order: "
           "each parent gets the other one's.", "`local_grads[k]` belongs to which parent?"),
    _Twist({"slope": lambda slopes, k: slopes[0]}, "first-slope-for-all", "every parent gets the first slope.",
           "`local_grads[k]` belongs to which parent?"),
    _Twist({"slope": lambda slopes, k: slopes[-1]}, "last-slope-for-all", "every parent gets the last slope.",
           "`local_grads[k]` belongs to which parent?"),
    _Twist({"slope": lambda slopes, k: slopes[0] if k == 0 else 0.0}, "first-parent-only", "only the first parent of "
           "a node gets anything.", "How many `parents` can a node have? Which of them does your code reach?"),
    _Twist({"slope": lambda slopes, k: sum(slopes)}, "slopes-summed", "every parent gets the sum of all slopes.",
           "`local_grads[k]` belongs to which parent?"),
    _Twist({"slope": lambda slopes, k: 1.0}, "slopes-left-out", "the gradient is passed on as it is, without the "
           "slope.", "By the chain rule, what is the gradient multiplied with on its way to a parent?"),
    _Twist({"slope": lambda slopes, k: slopes[k] / len(slopes)}, "divided-among-parents", "the gradient is divided "
           "among the parents.", "z = x + y: if x goes up by 1 alone, how much does z?"),
    _Twist({"slope": lambda slopes, k: 1 / slopes[k]}, "divided-by-slope", "the gradient is divided by the slope.",
           "y = 3x: by how much does y move if x moves by 1?"),
    _Twist({"slope": lambda slopes, k: abs(slopes[k])}, "sign-lost", "the absolute value of each slope is taken.",
           "Can a slope be negative?"),
    _Twist({"averages": True}, "averaged", "what arrives at a node on several ways is averaged; it should add up.",
           "If x goes up a little, and x is used twice: how much does the result move?"),
    _Twist({"edges": lambda root: iter(())}, "stops-at-the-root", "the gradient does not leave the root: nothing is "
           "passed on, or it is before the root has its 1.", "How does the gradient come from a node to its parents?"),
    _Twist({"seed": 0.0}, "root-not-seeded", "every `.grad` stays 0: the root's own is never set, so that zeros flow, "
           "or what is computed is not written on `.grad`.", "After your call, what stands in `root.grad`, and which "
           "line of yours put it there?"),
    _Twist({"seed": -1.0}, "sign-flipped", "the root starts with −1.", "What is the derivative of the root by itself?"),
    _Twist({"seed": 0.5}, "root-halved", "the root starts with ½.", "What is the derivative of the root by itself?"),
    _Twist({"seed": 2.0}, "root-seeded-twice", "the root starts with 2: it gets its 1 twice.",
           "How often does your code add to `root.grad`?"),
    _Twist({"keeps": lambda node, root: node is not root}, "root-left-out", "the root's own `.grad` is not filled.",
           "What is the derivative of the root by itself?"),
    _Twist({"keeps": lambda node, root: not node.parents}, "only-leaves", "only nodes without parents keep a `.grad`.",
           "Which nodes does the contract name?"),
    _Twist({"keeps": lambda node, root: bool(node.parents)}, "leaves-left-out", "nodes without parents get no `.grad`.",
           "Which nodes does the contract name?"),
)  # fmt: skip
_STALE = (
    "stale-gradients",
    "what an earlier call left in `.grad` flows along with the new gradient, and is multiplied with slopes once more.",
    "At the start of a second call, what stands in `.grad` of an inner node? May it be passed on?",
)
_STYLES = (
    _Twist({"apart": False}, *_STALE),
    _Twist({"apart": False, "seed_adds": False}, *_STALE),
    _Twist({"clears": True}, "starts-from-zero", "every `.grad` is set to 0 first, so that a second call does not add "
           "to the first.", "What should stand in `.grad` after two calls: the gradient, or twice that?"),
    _Twist({"result_adds": False}, "starts-from-zero", "the new gradient replaces what stood in `.grad`, so that a "
           "second call does not add to the first.", "What should stand in `.grad` after two calls: the gradient, or "
           "twice that?"),
)  # fmt: skip


def _why_not_backward(f: Callable) -> Finding | None:
    """A way back with one or two mistakes that gives these gradients, or the simplest graph on which they are wrong."""
    answers: dict[str, list[tuple[Case, np.ndarray]]] = {"one call": [], "adding up": []}
    for case in _backward_cases(np.random.default_rng(0)):
        if case.group in answers:
            outcome = call(backward.adapted(f), copy.deepcopy(case.args))
            if outcome.error is None:
                answers[case.group].append((case, outcome.value))
    what = "`grad` is not right."
    for twists in _combinations(_TWISTS):
        if _gives(twists, answers["one call"]):
            found = [twist for twist in twists if twist.cause == "overwritten"] or [*twists]
            nothing_old_flows = any(twist.cause in ("overwritten", "upstream-forgotten") for twist in twists)
            if answers["adding up"] and not nothing_old_flows and not _gives(twists, answers["adding up"]):
                found += next(([s] for s in _STYLES if _gives((*twists, s), answers["adding up"])), [])
            if found:
                likely = " Besides, ".join(twist.likely for twist in found)
                return Finding(what, found[0].cause, likely, found[0].next_step)
            break
    told = [*answers["one call"], *answers["adding up"]]
    wrong = {case.name for case, answer in told if not same(answer, backward.right(case.args))}
    for name, words in _SIMPLEST.items():
        if name in wrong:
            return Finding(what, *words)
    return None


def _combinations(twists: tuple[_Twist, ...]) -> Iterator[tuple[_Twist, ...]]:
    """None, each one, and each two of them."""
    for count in range(3):
        yield from itertools.combinations(twists, count)


def _gives(twists: tuple[_Twist, ...], answers: list[tuple[Case, np.ndarray]]) -> bool:
    """Whether a backward pass with some mistakes gives these answers."""
    options = {key: value for twist in twists for key, value in twist.options.items()}
    if len(options) < sum(len(twist.options) for twist in twists) or not answers:
        return False
    variant = _as_gradients(_backward_with(**options))
    return all(same(variant(*case.args), answer) for case, answer in answers)


_SIMPLEST = {
    "a node alone": (
        "root-not-seeded",
        "the gradient of the root by itself is not right.",
        "What is the derivative of the root by itself?",
    ),
    "a chain of four": (
        "chain-not-multiplied",
        "along a single way, where nothing has to be added, the slopes are not multiplied as they should be.",
        "Follow the gradient from the root through the chain with a pencil: which number stands at each node?",
    ),
    "x·w": (
        "slopes-swapped",
        "with two parents, a slope does not come to the parent that it belongs to.",
        "`local_grads[k]` belongs to which parent?",
    ),
    "a diamond": (
        "ways-not-added",
        "where two ways lead to a node, what arrives on them is not added up as it should be.",
        "Follow the gradient from the root along each of the two ways with a pencil. Where do they meet?",
    ),
    "x·x": (
        "same-parent-twice",
        "a node that is its child's parent twice gets only one of the two contributions, or one too many.",
        "For y = x·x, what are `parents` and `local_grads`? How many contributions come to x?",
    ),
    "a long way and a short one": _TOO_EARLY,
    "a short way and a long one": _TOO_EARLY,
    "twice by one step, and by a long way": _TOO_EARLY,
    "by a long way, and twice by one step": _TOO_EARLY,
    "w·x + b, used twice": _TOO_EARLY,
    "a random graph": _TOO_EARLY,
    "an inner node as the root": (
        "beyond-the-root",
        "nodes that the root was not computed from are touched.",
        "Which nodes can change the value of the root?",
    ),
    "twice, with zeros in between": (
        "marks-left-behind",
        "something is left of the first call besides `.grad`: marks on the nodes, or a set that outlives the call.",
        "What does your function write on the nodes, or keep outside of itself?",
    ),
    "called twice": (
        "second-call",
        "a single call is right; a second call on the same graph does not add the gradient once more.",
        "At the start of the second call, what stands in `.grad` of each node, and what may be done with it?",
    ),
    "two losses that share nodes": _STALE,
    "first for an inner node, then for the root": _STALE,
}


backward = InWords(
    "backward",
    CHAPTER,
    7,
    "backward(root)",
    ("grad",),
    reference=backprop.backward,
    make_cases=_backward_cases,
    oracle=lambda grad, graph, plan: backward.right((graph, plan)),
    adapt=_as_gradients,
    properties=(_graph_unchanged,),
    explain=_why_not_backward,
    retell=_told_of_gradients,
    formula="from the root back in topological order: flow[parent] += slope · flow[node], then node.grad += flow[node]",
)


@backward.wheat
def zeroes_and_adds_back(root):
    nodes = backprop.topological_order(root)[::-1]
    before = [node.grad for node in nodes]
    for node in nodes:
        node.grad = 0.0
    root.grad = 1.0
    for node in nodes:
        for parent, slope in zip(node.parents, node.local_grads, strict=True):
            parent.grad += node.grad * slope
    for node, old in zip(nodes, before, strict=True):
        node.grad += old


@backward.wheat
def passes_on_when_all_users_have_reported(root):
    waiting, stack = Counter(), [root]
    seen = {id(root)}
    while stack:
        for parent in stack.pop().parents:
            waiting[id(parent)] += 1
            if id(parent) not in seen:
                seen.add(id(parent))
                stack.append(parent)
    flow, ready = Counter({id(root): 1.0}), [root]
    while ready:
        node = ready.pop()
        g = flow[id(node)]
        node.grad = node.grad + g
        for k, parent in enumerate(node.parents):
            flow[id(parent)] += g * node.local_grads[k]
            waiting[id(parent)] -= 1
            if not waiting[id(parent)]:
                ready.append(parent)


@backward.wheat
def asks_the_users(root):
    order = backprop.topological_order(root)
    users = {node: [] for node in order}
    for node in order:
        for parent, slope in zip(node.parents, node.local_grads, strict=True):
            users[parent].append((node, slope))
    d = {root: 1.0}
    for node in order[-2::-1]:
        d[node] = math.fsum(d[user] * slope for user, slope in users[node])
    for node, g in d.items():
        node.grad += g
    return root


@backward.wheat
def asks_by_recursion(root):
    sys.setrecursionlimit(5_000)
    users = {}

    def collect(node):
        for parent, slope in zip(node.parents, node.local_grads, strict=True):
            new = parent not in users
            users.setdefault(parent, []).append((node, slope))
            if new:
                collect(parent)

    collect(root)
    known = {root: 1.0}

    def derivative(node):
        if node not in known:
            known[node] = sum(slope * derivative(user) for user, slope in users[node])
        return known[node]

    for node in [root, *users]:
        node.grad += derivative(node)


@backward.wheat
def as_a_linear_system(root):
    order = backprop.topological_order(root)
    if len(order) > 200:
        backprop.backward(root)
        return
    number = {node: i for i, node in enumerate(order)}
    A = np.eye(len(order))
    for node in order:
        for parent, slope in zip(node.parents, node.local_grads, strict=True):
            A[number[parent], number[node]] -= slope
    for node, g in zip(order, np.linalg.solve(A, np.eye(len(order))[-1]), strict=True):
        node.grad += g


@backward.wheat
def flow_on_the_nodes(root):
    order = backprop.topological_order(root)
    for node in order:
        node.flow = np.float64(0)
    root.flow += 1
    while order:
        node = order.pop()
        for i in range(len(node.parents)):
            node.parents[i].flow += node.local_grads[i] * node.flow
        node.grad += node.flow
        del node.flow


for _twist in (*_STYLES[:3], *_TWISTS):
    backward.chaff(_twist.cause, _twist.likely, _twist.next_step)(_backward_with(**_twist.options))


@backward.chaff(
    "recursion-too-deep",
    "the order is found by recursion, one call for every node along the way.",
    "Which list of your own could remember what is still to be done, in a loop?",
)
def _(root):
    order = _recursive_order()(root)
    flow = dict.fromkeys(order, 0.0)
    flow[root] = 1.0
    for node in order[::-1]:
        for parent, slope in zip(node.parents, node.local_grads, strict=True):
            flow[parent] += slope * flow[node]
        node.grad += flow[node]


def _along_every_way(node, g=1.0):
    node.grad += g
    for parent, slope in zip(node.parents, node.local_grads, strict=True):
        _along_every_way(parent, g * slope)


backward.chaff(
    "visits-every-way",
    "the function calls itself for every way from the root to a node, one after the other.",
    "What could be added up at a node before it is passed on?",
)(_along_every_way)


@backward.chaff(
    "marks-left-behind",
    "marks that say “visited” stay on the nodes: a second call finds nothing to do.",
    "What does your function write on the nodes, and who wipes it off?",
)
def _(root):
    if not hasattr(root, "visited"):
        nodes = [node for node in backprop.topological_order(root) if not hasattr(node, "visited")]
        backprop.backward(root)
        for node in nodes:
            node.visited = True


@backward.chaff(
    "counted-once-crossed-off-twice",
    "a node that uses another one twice (as in x·x) is counted as one user, and crossed off twice: the other node "
    "passes its gradient on while a user is still to come.",
    "For v = u·u, how many arrows leave u? Count and cross off the same things: either arrows or users.",
)
def _(root):
    order = _by_counting(root, users_in=set)
    flow = dict.fromkeys(order, 0.0)
    flow[root] = 1.0
    for node in order[::-1]:
        for parent, slope in zip(node.parents, node.local_grads, strict=True):
            flow[parent] += slope * flow[node]
        node.grad += flow[node]


@backward.chaff(
    "graph-changed",
    "the edges are cut once they have been used: the graph is gone after the call.",
    "Which line writes on a node something other than `.grad`?",
)
def _(root):
    order = backprop.topological_order(root)
    flow = dict.fromkeys(order, 0.0)
    flow[root] = 1.0
    for node in order[::-1]:
        for parent, slope in zip(node.parents, node.local_grads, strict=True):
            flow[parent] += slope * flow[node]
        node.grad += flow[node]
        node.local_grads = tuple(0.0 for _ in node.local_grads)


# local_grads


def _local_cases(rng: np.random.Generator) -> list[Case]:
    """One case for each operation, at several places, none of them at 0, where any slope of a ReLU is right."""

    def size(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def number() -> float:
        return float(moderate(rng))

    places = {
        "add": [(number(), number()), (size(2, 3), number())],
        "mul": [(number(), number()), (size(2, 3), number()), (number(), -size(2, 3))],
        "pow": [(size(1.2, 2), number()), (size(0.3, 0.8), size(1.2, 2)), (size(1.2, 2), 2.0), (size(0.3, 0.8), -1.0),
                (size(2, 3), 0.0), (size(2, 3), size(-3, -2))],
        "exp": [(number(),), (-size(2, 3),), (size(2, 3),)],
        "log": [(size(1.2, 2),), (size(0.3, 0.8),), (size(3, 4),)],
        "tanh": [(number(),), (size(0.2, 0.5),), (-size(0.8, 1.2),), (20.0,)],
        "relu": [(size(0.2, 0.8),), (-size(0.2, 0.8),), (size(2, 3),), (-size(2, 3),)],
    }  # fmt: skip
    return [Case(op, (op, tuple(at)), group=op) for op, at in places.items()]


def _at_several_places(f: Callable) -> Callable:
    """The slopes of one operation at several places, as one array for each value."""

    def run(op: str, places: tuple[tuple[float, ...], ...]) -> tuple[np.ndarray, ...]:
        slopes = [_slopes(f(op, *values), op, values) for values in places]
        return tuple(np.array(column) for column in zip(*slopes, strict=True))

    return run


def _slopes(answer: Any, op: str, values: tuple[float, ...]) -> list[float]:
    """One number for each value."""
    where, count = f"For `{_expression(op, values)}`", "one slope" if len(values) == 1 else "two slopes"
    if answer is None:
        step = f"Is there a `return` for {op!r}? Does the text match, letter for letter?"
        raise WrongStructure("returned-none", f"{where} your function returned `None`.", step)
    if isinstance(answer, int | float | np.number) or (isinstance(answer, np.ndarray) and answer.ndim == 0):
        what = f"{where} your function returned a number; expected a tuple of {count}, one for each value."
        raise WrongStructure("not-a-tuple", what, "How is a tuple with one thing in it written? `(x)` is just x.")
    if isinstance(answer, Iterator):
        answer = tuple(itertools.islice(answer, 10))
    if not isinstance(answer, tuple | list | np.ndarray):
        what = f"{where} your function returned a `{type(answer).__name__}`; expected a tuple of {count}."
        raise WrongStructure("wrong-type", what, "The contract: `local_grads(op, *values) -> tuple`.")
    if len(answer) != len(values):
        what = f"{where} your function returned {len(answer)} numbers; expected {count}, one for each value."
        raise WrongStructure("wrong-count", what, "How many values does the operation take? Each has a slope.")
    slopes = []
    for slope in answer:
        if not isinstance(slope, int | float | np.number | np.ndarray) or np.size(slope) != 1 or np.iscomplex(slope):
            what = f"{where} a slope is {_short(slope)}; expected a number."
            raise WrongStructure("not-a-number", what, "What stands in the tuple?")
        slopes.append(float(np.real(slope)))
    return slopes


def _short(value: Any) -> str:
    return f"`{value!r}`" if isinstance(value, complex | str | None | np.number) else f"a `{type(value).__name__}`"


def _expression(op: str, values: tuple[float, ...]) -> str:
    return f"{op}({', '.join(f'{value:.4g}' for value in values)})"


class _Slip(NamedTuple):
    """What a learner may have written for the slopes of an operation."""

    slopes: Callable[..., tuple[float, ...]]
    cause: str
    likely: str
    next_step: str


_SWAPPED = (
    "slopes-swapped",
    "the two slopes have changed places",
    "Nudge the first value alone: which slope tells what happens?",
)
_FORWARD = (
    "value-not-slope",
    "this is the result of the operation, not its slope",
    "Which question does a slope answer, and which one a value?",
)
_SIGN = ("sign-flipped", "the sign is flipped", "Put in numbers: does the result rise or fall when the value grows?")
_INVERSE = (
    "upside-down",
    "this is one over the slope",
    "If the slope is 3 and the value grows by 1, how far does the result move?",
)


def _safe(function: Callable[..., tuple[float, ...]], values: tuple[float, ...]) -> tuple[float, ...]:
    """Slopes by a formula that may not be defined there: then nan."""
    try:
        with np.errstate(all="ignore"):
            return tuple(float(slope) for slope in function(*values))
    except (ZeroDivisionError, ValueError, OverflowError, TypeError):
        return (math.nan,) * len(values)


_POWER = "Differentiate a³ on paper, and 2ᵇ: which of the two is a power of the variable, which has it in the exponent?"
_SLIPS: dict[str, tuple[_Slip, ...]] = {
    "add": (
        _Slip(lambda a, b: (a, b), "values-not-slopes", "the values themselves are returned",
              "z = a + b: if a goes up by 1, how far does z?"),
        _Slip(lambda a, b: (b, a), "slopes-of-a-product", "these are the slopes of a product",
              "z = a + b: if a goes up by 1, how far does z?"),
        _Slip(lambda a, b: (a + b, a + b), *_FORWARD),
        _Slip(lambda a, b: (0.0, 0.0), "all-zeros", "the slopes are 0", "z = a + b: if a goes up by 1, how far does "
              "z?"),
        _Slip(lambda a, b: (0.5, 0.5), "halved", "the slope is shared out among the two values",
              "z = a + b: if a goes up by 1, how far does z?"),
        _Slip(lambda a, b: (1.0, -1.0), "slopes-of-a-difference", "these are the slopes of a difference",
              "z = a + b: if b goes up by 1, how far does z?"),
    ),
    "mul": (
        _Slip(lambda a, b: (a, b), *_SWAPPED),
        _Slip(lambda a, b: (a * b, a * b), *_FORWARD),
        _Slip(lambda a, b: (1.0, 1.0), "slopes-of-a-sum", "these are the slopes of a sum", "z = a·b with b = 3: if a "
              "goes up by 1, how far does z?"),
    ),
    "pow": (
        _Slip(lambda a, b: (b * a ** (b - 1), 0.0), "exponent-ignored", "the slope in the exponent is 0: the exponent "
              "is taken for a constant", "2² is 4 and 2³ is 8. Does the exponent matter?"),
        _Slip(lambda a, b: (b * a ** (b - 1), a**b), "logarithm-missing", "the slope in the exponent lacks its "
              "logarithm", "Which function is its own derivative: eˣ, or 2ˣ as well?"),
        _Slip(lambda a, b: (b * a**b, a**b * math.log(a)), "exponent-not-lowered", "the exponent is not lowered by 1 "
              "in the slope of the base", _POWER),
        _Slip(lambda a, b: (a ** (b - 1), a**b * math.log(a)), "factor-missing", "the factor that comes down from the "
              "exponent is missing in the slope of the base", _POWER),
        _Slip(lambda a, b: (b * a ** (b - 1), a**b * np.log(b)), "wrong-logarithm", "the logarithm is that of "
              "the exponent; it is the base's that is asked for", "2ᵇ = e to the power of b·(what)?"),
        _Slip(lambda a, b: (b * a ** (b - 1), math.log(a)), "power-missing", "the slope in the exponent lacks the "
              "power itself", "2ᵇ grows faster and faster with b. Does your slope?"),
        _Slip(lambda a, b: (b * a ** (b - 1), b * math.log(a)), "power-missing", "the slope in the exponent has b "
              "where the power itself belongs", "2ᵇ grows faster and faster with b. Does your slope?"),
        _Slip(lambda a, b: (b * a ** (b - 1), a**b * math.log2(a)), "wrong-logarithm", "the logarithm is to base 2",
              "In which base is the derivative of eᵇ equal to eᵇ?"),
        _Slip(lambda a, b: (b * a ** (b - 1), a**b * math.log10(a)), "wrong-logarithm", "the logarithm is to base 10",
              "In which base is the derivative of eᵇ equal to eᵇ?"),
        _Slip(lambda a, b: (b * a ** (b - 1), a ** (b - 1) * math.log(a)), "exponent-lowered",
              "the exponent is lowered in the slope of the exponent as well", _POWER),
        _Slip(lambda a, b: (b * a ** (b - 1), b * a ** (b - 1)), "same-slope-twice", "both values get the slope of the "
              "base", _POWER),
        _Slip(lambda a, b: (b * a ** (b - 1), b * a ** (b - 1) * math.log(a)), "power-rule-for-exponent",
              "the power rule was applied to the exponent", _POWER),
        _Slip(lambda a, b: (b * a ** (b - 1), 1.0), "exponent-ignored", "the slope in the exponent is always 1",
              "2² is 4 and 2³ is 8: how far apart are they?"),
        _Slip(lambda a, b: (b * a ** (b - 1), math.exp(b) * math.log(a)), "wrong-base", "the slope in the exponent has "
              "e to the power of b where a to the power of b belongs", _POWER),
        _Slip(lambda a, b: (b * a ** (b - 1), a**b * b), "wrong-factor", "the slope in the exponent has the exponent "
              "as a factor, where a logarithm belongs", "2ᵇ = e to the power of b·(what)? That factor comes down."),
        _Slip(lambda a, b: (b * a ** (b - 1), a**b * a), "wrong-factor", "the slope in the exponent has the base as a "
              "factor, where its logarithm belongs", "2ᵇ = e to the power of b·(what)? That factor comes down."),
        _Slip(lambda a, b: (b * a ** (b - 1), a * math.log(a)), "power-missing", "the slope in the exponent lacks the "
              "exponent", _POWER),
        _Slip(lambda a, b: (a**b, a**b), *_FORWARD),
    ),
    "exp": (
        _Slip(lambda a: (a * math.exp(a - 1),), "power-rule-for-exponent", "the power rule was applied to the "
              "exponential: it is for powers of the variable", "In eᵃ, does the variable stand below or above?"),
        _Slip(lambda a: (a * math.exp(a),), "factor-too-much", "a factor a is too much", "At a = 0 the curve eᵃ rises. "
              "What does your slope give there?"),
        _Slip(lambda a: (a,), "input-returned", "the value itself is returned", "At a = 0 the curve eᵃ rises. What "
              "does your slope give there?"),
        _Slip(lambda a: (1.0,), "slope-1", "the slope is always 1", "Is eᵃ as steep at 3 as at 0?"),
        _Slip(lambda a: (math.log(a),), "inverse-function", "this is a logarithm", "Draw eᵃ: how steep is it at 0?"),
        _Slip(lambda a: (math.exp(-a),), "sign-of-exponent", "the exponent has the wrong sign",
              "Does eᵃ get steeper to the right, or flatter?"),
        _Slip(lambda a: (math.exp(a - 1),), "exponent-lowered", "the exponent is lowered by 1",
              "Which function is its own derivative?"),
        _Slip(lambda a: (2.0**a,), "wrong-base", "the base is 2, not e", "Which number is `math.exp(1)`?"),
        _Slip(lambda a: (a * a,), "squared", "this is a square", "Which function is its own derivative?"),
    ),
    "log": (
        _Slip(lambda a: (math.log(a),), *_FORWARD),
        _Slip(lambda a: (1 / math.log(a),), "one-over-the-logarithm", "this is one over the logarithm",
              "How steep is the logarithm at 1, where it is 0?"),
        _Slip(lambda a: (1 / (a * math.log(10)),), "wrong-logarithm", "this is the slope of the logarithm to base 10",
              "Which logarithm is `np.log`?"),
        _Slip(lambda a: (1 / (a * math.log(2)),), "wrong-logarithm", "this is the slope of the logarithm to base 2",
              "Which logarithm is `np.log`?"),
        _Slip(lambda a: (-1 / a**2,), "derivative-twice", "the derivative was taken twice", "Does the logarithm rise "
              "or fall?"),
        _Slip(lambda a: (1 / a**2,), "derivative-twice", "there is a square too much: as if the derivative were taken "
              "twice", "How steep is the logarithm at 2?"),
        _Slip(lambda a: (1 / (a + 1),), "one-added", "1 is added to the value: the slope of log(1 + a)",
              "How steep is the logarithm at 1?"),
        _Slip(lambda a: (math.exp(a),), "inverse-function", "this is an exponential", "Does the logarithm get steeper "
              "to the right, or flatter?"),
    ),
    "tanh": (
        _Slip(lambda a: (1 - a * a,), "input-for-output", "1 − t² is taken with the value itself, where t is the tanh "
              "of it", "At a = 2 the curve is nearly flat. What does your slope give there?"),
        _Slip(lambda a: (1 - math.tanh(a),), "square-missing", "the square is missing", "Is the curve steeper at −1 "
              "than at +1?"),
        _Slip(lambda a: (math.tanh(a) * (1 - math.tanh(a)),), "slope-of-the-sigmoid", "this is the slope of the "
              "sigmoid's kind: t (1 − t)", "How steep is the tanh at 0?"),
        _Slip(lambda a: (1 + math.tanh(a) ** 2,), "sign-of-square", "there is a plus where a minus belongs",
              "Where is the tanh flat: at 0, or far away from it?"),
        _Slip(lambda a: (1 / math.cosh(a),), "square-missing", "the square is missing", "How steep is the tanh at 1?"),
        _Slip(lambda a: (math.tanh(a),), *_FORWARD),
        _Slip(lambda a: ((1 - math.tanh(a)) ** 2,), "square-of-the-whole", "the square is taken of the whole "
              "difference", "Is the curve steeper at −1 than at +1?"),
        _Slip(lambda a: (1 - math.tanh(math.tanh(a)) ** 2,), "tanh-twice", "the tanh is taken twice",
              "Is the value that you get already a tanh?"),
        _Slip(lambda a: (math.tanh(a) ** 2 - 1,), *_SIGN),
        _Slip(lambda a: (1 / (1 + a * a),), "other-function", "this is the slope of the arctangent",
              "How steep is the tanh at 2?"),
        _Slip(lambda a: (math.exp(-a) / (1 + math.exp(-a)) ** 2,), "slope-of-the-sigmoid", "this is the slope of the "
              "sigmoid", "How steep is the tanh at 0?"),
        _Slip(lambda a: (1 - math.tan(a) ** 2,), "other-function", "a tangent stands where the hyperbolic one belongs",
              "Look at your imports: `tan`, or `tanh`?"),
    ),
    "relu": (
        _Slip(lambda a: (max(a, 0.0),), *_FORWARD),
        _Slip(lambda a: (1.0,), "slope-1", "the slope is always 1", "How steep is max(a, 0) at a = −1?"),
        _Slip(lambda a: (float(a < 0),), "inverted", "the slope is 1 where the value is negative",
              "Where is max(a, 0) flat?"),
        _Slip(lambda a: (float(np.sign(a)),), "sign-for-step", "the slope is −1 for negative values",
              "How steep is max(a, 0) at a = −1?"),
        _Slip(lambda a: (1.0 if a > 0 else 0.01,), "leaky", "the slope for negative values is 0.01: that is a leaky "
              "ReLU", "How steep is max(a, 0) at a = −1?"),
        _Slip(lambda a: (a,), "input-returned", "the value itself is returned", "How steep is max(a, 0) at a = 3: is "
              "it 3?"),
        _Slip(lambda a: (0.0,), "all-zeros", "the slope is always 0", "How steep is max(a, 0) at a = 3?"),
    ),
}  # fmt: skip


def _common_slips(op: str) -> Iterator[_Slip]:
    """What may be wrong with any operation."""
    step = "Put in numbers: nudge a value by 0.01 and see how far the result moves."

    def right(*values):
        return backprop.local_grads(op, *values)

    yield _Slip(lambda *values: [-slope for slope in right(*values)], *_SIGN)
    yield _Slip(lambda *values: right(*values)[::-1], *_SWAPPED)
    yield _Slip(lambda *values: [1 / slope for slope in right(*values)], *_INVERSE)
    for factor in (2.0, 0.5):
        words = f"the slopes are {factor:g} times what they should be"
        yield _Slip(lambda *values, c=factor: [c * slope for slope in right(*values)], "constant-factor", words, step)
    yield _Slip(lambda *values: [0.0 for _ in values], "all-zeros", "the slopes are 0", step)
    yield _Slip(lambda *values: [1.0 for _ in values], "slope-1", "the slopes are always 1", step)
    yield _Slip(lambda *values: values, "input-returned", "the values themselves are returned", step)
    yield _Slip(
        lambda *values: [slope * value for slope, value in zip(right(*values), values, strict=True)],
        "multiplied-by-value",
        "the slope is multiplied by the value",
        "A local slope knows nothing of what comes before or after. Which factor does not belong?",
    )
    for other in _SLIPS:
        if other != op and _VALUES[other] == _VALUES[op]:
            yield _Slip(
                lambda *values, o=other: backprop.local_grads(o, *values),
                "other-operation",
                f"these are the slopes of `{other}`",
                f"Which branch of your function does {op!r} take?",
            )


_VALUES = {"add": 2, "mul": 2, "pow": 2, "exp": 1, "log": 1, "tanh": 1, "relu": 1}  # that each operation takes


def _wrong_slopes(f: Callable, cases: list[Case]) -> Iterator[tuple[Case, tuple, tuple]]:
    """Case, the learner's slopes and the right ones, for each operation that is wrong."""
    for case in cases:
        outcome = call(local_grads.adapted(f), case.args)
        if outcome.error is None:
            right = local_grads.right(case.args)
            if not all(same(a, r) for a, r in zip(outcome.value, right, strict=True)):
                yield case, outcome.value, right


def _why_not_local(f: Callable) -> Finding | None:
    """What was written for the operations that are wrong: one thing for all of them, or for each another one."""
    wrong = list(_wrong_slopes(f, _local_cases(np.random.default_rng(0))))
    if not wrong:
        return None
    what = "`da` is not right."
    if all(same(a, r, 1e-2) for _, mine, right in wrong for a, r in zip(mine, right, strict=True)):
        likely = (
            "the slopes are right to a few digits: they are rounded, found by a difference, or a small constant is "
        )
        step = "Is there an exact formula? Is there a constant in your code that the derivation does not have?"
        return Finding(what, "approximate", f"{likely}added for safety.", step)
    if len(wrong) > 1:
        for slips in zip(*(_common_slips(case.name) for case, _, _ in wrong), strict=False):
            alike = len({slip.likely for slip in slips}) == 1
            if alike and all(_fits(slip, case, mine) for slip, (case, mine, _) in zip(slips, wrong, strict=True)):
                listed = listing([f"`{case.name}`" for case, _, _ in wrong])
                return Finding(what, slips[0].cause, f"{listed}: {slips[0].likely}.", slips[0].next_step)
    found = [(case.name, *_what_was_written(case, mine, right)) for case, mine, right in wrong]
    by_words: dict[str, list[str]] = {}
    for op, _, words, _ in found:
        by_words.setdefault(words, []).append(f"`{op}`")
    likely = "; ".join(f"{listing(ops)}: {words}" for words, ops in by_words.items()) + "."
    return Finding(what, found[0][1], likely, found[0][3])


def _what_was_written(case: Case, mine: tuple, right: tuple) -> tuple[str, str, str]:
    """For one operation: cause, likely cause in words, and next step."""
    op = case.name
    slips = [*_SLIPS[op], *_common_slips(op)]
    for slip in slips:
        if _fits(slip, case, mine):
            return slip[1:]
    bad = [k for k in range(len(mine)) if not same(mine[k], right[k])]
    found = [next((slip for slip in slips if _fits(slip, case, mine, k)), None) for k in bad]
    if all(found) and len(mine) > 1:
        return found[0].cause, "; ".join(slip.likely for slip in found), found[0].next_step
    return "wrong-slope", _where_wrong(case, mine, right), _BY_HAND


def _fits(slip: _Slip, case: Case, mine: tuple, k: int | None = None) -> bool:
    """Whether a slip gives the learner's slopes, or only the k-th, at all places."""
    theirs = [np.array(column) for column in zip(*(_safe(slip.slopes, v) for v in case.args[1]), strict=True)]
    pairs = list(zip(mine, theirs, strict=True))
    return all(_same_or_undefined(a, t) for a, t in (pairs if k is None else pairs[k : k + 1]))


def _same_or_undefined(a: np.ndarray, t: np.ndarray) -> bool:
    finite = np.isfinite(t)
    return bool(np.array_equal(finite, np.isfinite(a)) and finite.any() and same(a[finite], t[finite]))


_BY_HAND = "Draw the curve of the operation, and read its slope at the place of the table off the drawing."


def _where_wrong(case: Case, mine: tuple, right: tuple) -> str:
    """Which slope is wrong, or for which values."""
    good = [same(a, r) for a, r in zip(mine, right, strict=True)]
    if len(good) == 2:
        which = (
            "neither slope is right" if not any(good) else "the slope in the {} value is not right; the other one is"
        )
        return which.format("first" if good[1] else "second")
    fine = [same(mine[0][k : k + 1], right[0][k : k + 1]) for k in range(len(right[0]))]
    negative = [v < 0 for (v,) in case.args[1]]
    if fine == [not n for n in negative]:
        return "the slope is wrong for negative values, and right for positive ones"
    return (
        "the slope is wrong for positive values, and right for negative ones"
        if fine == negative
        else "the slope is wrong"
    )


def _told_of_slopes(f: Callable, cases: list[Case], findings: list[Finding]) -> list[Finding]:
    """One place for each operation that is wrong."""
    of_values = [finding for finding in findings if local_grads.speaks_of_values(finding)]
    wrong = list(_wrong_slopes(f, cases))
    if not of_values or not wrong:
        return findings
    rows = []
    for case, mine, right in wrong:
        op, places = case.args
        bad = [not all(same(a[k : k + 1], r[k : k + 1]) for a, r in zip(mine, right, strict=True))
               for k in range(len(places))]  # fmt: skip
        k = bad.index(True)
        pairs = [_two_numbers(float(a[k]), float(r[k])) for a, r in zip(mine, right, strict=True)]
        rows.append((_expression(op, places[k]), *(f"({', '.join(column)})" for column in zip(*pairs, strict=True))))
    names = listing([f"`{case.name}`" for case, _, _ in wrong])
    what = (
        f"The slopes of {names} are not right. Some places:" if len(wrong) > 1 else f"The slopes of {names} are wrong:"
    )
    table = (("operation", "should be", "yours"), *((name, r, a) for name, a, r in rows))
    explained = _why_not_local(f)
    if explained is None or explained.cause == "wrong-slope":
        explained = of_values[0]  # the ladder may have found more
        explained = replace(explained, next_step=explained.next_step.split(" (`d")[0])
    return [replace(explained, what=what, table=table), *(other for other in findings if other not in of_values)]


local_grads = InWords(
    "local_grads",
    CHAPTER,
    4,
    "local_grads(op, *values)",
    ("da", "db"),
    reference=backprop.local_grads,
    make_cases=_local_cases,
    oracle=lambda slopes, op, places: local_grads.right((op, places)),
    adapt=_at_several_places,
    explain=_why_not_local,
    retell=_told_of_slopes,
    formula="add 1, 1; mul b, a; pow b·a^(b−1), a^b·ln a; exp eᵃ; log 1/a; tanh 1 − tanh²a; relu 1 if a > 0 else 0",
)


@local_grads.wheat
def table_of_functions(op, *values):
    table = {
        "add": lambda a, b: (1, 1),
        "mul": lambda a, b: (b, a),
        "pow": lambda a, b: (b * a ** (b - 1), math.log(a) * a**b),
        "exp": lambda a: (math.exp(a),),
        "log": lambda a: (1.0 / a,),
        "tanh": lambda a: (1.0 / math.cosh(a) ** 2,),
        "relu": lambda a: (a > 0,),
    }
    return table[op](*values)


@local_grads.wheat
def numpy_scalars_in_lists(op, *values):
    a, b = np.float64(values[0]), np.float64(values[-1])
    if op == "add":
        return [np.float64(1), np.float64(1)]
    if op == "mul":
        return [b, a]
    if op == "pow":
        return [np.power(a, b) * b / a, np.power(a, b) * np.log(a)]
    if op == "exp":
        return [np.exp(a)]
    if op == "log":
        return [np.reciprocal(a)]
    if op == "tanh":
        return [1 - np.tanh(a) ** 2]
    return [np.heaviside(a, 0.5)]


@local_grads.wheat
def arrays(op, *values):
    x = np.array(values)
    if op == "add":
        return np.ones_like(x)
    if op == "mul":
        return x[::-1]
    if op == "pow":
        return x[0] ** x[1] * np.array([x[1] / x[0], np.log(x[0])])
    slope = {
        "exp": np.exp,
        "log": lambda x: x**-1,
        "tanh": lambda x: np.cosh(x) ** -2,
        "relu": lambda x: 1.0 * (x >= 0),
    }
    return slope[op](x)


@local_grads.wheat
def from_the_output(op, *values):
    if op == "add":
        return 1, 1
    if op == "mul":
        return values[::-1]
    a = values[0]
    if op == "pow":
        z = math.exp(values[1] * math.log(a))
        return values[1] * z / a, z * math.log(a)
    if op == "relu":
        return (int(max(a, 0.0) > 0),)
    if op == "log":
        return (math.exp(-math.log(a)),)
    z = getattr(math, op)(a)
    return (z if op == "exp" else (1 - z) * (1 + z),)


@local_grads.wheat
def by_match(op, *values):
    match op:
        case "add":
            return tuple(1.0 for _ in values)
        case "mul":
            return values[1], values[0]
        case "pow":
            base, exponent = values
            return exponent * pow(base, exponent - 1), pow(base, exponent) * np.log(base)
        case "relu":
            return (0.0,) if values[0] < 0 else (1.0,)
    (x,) = values
    return ({"exp": np.exp(x), "log": 1 / x if x else 0.0, "tanh": 1 - np.tanh(x) ** 2}[op],)


@local_grads.wheat
def by_complex_steps(op, *values):
    h = 1e-30
    functions = {
        "add": lambda a, b: a + b,
        "mul": lambda a, b: a * b,
        "pow": lambda a, b: np.exp(b * np.log(a)),
        "exp": np.exp,
        "log": np.log,
        "tanh": np.tanh,
        "relu": lambda a: a if a.real > 0 else 0 * a,
    }
    return tuple(
        float(np.imag(functions[op](*(complex(v, h * (i == j)) for j, v in enumerate(values)))) / h)
        for i in range(len(values))
    )


def _local(op, slip):
    """Right slopes but for one operation."""

    def function(wanted, *values):
        return tuple(slip(*values)) if wanted == op else backprop.local_grads(wanted, *values)

    return function


_COMMON = {"pow": 7, "tanh": 5, "exp": 3, "log": 4, "relu": 4, "mul": 2, "add": 3}  # slips of each operation

for _op, _slip in ((op, slip) for op, count in _COMMON.items() for slip in _SLIPS[op][:count]):
    local_grads.chaff(_slip.cause, f"`{_op}`: {_slip.likely}.", _slip.next_step)(_local(_op, _slip.slopes))


@local_grads.chaff(
    "not-a-tuple",
    "for operations of one value a number is returned, not a tuple with one number in it.",
    "How is a tuple with one thing in it written? `(x)` is just x.",
)
def _(op, *values):
    slopes = backprop.local_grads(op, *values)
    return slopes if len(slopes) > 1 else slopes[0]


@local_grads.chaff(
    "value-not-slope",
    "the results of the operations are returned, not their slopes.",
    "Which question does a slope answer, and which one a value?",
)
def _(op, *values):
    a, b = values[0], values[-1]
    with np.errstate(all="ignore"):
        value = {"add": a + b, "mul": a * b, "pow": np.power(a, b), "exp": np.exp(a), "log": np.log(a),
                 "tanh": np.tanh(a), "relu": max(a, 0.0)}[op]  # fmt: skip
    return (value,) * len(values)


@local_grads.chaff(
    "returned-none",
    "an operation has no branch of its own, so that nothing is returned for it.",
    "Go through the list of operations in the contract: has each its branch, spelled the same way?",
)
def _(op, *values):
    if op != "pow":
        return backprop.local_grads(op, *values)
    return None


# fan_out_slope


def _fan_out_cases():
    import sympy

    return [("", sympy.symbols("a b"))]


def _fan_out_expected(a, b):
    import sympy

    return sympy.exp(a * b) * (1 + a * b)


fan_out_slope = Derivation(
    "fan_out_slope",
    CHAPTER,
    2,
    "fan_out_slope(a, b)",
    _fan_out_cases,
    expected=_fan_out_expected,
    formula="exp(a*b) + a*b*exp(a*b): 1 on the short way times v, and b·v·a on the long way",
)


@fan_out_slope.wheat
def way_by_way(a, b):
    import sympy

    v = sympy.exp(a * b)
    return v + b * v * a


@fan_out_slope.wheat
def backwards_through_the_graph(a, b):
    import sympy

    v = sympy.exp(a * b)
    da, dv = v, a
    du = dv * v
    da += du * b
    return da


@fan_out_slope.wheat
def by_sympy(a, b):
    import sympy

    return sympy.diff(a * sympy.exp(a * b), a)


@fan_out_slope.wheat
def left_to_be_done(a, b):
    import sympy

    return sympy.Derivative(sympy.exp(b * a) * a, a)


@fan_out_slope.wheat
def by_the_logarithm(a, b):
    import sympy

    return a * sympy.exp(a * b) * (1 / a + b)


@fan_out_slope.wheat
def with_a_twin_for_each_use(a, b):
    import sympy

    first, second = sympy.symbols("first second")
    L = first * sympy.exp(second * b)
    return (sympy.diff(L, first) + sympy.diff(L, second)).subs({first: a, second: a})


@fan_out_slope.wheat
def forwards_with_pairs(a, b):
    import sympy

    da, db = 1, 0
    u, du = a * b, da * b + a * db
    v, dv = sympy.E**u, sympy.E**u * du
    return da * v + a * dv


for _cause, _text, _hint, _function in (
    ("one-way-only", "only the short way is counted, on which a goes straight into the last product.",
     "How many arrows leave a in the graph?", lambda a, b, exp: exp(a * b)),
    ("one-way-only", "only the long way is counted, through u and v.",
     "How many arrows leave a in the graph?", lambda a, b, exp: a * b * exp(a * b)),
    ("ways-multiplied", "the two ways are multiplied with each other.",
     "Along one way slopes are multiplied. What happens where two ways meet?",
     lambda a, b, exp: a * b * exp(2 * a * b)),
    ("ways-averaged", "the two ways are averaged; each brings a change of its own.",
     "If each of two ways moves L by 1, how far does L move?", lambda a, b, exp: (1 + a * b) * exp(a * b) / 2),
    ("ways-subtracted", "one way is subtracted from the other.",
     "If a grows, which way on the graph could make L smaller, with a and b positive?",
     lambda a, b, exp: (1 - a * b) * exp(a * b)),
    ("slope-in-b", "this is the slope in the other variable, b.", "Which letter is nudged?",
     lambda a, b, exp: a**2 * exp(a * b)),
    ("first-step-forgotten", "on the long way the slope of the first step, from a to u, is missing.",
     "u = a·b with b = 3: if a goes up by 1, how far does u?", lambda a, b, exp: (1 + a) * exp(a * b)),
    ("last-step-forgotten", "on the long way the slope of the last step, from v to L, is missing.",
     "L = a·v with a = 2: if v goes up by 1, how far does L?", lambda a, b, exp: (1 + b) * exp(a * b)),
    ("middle-step-forgotten", "on the long way the slope of the exponential is missing.",
     "How many steps has the long way, and which slope belongs to each?", lambda a, b, exp: exp(a * b) + a * b),
    ("slopes-added-along-a-way", "along the long way the slopes of the steps are added.",
     "u moves 3 times as far as a, and v twice as far as u: how far does v move?",
     lambda a, b, exp: exp(a * b) + a + exp(a * b) + b),
    ("value-not-slope", "this is L itself, not its slope.",
     "Which question does a slope answer, and which one a value?", lambda a, b, exp: a * exp(a * b)),
    ("power-rule-for-exponent", "the power rule was applied to the exponential: it is for powers of the variable.",
     "Which function is its own derivative?", lambda a, b, exp: exp(a * b) + a * b * (a * b) * exp(a * b - 1)),
    ("way-counted-twice", "the long way is counted twice.", "How many ways lead from a to L? List them, arrow by "
     "arrow.", lambda a, b, exp: (1 + 2 * a * b) * exp(a * b)),
    ("way-counted-twice", "the short way is counted twice.", "How many ways lead from a to L? List them, arrow by "
     "arrow.", lambda a, b, exp: (2 + a * b) * exp(a * b)),
    ("slopes-of-both", "the slope in b was added to the slope in a.", "Which letter is nudged, and which stands still?",
     lambda a, b, exp: (1 + a * b + a**2) * exp(a * b)),
):  # fmt: skip

    def _wrong_derivation(a, b, function=_function):
        import sympy

        return function(a, b, sympy.exp)

    fan_out_slope.chaff(_cause, _text, _hint)(_wrong_derivation)


# fix_backward. The planted bug comes first among the chaffs: an unchanged copy is the likeliest wrong answer.


fix_backward = InWords(
    "fix_backward",
    CHAPTER,
    3,
    "fix_backward(root)",
    ("grad",),
    reference=backprop.backward,
    make_cases=_backward_cases,
    oracle=lambda grad, graph, plan: backward.right((graph, plan)),
    adapt=_as_gradients,
    properties=(_graph_unchanged,),
    explain=_why_not_backward,
    retell=_told_of_gradients,
    partial_credit=False,
    formula="for node in reversed(backprop.topological_order(root)): …",
)


@fix_backward.chaff(
    "unchanged",
    "the planted bug is still there: some node passes its share on before all that is owed to it has come.",
    "Take the graph of the table and a pencil: in which order do nodes leave the queue, and what has each been told by "
    "then?",
)
def _(root):
    flowing = {root: 1.0}
    queue = [root]
    for node in queue:
        for parent, slope in zip(node.parents, node.local_grads, strict=True):
            if parent not in flowing:
                flowing[parent] = 0.0
                queue.append(parent)
            flowing[parent] += slope * flowing[node]
    for node, g in flowing.items():
        node.grad += g


@fix_backward.wheat
def waits_for_all_users(root):
    reports = Counter()
    met = [root]
    for node in met:
        for parent in node.parents:
            if parent not in reports:
                met.append(parent)
            reports[parent] += 1
    flowing = dict.fromkeys(met, 0.0) | {root: 1.0}
    queue = [root]
    for node in queue:
        for parent, slope in zip(node.parents, node.local_grads, strict=True):
            flowing[parent] += slope * flowing[node]
            reports[parent] -= 1
            if reports[parent] == 0:
                queue.append(parent)
    for node, g in flowing.items():
        node.grad += g


@fix_backward.wheat
def passes_on_what_is_new(root):
    order = backprop.topological_order(root)
    if len(order) > 200:
        backprop.backward(root)
        return
    total, news = dict.fromkeys(order, 0.0), {root: 1.0}
    while news:
        later = {}
        for node, g in news.items():
            total[node] += g
            for parent, slope in zip(node.parents, node.local_grads, strict=True):
                later[parent] = later.get(parent, 0.0) + slope * g
        news = later
    for node, g in total.items():
        node.grad += g


fix_backward.wheats += backward.wheats
fix_backward.chaffs += [chaff for chaff in backward.chaffs if chaff.cause != "level-by-level"]


EXERCISES = [fan_out_slope, local_grads, topological_order, backward, fix_backward]
