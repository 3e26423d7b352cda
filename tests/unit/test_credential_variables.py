"""Which environment variables a build must not see."""

from __future__ import annotations

import re

import pytest

from pipshim.builds import credential_variables
from tests.support.pipshim import ROOT

WITHHELD = """
PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_PROXY PIP_INDEX
UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL UV_DEFAULT_INDEX UV_INDEX_MINE_USERNAME UV_FIND_LINKS
PIPSHIM_INDEX_MINE_PASSWORD UV_PUBLISH_TOKEN UV_PUBLISH_URL UV_PUBLISH_USERNAME UV_GITHUB_TOKEN
TWINE_USERNAME TWINE_PASSWORD TWINE_REPOSITORY_URL HATCH_INDEX_AUTH HATCH_INDEX_USER
POETRY_PYPI_TOKEN_MINE POETRY_HTTP_BASIC_MINE_PASSWORD POETRY_REPOSITORIES_MINE_URL
PDM_PUBLISH_PASSWORD FLIT_PASSWORD FLIT_INDEX_URL PYPI_TOKEN PYPI_API_TOKEN TEST_PYPI_PASSWORD
MY_PYPI_PASSWORD PYPI_ID_TOKEN ANACONDA_API_TOKEN CODEARTIFACT_AUTH_TOKEN ARTIFACTORY_API_KEY
NETRC CARGO_REGISTRY_TOKEN ACTIONS_ID_TOKEN_REQUEST_TOKEN ACTIONS_ID_TOKEN_REQUEST_URL
twine_password
"""

PASSED = """
PATH HOME USER USERNAME LOGNAME TOKEN PASSWORD GITHUB_TOKEN HF_TOKEN CI_JOB_TOKEN
AWS_SECRET_ACCESS_KEY CARGO_REGISTRIES_MINE_TOKEN NPM_TOKEN SSH_AUTH_SOCK GIT_ASKPASS
HTTPS_PROXY https_proxy NO_PROXY PIP_NO_INPUT PIP_CACHE_DIR UV_CACHE_DIR UV_LINK_MODE CONDA_PREFIX
HATCH_BUILD_HOOKS_ENABLE PDM_BUILD_SCM_VERSION POETRY_DYNAMIC_VERSIONING_BYPASS MAX_JOBS CC CFLAGS
SETUPTOOLS_SCM_PRETEND_VERSION FLASH_ATTENTION_FORCE_BUILD TORCH_CUDA_ARCH_LIST PIPELINE_TOKEN
"""


@pytest.mark.parametrize("name", WITHHELD.split())
def test_credentials_of_indexes_and_publishing_tools_are_withheld(name: str) -> None:
    assert credential_variables.is_credential(name, "value")


@pytest.mark.parametrize("name", PASSED.split())
def test_everything_else_reaches_a_build(name: str) -> None:
    assert not credential_variables.is_credential(name, "value")


def test_a_url_with_credentials_is_withheld_if_the_name_is_that_of_an_index() -> None:
    url = "https://me:secret@example.org/simple"
    assert credential_variables.is_credential("PIPENV_PYPI_MIRROR", url)
    assert not credential_variables.is_credential("PIPENV_PYPI_MIRROR", "https://example.org/@mine")
    assert not credential_variables.is_credential("MY_REPOSITORY", url)


def test_the_documentation_lists_every_word_of_the_rule() -> None:
    text = (ROOT / "docs" / "explanation" / "build-isolation.md").read_text(encoding="utf-8")
    section = text.partition("## What a build sees")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`([A-Z]+)`", section))
    assert documented >= credential_variables.TOOL_WORDS | credential_variables.SECRET_WORDS
