"""Build plans: damaged and hostile ones are refused, each with the reason."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from pipshim.base.errors import PlanError
from pipshim.model.plan_file import read_plan

if TYPE_CHECKING:
    from collections.abc import Callable

HASH = "0" * 64


def file(name: str) -> dict[str, Any]:
    return {"name": name, "url": f"https://files.example/{name}", "hashes": {"sha256": HASH}}


def build(name: str, *environment: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"{name}==1.0",
        "name": name,
        "version": "1.0",
        "source": {"name": name, "version": "1.0", "sdist": file(f"{name}-1.0.tar.gz")},
        "mode": "isolated",
        "chosen_by": "default",
        "requirements": ["lib"],
        "environment": list(environment),
        "config_settings": {"key": ["a", "b"]},
        "variables": {"CC": "gcc"},
        "reads": ["TORCH_CUDA_ARCH_LIST"],
        "cores": 2,
        "memory": None,
        "combination": "",
    }


WHEEL = {"name": "lib", "version": "2.0", "wheels": [file("lib-2.0-py3-none-any.whl")]}
PLAN: dict[str, Any] = {
    "schema": 1,
    "pipshim": "0.1.0",
    "python": "cpython 3.11",
    "python_abi": "cp311",
    "platform": "linux x86_64",
    "tools": {},
    "variables": {},
    "own_variables": {"CUDA_HOME": "0123", "LDFLAGS": None},
    "constraints": [],
    "record_variables": [],
    "ignore_variables": [],
    "rebuild": "auto",
    "abi": {"lib": "minor"},
    "builds": [build("app", WHEEL, {"build": "tool==1.0"}), build("tool")],
    "left_out": [{"name": "demo", "version": None, "reason": "it is built from its folder"}],
}


def test_a_plan_is_written_as_it_was_read_with_what_is_needed_first() -> None:
    plan = read_plan(json.dumps(PLAN).encode(), "plan.json")
    assert [one.id for one in plan.builds] == ["tool==1.0", "app==1.0"]
    again = json.loads(plan.write())
    assert again == {**PLAN, "builds": PLAN["builds"][::-1]}
    assert [one.id for one in plan.part(["tool==1.0"]).builds] == ["tool==1.0"]
    assert len(plan.part(["app==1.0"]).builds) == 2


def at(*keys: Any, value: Any) -> Callable[[Any], None]:
    """Return what replaces, or removes, a value of a plan."""

    def change(plan: Any) -> None:
        for key in keys[:-1]:
            plan = plan[key]
        if value is KeyError:
            del plan[keys[-1]]
        else:
            plan[keys[-1]] = value

    return change


URL = ("builds", 0, "source", "sdist", "url")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (at("schema", value=2), "has schema 2; this pipshim reads schema 1"),
        (at("schema", value="1"), "schema must be 1"),
        (at("builds", value={}), "builds must be an array"),
        (at("builds", 0, value=1), r"builds\[0\] must be a table"),
        (at("builds", 0, "memory", value=True), r"builds\[0\].memory must be a whole number"),
        (at("builds", 0, "cores", value=-1), r"builds\[0\].cores must be a whole number"),
        (at("builds", 0, "mode", value="fast"), "mode must be one of isolated, matched"),
        (at("builds", 0, "mode", value=KeyError), r"builds\[0\] has no 'mode'"),
        (
            at("builds", 0, "modes", value=1),
            r"unknown key 'modes' in builds\[0\]; did you mean 'mode'",
        ),
        (at("builds", 0, "name", value="../x"), "name is not a valid name: '../x'"),
        (at("builds", 0, "name", value="App"), "must be normalised: 'app'"),
        (at("builds", 0, "name", value="other"), "source is not that of 'app==1.0'"),
        (at("builds", 0, "version", value="1.1"), "source is not that of 'app==1.0'"),
        (at("builds", 0, "variables", value={"A=B": ""}), "invalid name of a variable: 'A=B'"),
        (at("builds", 0, "variables", value={"A": "\0"}), "variables.A has an invalid character"),
        (at("builds", 0, "chosen_by", value="\ud800"), "chosen_by has an invalid character"),
        (at("builds", 0, "requirements", value=[1]), r"requirements\[0\] must be a string"),
        (
            at("builds", 0, "config_settings", value={"a": 1}),
            "config_settings.a must be a string or an array",
        ),
        (at("builds", 1, value=build("app")), "has 'app==1.0' twice"),
        (at("builds", 1, value=build("else")), "which needs 'tool==1.0': missing"),
        (
            at("builds", 1, "environment", value=[{"build": "app==1.0"}]),
            r"builds wait for each other: (app==1.0 -> tool==1.0 -> app|tool==1.0 -> app==1.0)",
        ),
        (at("builds", 0, "environment", 0, value=build("x")["source"]), "must have a wheel"),
        (at("builds", 0, "environment", 0, value=5), "is not a package as in pylock.toml"),
        (at("builds", 0, "source", value=WHEEL), "must have an sdist, an archive or a commit"),
        (at("builds", 0, "source", "sdist", "url", value=3), "is not a package as in pylock"),
        (at(*URL, value="file:///etc/passwd"), "has no URL that other machines can fetch"),
        (at(*URL, value="https://[/x-1.0.tar.gz"), "has no URL that other machines can fetch"),
        (
            at("builds", 0, "source", "sdist", "hashes", value={"sha256": "00"}),
            "has a file without a sha256 hash",
        ),
        (
            at("builds", 0, "source", "sdist", "hashes", value={"md5": "00"}),
            "has a file without a sha256 hash",
        ),
        (
            at("builds", 0, "source", value={"name": "app", "directory": {"path": "."}}),
            "source is a folder|must have an sdist",
        ),
        (
            at(
                *("builds", 0, "source"),
                value={
                    "name": "app",
                    "archive": {
                        "url": "https://files.example/app.zip",
                        "hashes": {"sha256": HASH},
                        "subdirectory": "../../etc",
                    },
                },
            ),
            "has an invalid subdirectory",
        ),
        (
            at(
                *("builds", 0, "source"),
                value={
                    "name": "app",
                    "vcs": {"type": "git", "url": "https://x/y", "commit-id": "--upload-pack=x"},
                },
            ),
            "has no commit of a git repository",
        ),
        (
            at("builds", 0, "environment", 0, "wheels", 0, "name", value="../../x.whl"),
            "is not a package as in pylock.toml",
        ),
        (
            at("builds", 0, "environment", 0, "version", value="3.0"),
            "Version in .* is not consistent",
        ),
        (at("abi", value={"lib": "patch"}), "abi.lib must be one of exact, micro, minor, major"),
        (at("rebuild", value="always"), "rebuild must be an array"),
        (at("platform", value=None), "platform must be a string"),
    ],
)
def test_a_damaged_plan_is_refused(change: Callable[[Any], None], said: str) -> None:
    plan = copy.deepcopy(PLAN)
    change(plan)
    with pytest.raises(PlanError, match=said):
        read_plan(json.dumps(plan).encode(), "plan.json")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "invalid JSON"),
        (b"\xff\xfe{", "invalid JSON"),
        (b"{} {}", "invalid JSON: Extra data"),
        (b"[" * 100_000, "invalid JSON"),
        (b"<html>", "invalid JSON"),
        (b"[]", "is not a build plan"),
        (b'{"builds": []}', "is not a build plan"),
        (b'{"schema": 1, "schema": NaN}', "schema must be 1"),
    ],
)
def test_what_is_no_plan_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        read_plan(data, "plan.json")
