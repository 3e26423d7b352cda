"""Every attribute of pip, and of its libraries, that pipshim replaces.

`replace`, `replaced` and `override` are the only ways to replace one, and refuse what `PATCHES`
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
    """An attribute of pip, and what pipshim relies on when it replaces it.

    Attributes:
        target: ``module:name`` or ``module:Class.name``, without the leading ``pip.``.
        why: what pipshim needs that pip has no option or argument for.
        parameters: those of the original, if it is a function that is defined there.
        since: the first supported pip that has it so.

    """

    target: str
    why: str
    parameters: str | None = None
    since: str = "26.1"


PATCHES = (
    # For as long as the process lives
    Patch(
        "_internal.models.link:Link.from_json",
        "notes the size of a file (PEP 700), which a lock states",
        "cls file_data page_url",
    ),
    Patch(
        "_vendor.urllib3.util.connection:create_connection",
        "notes connections, to shut them when the command is interrupted",
        "address timeout source_address socket_options",
    ),
    Patch(
        "_internal.utils.temp_dir:TempDirectory._create",
        "notes temporary folders, to remove them if a second signal ends the command",
        "self kind",
    ),
    Patch(
        "_internal.resolution.resolvelib.resolver:RLResolver",
        "its rounds cost as much as what they change: half the time of 3,000 packages, and 500 MB",
    ),
    Patch(
        "_vendor.resolvelib.resolvers.resolution:Resolution._is_current_pin_satisfying",
        "remembers answers for the same pin and requirements",
        "self name criterion",
    ),
    Patch(
        "_vendor.resolvelib.resolvers.resolution:Resolution._get_updated_criteria",
        "notes what a pin changes, without a copy of all criteria",
        "self candidate",
    ),
    Patch(
        "_vendor.resolvelib.resolvers.resolution:Resolution._add_to_criteria",
        "looks for candidates once for requirements of the same text",
        "self criteria requirement parent",
    ),
    Patch(
        "_vendor.resolvelib.resolvers.resolution:Resolution._remove_information_from_criteria",
        "leaves what does not change",
        "self criteria parents",
    ),
    Patch(
        "_vendor.resolvelib.resolvers.resolution:Resolution._push_new_state",
        "makes the copies of states share what they have in common",
        "self",
    ),
    Patch(
        "_vendor.resolvelib.resolvers.resolution:Resolution._get_preference",
        "remembers answers for the same requirements",
        "self name",
    ),
    Patch(
        "_internal.resolution.resolvelib.resolver:PipReporter",
        "tells of pins and of rejected candidates; the resolver makes its reporter itself",
    ),
    Patch(
        "_vendor.packaging.markers:default_environment",
        "markers are evaluated for the target, not for the Python that runs pip",
        "",
    ),
    Patch(
        "_internal.network.download:Downloader.__call__",
        "asks again for a file of unknown size that broke off, and names a full disk",
        "self link location",
    ),
    Patch(
        "_internal.network.download:Downloader._process_response",
        "resumes a file that was cut (pip 26.1 resumes only what stalled); reports progress",
        "self download resp",
    ),
    Patch(
        "_internal.utils.unpacking:current_umask",
        "is read without being set, since other threads make files meanwhile",
        "",
    ),
    Patch(
        "_internal.cli.main_parser:create_main_parser", "knows --project, and pipshim's version", ""
    ),
    Patch("_internal.cli.autocompletion:create_main_parser", "completes --project"),
    Patch(
        "_internal.utils.misc:get_prog",
        "is pipshim's name in usage, hints and completion scripts",
        "",
    ),
    Patch("_internal.cli.base_command:get_prog", "is pipshim's name in the usage of commands"),
    Patch("_internal.cli.main_parser:get_prog", "is pipshim's name in the usage"),
    Patch(
        "_internal.commands:commands_dict", "has pipshim's commands too, and its variants of pip's"
    ),
    # While one command runs
    Patch(
        "_internal.operations.prepare:make_distribution_for_install_requirement",
        "pipshim supplies the metadata of sources",
    ),
    Patch("_internal.commands.install:build", "pipshim builds the wheels"),
    Patch("_internal.commands.wheel:build", "pipshim builds the wheels"),
    Patch(
        "_internal.operations.install.wheel:get_csv_rows_for_installed",
        "hashes files that the wheel's RECORD has no hash of",
        "old_csv_rows installed changed generated lib_dir",
    ),
    Patch("_internal.req.req_file:build_parser", "has pipshim's build options", ""),
    Patch(
        "_internal.req.req_file:handle_line",
        "notes build options; refuses them beside a requirement, where pip passes over them",
        "line options finder session",
    ),
    Patch(
        "_internal.network.session:user_agent",
        "is found out in a thread, and set with the first request",
        "",
    ),
    # Of one object
    Patch(
        "_internal.network.session:PipSession.request",
        "sets the User-Agent, which is known by then",
        "self method url *args **kwargs",
    ),
    Patch(
        "_vendor.requests.sessions:Session.send",
        "asks again for answers that break off, and follows redirects to their end",
        "self request **kwargs",
    ),
    Patch(
        "_internal.network.session:PipSession._trusted_host_adapter",
        "answers from the cache when offline; it is mounted for hosts that are trusted later",
    ),
    Patch(
        "_internal.network.auth:MultiDomainBasicAuth.passwords",
        "is a dictionary that tells which credentials have to be masked",
    ),
    Patch(
        "_internal.network.auth:MultiDomainBasicAuth._prompt_for_password",
        "hides the progress display meanwhile, and asks once for several threads",
        "self netloc",
    ),
    Patch(
        "_internal.network.auth:MultiDomainBasicAuth._should_save_password_to_keyring",
        "hides the progress display meanwhile",
        "self",
    ),
    Patch(
        "_internal.network.auth:MultiDomainBasicAuth.use_keyring",
        "asks keyring although the user cannot be asked",
        "self",
    ),
    Patch(
        "_vendor.cachecontrol.adapter:CacheControlAdapter.build_response",
        "does not write a body to a file on its way if it is not kept",
        "self request response from_cache cacheable_methods",
    ),
    Patch(
        "_vendor.truststore._api:SSLContext._ctx",
        "reads each file of certificates once, and not for each connection",
    ),
    Patch(
        "_internal.operations.prepare:RequirementPreparer._download",
        "reports downloads, and answers what was fetched ahead",
    ),
    Patch(
        "_internal.operations.prepare:RequirementPreparer._fetch_metadata_using_link_data_attr",
        "answers metadata files that were fetched ahead or kept",
        "self req",
    ),
    Patch(
        "_internal.operations.prepare:RequirementPreparer.prepare_linked_requirement",
        "names a wheel whose METADATA cannot be read",
        "self req parallel_builds",
    ),
    Patch(
        "_internal.operations.prepare:RequirementPreparer.prepare_linked_requirements_more",
        "takes wheels that were downloaded for build environments",
        "self reqs parallel_builds",
    ),
    Patch(
        "_internal.req.req_install:InstallRequirement.install",
        "is undone if a later build fails; builds first what needs the environment itself",
    ),
    Patch(
        "_internal.req.req_install:InstallRequirement.uninstall",
        "keeps what it removes until everything is installed",
        "self auto_confirm verbose",
    ),
    Patch(
        "_internal.req.req_install:InstallRequirement.supports_pyproject_editable",
        "is known to be false when pip is to say so",
    ),
    Patch(
        "_internal.index.package_finder:LinkEvaluator._uploaded_prior_to",
        "differs by index and package",
    ),
    *(
        Patch(f"_internal.models.target_python:TargetPython.{name}", "are those of the target")
        for name in ("_valid_tags", "_valid_tags_set")
    ),
    *(
        Patch(
            f"_internal.resolution.resolvelib.candidates:_InstallRequirementBackedCandidate.{name}",
            "is asked of the metadata again, which only the backend knows at last",
        )
        for name in ("dist", "_name", "_version")
    ),
    Patch("_internal.network.download:_FileDownload.write_chunk", "reports progress", "self data"),
    Patch(
        "_internal.cli.parser:ConfigOptionParser.config",
        "is one setting alone, to know where it is stated",
    ),
    Patch(
        "_internal.cli.base_command:Command.parser",
        "is a ProjectParser, made by pip as its own class",
    ),
    # Private methods that subclasses override
    Patch(
        "_internal.index.package_finder:PackageFinder._log_skipped_link",
        "notes why files may not be used, to explain conflicts",
        "self link result detail",
    ),
    Patch(
        "_internal.cli.req_command:RequirementCommand._build_package_finder",
        "looks packages up in the indexes that a project names for them",
        "self options session target_python ignore_requires_python",
    ),
    Patch(
        "_internal.cli.base_command:Command._run_wrapper",
        "shows errors of pipshim in its own way",
        "self level_number options args",
    ),
)
"""All of them; a name that is not here cannot be replaced."""

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
