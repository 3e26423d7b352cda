"""How far apart are two histograms? pyemd's answer, from C++ that was compiled on this machine."""

import numpy as np
from pyemd import emd

first = np.array([0.0, 1.0])
second = np.array([5.0, 3.0])
distances = np.array([[0.0, 0.5], [0.5, 0.0]])

print(f"numpy {np.__version__}: the histograms are {emd(first, second, distances)} apart")
