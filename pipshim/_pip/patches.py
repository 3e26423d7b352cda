"""Every attribute of pip, and of its libraries, that pipshim replaces.

`replace`, `replaced` and `override` are the only ways to replace one, and refuse what the table
does not name. ``tests/unit/test_patches.py`` compares each with the source of the running pip.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Patch(NamedTuple):
    """An attribute of pip: ``module:name`` or ``module:Class.name``, without the leading ``pip.``.

    Its parameters are None if it is not a function that is defined there.
    """

    target: str
    parameters: str | None


_PATCHED = {
    # For as long as the process lives
    "_internal.models.link:Link": {
        "from_json(cls, file_data, page_url)": "notes file sizes (PEP 700), for locks",
    },
    "_vendor.urllib3.util.connection": {
        "create_connection(address, timeout, source_address, socket_options)": (
            "notes connections, to shut them when the command is interrupted"
        ),
    },
    "_internal.utils.temp_dir:TempDirectory": {
        "_create(self, kind)": "notes folders, to remove them if a second signal ends the command",
    },
    "_internal.resolution.resolvelib.resolver": {
        "RLResolver": "costs as much as what changes: half the time of 3,000 packages, and 500 MB",
        "PipReporter": "tells of pins and rejected candidates; the resolver makes it itself",
    },
    "_vendor.packaging.markers": {
        "default_environment()": "is the target's, not that of the Python that runs pip",
    },
    "_internal.network.download:Downloader": {
        "__call__(self, link, location)": (
            "asks again for a file of unknown size that broke off, and names a full disk"
        ),
        "_process_response(self, download, resp)": (
            "resumes a file that was cut (pip 26.1 resumes only what stalled); reports progress"
        ),
    },
    "_internal.utils.unpacking": {
        "current_umask()": "is read without being set, since other threads make files meanwhile",
    },
    "_internal.cli.main_parser": {
        "create_main_parser()": "knows --project, and pipshim's version",
        "get_prog": "is pipshim's name in the usage",
    },
    "_internal.cli.autocompletion": {"create_main_parser": "completes --project"},
    "_internal.utils.misc": {
        "get_prog()": "is pipshim's name in usage, hints and completion scripts",
    },
    "_internal.cli.base_command": {"get_prog": "is pipshim's name in the usage of commands"},
    "_internal.commands": {
        "commands_dict": "has pipshim's commands too, and its variants of pip's",
    },
    # While one command runs
    "_internal.operations.prepare": {
        "make_distribution_for_install_requirement": "pipshim supplies the metadata of sources",
    },
    "_internal.commands.install": {"build": "pipshim builds the wheels"},
    "_internal.commands.wheel": {"build": "pipshim builds the wheels"},
    "_internal.operations.install.wheel": {
        "get_csv_rows_for_installed(old_csv_rows, installed, changed, generated, lib_dir)": (
            "hashes files that the wheel's RECORD has no hash of"
        ),
    },
    "_internal.req.req_file": {
        "build_parser()": "has pipshim's build options",
        "handle_line(line, options, finder, session)": (
            "notes build options; refuses them beside a requirement, where pip passes over them"
        ),
    },
    "_internal.network.session": {
        "user_agent()": "is found out in a thread, and set with the first request",
    },
    # Of one object, or in a subclass
    "_vendor.resolvelib.resolvers.resolution:Resolution": {
        "_is_current_pin_satisfying(self, name, criterion)": (
            "remembers answers for the same pin and requirements"
        ),
        "_get_updated_criteria(self, candidate)": (
            "notes what a pin changes, without a copy of all criteria"
        ),
        "_add_to_criteria(self, criteria, requirement, parent)": (
            "looks for candidates once for requirements of the same text"
        ),
        "_remove_information_from_criteria(self, criteria, parents)": "leaves what does not change",
        "_push_new_state(self)": "makes the copies of states share what they have in common",
        "_get_preference(self, name)": "remembers answers for the same requirements",
    },
    "_internal.network.session:PipSession": {
        "request(self, method, url, *args, **kwargs)": (
            "sets the User-Agent, which is known by then"
        ),
        "_trusted_host_adapter": "answers from the cache when offline; pip may mount it later",
    },
    "_vendor.requests.sessions:Session": {
        "send(self, request, **kwargs)": (
            "asks again for answers that break off, and follows redirects to their end"
        ),
    },
    "_internal.network.auth:MultiDomainBasicAuth": {
        "passwords": "is a dictionary that tells which credentials have to be masked",
        "_prompt_for_password(self, netloc)": "asks once for several threads; hides the progress",
        "_should_save_password_to_keyring(self)": "hides the progress display meanwhile",
        "use_keyring(self)": "asks keyring although the user cannot be asked",
    },
    "_vendor.cachecontrol.adapter:CacheControlAdapter": {
        "build_response(self, request, response, from_cache, cacheable_methods)": (
            "does not write a body to a file on its way if it is not kept"
        ),
    },
    "_vendor.truststore._api:SSLContext": {
        "_ctx": "reads each file of certificates once, and not for each connection",
    },
    "_internal.operations.prepare:RequirementPreparer": {
        "_download": "reports downloads, and answers what was fetched ahead",
        "_fetch_metadata_using_link_data_attr(self, req)": (
            "answers metadata files that were fetched ahead or kept"
        ),
        "prepare_linked_requirement(self, req, parallel_builds)": (
            "names a wheel whose METADATA cannot be read"
        ),
        "prepare_linked_requirements_more(self, reqs, parallel_builds)": (
            "takes wheels that were downloaded for build environments"
        ),
    },
    "_internal.req.req_install:InstallRequirement": {
        "install": "is undone if a later build fails; builds what is built last",
        "uninstall(self, auto_confirm, verbose)": (
            "keeps what it removes until everything is installed"
        ),
        "supports_pyproject_editable": "is known to be false when pip is to say so",
    },
    "_internal.index.package_finder:LinkEvaluator": {
        "_uploaded_prior_to": "differs by index and package",
    },
    "_internal.models.target_python:TargetPython": {
        "_valid_tags": "are those of the target",
        "_valid_tags_set": "are those of the target",
    },
    "_internal.resolution.resolvelib.candidates:_InstallRequirementBackedCandidate": {
        "dist": "is asked of the metadata again, which only the backend knows at last",
        "_name": "is asked of the metadata again, which only the backend knows at last",
        "_version": "is asked of the metadata again, which only the backend knows at last",
    },
    "_internal.network.download:_FileDownload": {"write_chunk(self, data)": "reports progress"},
    "_internal.cli.parser:ConfigOptionParser": {
        "config": "is one setting alone, to know where it is stated",
    },
    "_internal.cli.base_command:Command": {
        "parser": "is a ProjectParser, made by pip as its own class",
        "_run_wrapper(self, level_number, options, args)": "shows errors of pipshim in its own way",
    },
    "_internal.index.package_finder:PackageFinder": {
        "_log_skipped_link(self, link, result, detail)": (
            "notes why files may not be used, to explain conflicts"
        ),
    },
    "_internal.cli.req_command:RequirementCommand": {
        "_build_package_finder(self, options, session, target_python, ignore_requires_python)": (
            "looks packages up in the indexes that a project names for them"
        ),
    },
}
"""By module or class, without the leading ``pip.``: each attribute, and what its replacement does.

A function that is defined there has its parameters. A name that is not here cannot be replaced.
"""

PATCHES = tuple(
    Patch(
        f"{owner}{'.' if ':' in owner else ':'}{name}",
        parameters.removesuffix(")") if given else None,
    )
    for owner, attributes in _PATCHED.items()
    for name, given, parameters in (attribute.partition("(") for attribute in attributes)
)
_TARGETS = frozenset(patch.target for patch in PATCHES)


def replace(owner: ModuleType | type, **values: Any) -> None:
    """Replace attributes of a module or class of pip's for the life of the process."""
    for name, value in values.items():
        _check(owner, name)
        setattr(owner, name, value)


@contextmanager
def replaced(module: ModuleType, **values: Any) -> Iterator[None]:
    """Replace attributes of a module of pip's for a while."""
    before = {name: getattr(module, name) for name in values}
    replace(module, **values)
    try:
        yield
    finally:
        replace(module, **before)


def override(instance: object, **values: Any) -> None:
    """Replace attributes of one object of pip's."""
    kind: type = type(instance)
    for name, value in values.items():
        _check(kind, name)
        setattr(instance, name, value)


def become(instance: object, kind: type) -> None:
    """Change the class of an object of pip's to a subclass."""
    assert issubclass(kind, type(instance))
    instance.__class__ = kind


@cache
def _check(owner: ModuleType | type, name: str) -> None:
    """Check that the table has an attribute of a module, or of a class or its bases.

    Raises:
        AssertionError: it has not.

    """
    if isinstance(owner, ModuleType):
        targets = {f"{owner.__name__}:{name}"}
    else:
        targets = {f"{base.__module__}:{base.__qualname__}.{name}" for base in owner.__mro__}
    if _TARGETS.isdisjoint(target.removeprefix("pip.") for target in targets):
        raise AssertionError(f"pipshim._pip.patches does not list {sorted(targets)}")
