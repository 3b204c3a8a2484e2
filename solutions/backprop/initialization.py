"""Where the weights start, as in chapter 8."""

import numpy as np


def he_init(fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
    """Random weights ``(fan_in, fan_out)`` with mean 0 and variance ``2 / fan_in``, for a layer before a ReLU.

    A ReLU passes on half of the mean square that it gets; the 2 makes up for it, so that signals keep their
    size from layer to layer.

    Source: He et al. 2015.
    """
    return rng.standard_normal((fan_in, fan_out)) * np.sqrt(2 / fan_in)
