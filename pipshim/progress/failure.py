from __future__ import annotations
def render(error, *, width, color):
    out = f"error: {error}"
    if getattr(error, "output", None): out += "\n" + "\n".join(error.output)
    if error.hint: out += f"\nhint: {error.hint}"
    return out + "\n"
