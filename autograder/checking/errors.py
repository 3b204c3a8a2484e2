"""What an exception in a learner's function says, in the learner's words: a cause, and what to look at next."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from autograder.checking.score import Finding
from autograder.checking.structure import named_arrays

if TYPE_CHECKING:
    from autograder.checking.exercise import Exercise, Record


def error_text(error: BaseException) -> str:
    """The first line of what an exception says; an exception of a learner's own may fail even at that.

    Without what TensorFlow and Keras wrap around it: where it happened, colours, names of nodes of the graph.
    """
    try:
        text = re.sub(r"\x1b\[[\d;]*m|\{\{.*?\}\}|\[Op:\w+\] name:", "", str(error))
    except Exception:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        del lines[0]
    return lines[0] if lines else ""


def raised(exercise: Exercise, record: Record, where: str) -> Finding:
    """The finding for a case in which the learner's function raised; ``where`` names the cases."""
    error = record.call.error
    text = error_text(error)
    what = f"In {where} your function raised `{type(error).__name__}{': ' + text if text else ''}`"
    what += f" at {record.call.where}." if record.call.where else "."
    if isinstance(error, TypeError) and "argument" in what and not record.call.where:
        return Finding(what, "wrong-signature", next_step=f"Its signature must be `{exercise.signature}`.")
    if isinstance(error, NameError) and not isinstance(error, UnboundLocalError):
        known = difflib.get_close_matches(getattr(error, "name", "") or "", exercise.parameters, 1)
        hint = f"Did you mean `{known[0]}`?" if known else "Is that name defined inside the function, or imported?"
        return Finding(what, "name-error", next_step=hint)
    shapes = ", ".join(
        f"`{name}` {a.shape}"
        for name, a in named_arrays(record.case.args, exercise.parameters)
        if a.dtype.kind != "U" and a.ndim
    )
    there = f" The shapes there were: {shapes}." if shapes else ""
    if (fit := _shapes_that_do_not_fit(text)) is not None:
        return Finding(what, "shapes-do-not-fit", fit, f"Write the shape of each array beside the line.{there}")
    for kind, pattern, cause, likely, step in _KINDS:
        if isinstance(error, kind) and re.search(pattern, text):
            return Finding(what, cause, likely, step)
    step = "Run that line by itself, part by part" if record.call.where else "Call your function yourself"
    return Finding(what, "raised", next_step=f"{step}, on a small input.{there}")


_KINDS: list[tuple[type | tuple[type, ...], str, str, str, str]] = [
    (RecursionError, "", "recursion", "the function calls itself without end.", "What ends the recursion?"),
    (
        UnboundLocalError,
        "",
        "unset-variable",
        "the variable is used before it has a value: the line that sets it comes later, or stands in a loop or an `if` "
        "that was passed over.",
        "Which line gives it its first value, and is that line always run before?",
    ),
    (TypeError, "xor|for \\^", "power-sign", "`^` is not the power in Python.", "Write `x**2`."),
    (
        TypeError,
        "only (length-1|0-dimensional)|only integer scalar",
        "one-number-expected",
        "a function or an index that takes a single number got a whole array (`math.exp`, `float(…)`, `range(…)`).",
        "Use NumPy's function, which works on arrays; or loop over the entries.",
    ),
    (
        TypeError,
        "not callable",
        "called-no-function",
        "parentheses stand where an index or a product belongs: `a(…)` calls, `a[…]` picks, `a * (…)` multiplies.",
        "What is the thing before the parentheses: a function, an array, a number?",
    ),
    (
        TypeError,
        "not subscriptable|not iterable|unpack",
        "no-container",
        "something that is one number, None or a function is treated as an array, a tuple or a list.",
        "Print that thing and its type just before the line.",
    ),
    (
        TypeError,
        "NoneType",
        "none-used",
        "something is None there: a function without `return`, or a method that works in place, such as `list.sort`.",
        "Print what each name holds before that line. Which one is None?",
    ),
    (
        (ValueError, TypeError),
        "unpack",
        "wrong-count",
        "a tuple is taken apart into another number of names than it has parts.",
        "Print the right-hand side: how many parts has it?",
    ),
    (
        ValueError,
        "math domain",
        "outside-the-domain",
        "a logarithm or a root was taken of a number that has none. Perhaps it is that of the wrong number.",
        "Print that number. Can it be 0 or negative here, and is it the one that you meant?",
    ),
    (
        IndexError,
        "too many indices",
        "too-few-axes",
        "that array has fewer axes than the index has parts: its shape is another one than your code expects.",
        "Print its shape, and the index. What should happen if the shape is not the expected one?",
    ),
    (
        (IndexError, ValueError),
        "axis \\d+ is out of bounds",
        "no-such-axis",
        "the array has fewer axes there than this line expects: it had one less all along, or an earlier sum without "
        "`keepdims=True` removed one.",
        "Print the array's shape just before that line. Which axes has it, counted from 0?",
    ),
    (
        IndexError,
        "",
        "index-out-of-range",
        "an index runs past the end of an axis: an index for another axis, labels counted from 1, or one step too far.",
        "Print the index and the shape just before the line. Indices run from 0 to n − 1.",
    ),
    (KeyError, "", "missing-key", "there is no such key in the dict.", "Print its keys: `print(list(d))`."),
    (
        AttributeError,
        "",
        "no-such-attribute",
        "the thing before the dot is of another type than expected, or the name after it is mistyped.",
        "Print `type(…)` of what stands before the dot.",
    ),
    (
        ZeroDivisionError,
        "",
        "division-by-zero",
        "something is divided by 0: an argument that may be 0, an empty loop's count, a norm.",
        "Which inputs of this case make the denominator 0?",
    ),
    (
        OverflowError,
        "",
        "overflow",
        "an exponential of a large number, with Python's own `math`.",
        "Can the same thing be written so that only numbers up to 0 are exponentiated?",
    ),
    (
        Exception,
        "expected to be a \\w+ tensor but is|same dtype|conversion requested .* tensor with dtype",
        "precisions-mixed",
        "a float32 tensor meets a float64 one, or integers meet floats: neither PyTorch nor TensorFlow converts all of "
        "them by itself.",
        "Print the dtype of either side of that line. Which of the two was made without being told its dtype?",
    ),
    (
        Exception,
        "not in (the )?list of allowed values",
        "dtype-not-taken",
        "a function got floats where it takes whole numbers only, or the other way round.",
        "Print the dtype of each argument in that line, and look up which ones the function takes.",
    ),
    (
        RuntimeError,
        "non-persistent GradientTape",
        "persistent-tape-needed",
        "`tape.gradient` is called more than once on a tape that forgets after the first time.",
        "Should each round have a tape of its own? Or may one call give all gradients?",
    ),
    (
        RuntimeError,
        "Boolean value of Tensor",
        "truth-of-a-tensor",
        "an `if`, `and` or `not` asks for the truth of a whole tensor.",
        "For None ask `… is None`; for numbers, `.any()` or `.all()` of a comparison.",
    ),
    (
        Exception,
        "singleton tf.Variable|create variables on the first call",
        "variables-made-again",
        "a variable is made in every call. Inside `tf.function` that may happen once only; a new optimizer or a new "
        "layer makes variables, too.",
        "Which line makes something that should live longer than one call?",
    ),
    (
        NotImplementedError,
        "^$",
        "method-missing",
        "the library calls a method that your class does not have, or has under another name.",
        "Which methods must such a class have? Compare their names letter by letter.",
    ),
    (AssertionError, "", "own-assertion", "an `assert` of your own failed.", "What does it say, and is it right here?"),
    (
        ValueError,
        "axis|ambiguous",
        "wrong-axis-or-truth",
        "an axis that the array does not have, or an `if` that asks for the truth of a whole array.",
        "Print the array's shape there. For a condition per entry use `np.where` or a mask.",
    ),
]


def _shapes_that_do_not_fit(text: str) -> str | None:
    """What a message about shapes means: of NumPy, of PyTorch, or of TensorFlow."""
    if re.search(r"matmul|not aligned|core dimension|cannot be multiplied|Matrix size-incompatible", text):
        return (
            "the factors of a matrix product do not fit: one is not transposed, they stand in the wrong order, or "
            "another array was taken."
        )
    if "cannot reshape" in text:
        return "`reshape` only arranges the same entries anew, and here there are more or fewer of them than fit."
    if "inhomogeneous" in text:
        return (
            "a NumPy function got a list of arrays of different shapes, and wanted to make one array of them. Take "
            "them one by one."
        )
    not_alike = (
        "broadcast|einstein sum|shape mismatch|concatenation axis|reshape|Incompatible shapes|must match the size"
    )
    if not re.search(not_alike, text):
        return None
    if pair := re.search(r"(?:shapes? \(|shapes: \[)([\d,]+)[)\]](?: vs\.)? [(\[]([\d,]+)[)\]]", text):
        first, second = (tuple(int(n) for n in shape.split(",") if n) for shape in pair.groups())
        for long, short in ((first, second), (second, first)):
            if len(long) == len(short) + 1 and any(long[:i] + long[i + 1 :] == short for i in range(len(long))):
                return (
                    f"`{short}` lacks an axis of `{long}`: a sum, mean or maximum without `keepdims=True`, or a vector "
                    "that should be a column."
                )
        if first[::-1] == second:
            return "one of the two arrays is the transpose of what it should be."
    return "two arrays whose shapes do not fit are combined entry by entry."
