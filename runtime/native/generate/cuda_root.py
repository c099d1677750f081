"""Prints the folder of the CUDA packages of this environment, for CMake; nothing where none is."""

import sys
from pathlib import Path

for entry in sys.path:
    folder = Path(entry) / "nvidia" / "cu13"
    if (folder / "include" / "cuda.h").is_file():
        print(folder)
        break
