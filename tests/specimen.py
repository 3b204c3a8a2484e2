"""What several tests share: where things are, and a small chapter that keeps every rule."""

from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "solutions").glob("[0-9][0-9]-*.md"))

# Its two exercises are real ones, so that `check` knows them; the chapter is not.
SPECIMEN = '''\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A specimen

Prose with inline `{code}` and a [link](99-specimen.md).

```python
not_a_cell = True
```

$$y = 2x \\tag{99.1}$$

+++

As (99.1) says, $f(99.7) = 2$.

```{code-cell} ipython3
import matplotlib.pyplot as plt
import numpy as np
from autograder import check
from backprop.plotting import show
```

```{code-cell} ipython3
fig, ax = plt.subplots()
ax.plot([0, 1])
show(fig, "A straight line that rises from zero to one.")
```

### Exercise: `mse`

```{code-cell} ipython3
---
nbgrader:
  grade: false
  grade_id: mse-answer
  locked: false
  schema_version: 3
  solution: true
  task: false
---
def mse(Y_hat, Y):
    """Mean over all elements."""
    ### BEGIN SOLUTION
    return float(np.mean((Y_hat - Y) ** 2))
    ### END SOLUTION
```

```{code-cell} ipython3
---
nbgrader:
  grade: true
  grade_id: mse
  locked: true
  points: 2
  schema_version: 3
  solution: false
  task: false
---
check(mse)
```

```{code-cell} ipython3
---
nbgrader:
  grade: false
  grade_id: linear_backward-answer
  locked: false
  schema_version: 3
  solution: true
  task: false
---
def linear_backward(dZ, X, W):
    """Gradients (dX, dW, db) of Z = X @ W + b."""
    ### BEGIN SOLUTION
    return dZ @ W.T, X.T @ dZ, dZ.sum(axis=0)
    ### END SOLUTION
```

```{code-cell} ipython3
---
nbgrader:
  grade: true
  grade_id: linear_backward
  locked: true
  points: 6
  schema_version: 3
  solution: false
  task: false
---
check(linear_backward)
```
'''

CONTRACTS = {
    "mse": SimpleNamespace(name="mse", chapter="99-specimen", points=2.0),
    "linear_backward": SimpleNamespace(name="linear_backward", chapter="99-specimen", points=6.0),
}
