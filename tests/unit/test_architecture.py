"""The shape of the package: imports run one way, the root is lazy, and the habits of the code hold."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "invarion"
MODULES = sorted(SOURCE.rglob("*.py"))
FLOORS = [
    {"exceptions"},
    {"files"},
    {"units", "graphs", "geometry", "placement"},
    {"neighbors", "invariants"},
    {"data"},
    {"potential"},
    {"models"},
    {"checkpoint"},
    {"committees"},
    {"engines"},
    {"evaluation"},
    {"training"},
    {"configuration", "doctor"},
    {"cli"},
]
FORBIDDEN = {"engines": {"training", "evaluation", "data"}}
HEAVY = {
    "sklearn": ("engines/sklearn.py", "engines/sklearn_kernels.py"),
    "numba": ("models/kernels/", "models/ace/loops.py", "models/ace/edge_loops.py"),
    "dask": (),
    "distributed": (),
    "hippynn": (),
    "lightning": ("training/",),
    "matplotlib": ("evaluation/", "invariants/drawing.py"),
}
"""Packages that may be absent or are slow to import, and the files that may import them at their top."""


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"invarion.{alias.name}" for alias in node.names}
            found |= names if node.module == "invarion" else {node.module}
    return found


def floor(name: str) -> int:
    found = [number for number, rooms in enumerate(FLOORS) if name in rooms]
    return found[0] if found else pytest.fail(f"{name} is the package root or a room without a floor")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_downwards(path):
    if path == SOURCE / "__init__.py":
        return
    here = room(path)
    for name in imports(path):
        if name == "invarion":
            pytest.fail("imports the package root from inside")
        if name.startswith("invarion."):
            there = name.split(".")[1]
            assert there == here or floor(there) < floor(here), name
            assert there not in FORBIDDEN.get(here, set()), name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_habits(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: assert vanishes under -O; raise instead"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and room(path) != "cli":
            assert node.func.id != "print", f"line {node.lineno}: only the command line prints"
        assert not isinstance(node, ast.Global), f"line {node.lineno}: module-level state"
    for node in tree.body:
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            names = [t.id for t in getattr(node, "targets", [getattr(node, "target", None)]) if isinstance(t, ast.Name)]
            mutable = isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp)
            assert names == ["__all__"] or not mutable, f"line {node.lineno}: mutable module-level state"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_heavy_packages_stay_in_their_files(path):
    name = str(path.relative_to(SOURCE))
    for node in ast.parse(path.read_text()).body:
        for module in [a.name for a in getattr(node, "names", [])] + [getattr(node, "module", None) or ""]:
            package = module.split(".")[0]
            if isinstance(node, ast.Import | ast.ImportFrom) and package in HEAVY:
                assert name.startswith(HEAVY[package] or ("nowhere",)), f"line {node.lineno} imports {package}"


def modules_after(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import invarion", "import invarion.invariants"])
def test_light_imports(statement):
    heavy = {"torch", "vesin", "ase.io", "lightning", "matplotlib", "numba", "sklearn"}
    assert not heavy & modules_after(statement)


@pytest.mark.parametrize("model", ["hip_hop_nn", "ace"])
def test_a_first_prediction_loads_no_compiler(tmp_path, model):
    # torch's own, and sympy with it, take two seconds; the others some tenths of a second each
    import invarion

    sizes = (
        {"n_features": 4, "n_interactions": 1}
        if model == "hip_hop_nn"
        else {"n_radial": 2, "max_rank": 1, "readout": "mlp"}
    )
    potential = invarion.Potential(getattr(invarion, model)(cutoff=3.0, zbl=True, **sizes), [1])
    invarion.save(potential, tmp_path / "model.inv")
    statement = f"""import invarion; from ase import Atoms
potential = invarion.load({str(tmp_path / "model.inv")!r})
potential.predict(Atoms("H2", [(0, 0, 0), (0, 0, 1)]))"""
    heavy = {"torch._dynamo", "torch._inductor", "sympy", "scipy.spatial", "lightning", "matplotlib", "sklearn"}
    assert not heavy & modules_after(statement)


def test_every_public_name_exists():
    import invarion

    for name in invarion.__all__:
        assert getattr(invarion, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        invarion.nonsense  # noqa: B018 - the attribute error is the point
