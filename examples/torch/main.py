"""Show which torch is installed, and which one flash-attn was built against."""

import flash_attn
import torch

print(f"torch {torch.__version__}, flash-attn built against {flash_attn.BUILT_AGAINST}")
