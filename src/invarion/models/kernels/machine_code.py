"""LLVM code to machine code, kept on disk so that a processor compiles each kernel once."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm

_MARK = b"invarion kernel 1\n"


class MachineCode:
    """A loaded module; its functions may be called as long as this lives.

    Args:
        key: names the code to be compiled, for this processor and compiler; other code must have another key.
        write: returns the LLVM code; called only where the cache does not hold its machine code.
    """

    def __init__(self, key: str, write: Callable[[], str]) -> None:
        target = _target()
        image = _stored(key)
        if image is None:
            image = _compiled(write(), target)
            _store(key, image)
        compiler = llvm.create_lljit_compiler(target, use_jit_link=False, suppress_errors=False)
        library = llvm.JITLibraryBuilder().add_object_img(image).export_symbol("kernel")
        self._library = library.link(compiler, f"invarion_{key}")
        self._compiler = compiler

    @property
    def kernel(self) -> int:
        """Address of the function `kernel`."""
        return self._library["kernel"]


def fingerprint(*parts: str) -> str:
    """A key that changes with the parts, the processor and the version of the compiler."""
    features = llvm.get_host_cpu_features().flatten()
    text = "\n".join((*parts, llvm.get_host_cpu_name(), features, llvmlite.__version__))
    return hashlib.sha256(text.encode()).hexdigest()


def cache_folder() -> Path:
    """Where machine code is kept: $INVARION_CACHE_DIR, or `invarion` in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("INVARION_CACHE_DIR") or Path(home) / "invarion")


def _target() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    return llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=2, reloc="pic")


def _compiled(text: str, target: Any) -> bytes:
    """Object code; the text is written as it should run, so no pass over it is needed."""
    module = llvm.parse_assembly(text)
    module.verify()
    return target.emit_object(module)


def _stored(key: str) -> bytes | None:
    """The object of this key, unless it is absent, unreadable or damaged (loading such a one would end the process)."""
    try:
        content = (cache_folder() / f"{key}.o").read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None
    seal, image = content[: len(_MARK) + 32], content[len(_MARK) + 32 :]
    return image if seal == _MARK + hashlib.sha256(image).digest() else None


def _store(key: str, image: bytes) -> None:
    """Keep an object for the next process; where the folder cannot be written, each process compiles anew."""
    with suppress(OSError, RuntimeError):
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder)
        with open(handle, "wb") as file:
            file.write(_MARK + hashlib.sha256(image).digest() + image)
        os.replace(name, folder / f"{key}.o")
