from __future__ import annotations

import pytest
from packaging.utils import NormalizedName

from pipshim.model.build_mode import IsolationLayer, Mode, ModeChoice, choose

NATTEN = NormalizedName("natten")
TORCH = NormalizedName("torch")

COMMAND_LINE = "command line"


def layer(
    source: str, *packages: NormalizedName, no_build_isolation: bool | None = None
) -> IsolationLayer:
    return IsolationLayer(source, no_build_isolation, frozenset(packages))


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        pytest.param([], ModeChoice(Mode.ISOLATED, "default"), id="nothing said"),
        pytest.param(
            [layer(COMMAND_LINE), layer("pip.conf")],
            ModeChoice(Mode.ISOLATED, "default"),
            id="layers that say nothing",
        ),
        pytest.param(
            [layer("pyproject.toml", NATTEN)],
            ModeChoice(Mode.NO_ISOLATION, "pyproject.toml"),
            id="its name",
        ),
        pytest.param(
            [layer("pyproject.toml", TORCH)],
            ModeChoice(Mode.ISOLATED, "default"),
            id="another's name",
        ),
        pytest.param(
            [layer("pip.conf", no_build_isolation=True)],
            ModeChoice(Mode.NO_ISOLATION, "pip.conf"),
            id="all",
        ),
        pytest.param(
            [layer(COMMAND_LINE, NATTEN, no_build_isolation=False)],
            ModeChoice(Mode.NO_ISOLATION, COMMAND_LINE),
            id="its name wins in a layer",
        ),
        pytest.param(
            [
                layer(COMMAND_LINE, no_build_isolation=False),
                layer("pyproject.toml", NATTEN),
                layer("pip.conf", no_build_isolation=True),
            ],
            ModeChoice(Mode.ISOLATED, COMMAND_LINE),
            id="isolation asked for stops the look-up",
        ),
        pytest.param(
            [
                layer("PIP_NO_BUILD_ISOLATION", no_build_isolation=True),
                layer("pyproject.toml", TORCH, no_build_isolation=False),
            ],
            ModeChoice(Mode.NO_ISOLATION, "PIP_NO_BUILD_ISOLATION"),
            id="the first that says something",
        ),
        pytest.param(
            [layer(COMMAND_LINE, TORCH), layer("pyproject.toml", NATTEN)],
            ModeChoice(Mode.NO_ISOLATION, "pyproject.toml"),
            id="a layer about another is ignored",
        ),
    ],
)
def test_choose(layers: list[IsolationLayer], expected: ModeChoice) -> None:
    assert choose(NATTEN, layers) == expected


def test_words_of_the_output() -> None:
    assert [f"{mode}" for mode in Mode] == ["isolated", "matched", "no-isolation"]
