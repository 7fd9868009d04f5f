"""Where a person paints who corrects a mask."""

import numpy as np
from scipy.ndimage import distance_transform_edt


def spots_on(wrong, brush, most):
    """Rows and columns of dabs that cover what is wrong and little else: the middle of the widest error first.

    Args:
        wrong: H×W bool.
        brush: about the width in pixels of a dab.
        most: of dabs.
    """
    left = wrong.copy()
    rows, columns = np.indices(wrong.shape)
    for _ in range(most):
        depth = distance_transform_edt(left)
        row, column = map(int, np.unravel_index(depth.argmax(), depth.shape))
        if depth[row, column] <= 1:
            return
        yield row, column
        left &= (rows - row) ** 2 + (columns - column) ** 2 > brush**2
