from __future__ import annotations
from typing import NamedTuple
class Change(NamedTuple):
    kind: str; name: str; old: str|None; new: str|None; reason: str|None; source: str|None
def summarize(changes, **kw): return "\n".join(map(str, changes)) + f"\n{kw}\n"
def summarize_lock(changes, **kw): return "\n".join(map(str, changes)) + f"\n{kw}\n"
