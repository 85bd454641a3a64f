"""Declarations: errors that help, durations, import paths that are checked without importing."""

import subprocess
import sys
import textwrap
from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from mlops_assets.lifecycle.declaration import Declaration, Duration, expand_env
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.import_paths import ImportPath, check_import_path, load_object


class Inner(Declaration):
    windows: int = 8
    hold_out: int = 1


class Outer(Declaration):
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    delay: Duration = timedelta(days=7)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write modules of a package that is importable, by name."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def write(name, **modules):
        folder = tmp_path / name
        folder.mkdir()
        for module, source in {"__init__": "", **modules}.items():
            (folder / f"{module}.py").write_text(textwrap.dedent(source))
        made.append(name)

    yield write
    for name in [m for m in sys.modules if m.split(".")[0] in made]:
        del sys.modules[name]
    check_import_path.cache_clear()


def errors_of(model, data):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return {error["loc"]: error["msg"] for error in caught.value.errors()}


def test_unknown_keys_are_named_at_their_level_beside_other_errors():
    found = errors_of(
        Outer, {"inner": {"widnows": 4}, "many": [{}, {"windows": "x"}], "zzz": 1, "delay": 3}
    )
    assert found[("inner", "widnows")] == (
        "unknown key 'widnows'; did you mean 'windows'? Known keys: windows, hold_out"
    )
    assert found[("zzz",)] == "unknown key 'zzz'. Known keys: inner, many, delay"
    assert "valid integer" in found[("many", 1, "windows")]
    assert "3 is not a duration" in found[("delay",)]


def test_a_declaration_is_frozen():
    with pytest.raises(ValidationError):
        Inner().windows = 3


@pytest.mark.parametrize(
    ("text", "expected", "spelled"),
    [
        ("7d", timedelta(days=7), "7d"),
        ("12h", timedelta(hours=12), "12h"),
        ("30m", timedelta(minutes=30), "30m"),
        ("90s", timedelta(seconds=90), "90s"),
        ("2w", timedelta(weeks=2), "14d"),
        ("0d", timedelta(0), "0d"),
    ],
)
def test_duration_round_trip(text, expected, spelled):
    adapter = TypeAdapter(Duration)
    assert adapter.validate_python(text) == expected
    assert adapter.dump_python(expected) == spelled
    assert adapter.validate_json(adapter.dump_json(expected)) == expected


@pytest.mark.parametrize(
    "bad", ["7", 7, 1.5, "7 days", "-1d", "1.5h", "", None, "9" * 30 + "w", timedelta(days=-1)]
)
def test_duration_refuses_what_it_would_have_to_guess(bad):
    with pytest.raises(ValidationError, match="duration"):
        TypeAdapter(Duration).validate_python(bad)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("sklaern.ensemble.X", "no package 'sklaern'; did you mean 'sklearn'"),
        ("json.lods", "'json' has no attribute or module 'lods'; did you mean 'loads'"),
        (
            "sklearn.ensemble.HistGradientBoostingClasifier",
            "did you mean 'HistGradientBoostingClassifier'",
        ),
        ("json", "not a dotted path"),
        ("json..loads", "not a dotted path"),
        ("json.loads()", "not a dotted path"),
        ("os.path.jion", "has no attribute or module 'jion'; did you mean 'join'"),
    ],
)
def test_import_path_names_the_part_that_does_not_exist(path, message):
    with pytest.raises(ValidationError, match=message.replace("(", r"\(")):
        TypeAdapter(ImportPath).validate_python(path)


def test_import_path_finds_every_way_to_define_a_name(package):
    package(
        "declared_ways",
        other="",
        module="""
            import json as j
            from os import path
            def function(): ...
            async def coroutine(): ...
            class Class:
                attribute = 1
            one = two = 3
            (a, b) = 1, 2
            typed: int = 4
            if one:
                in_if = 1
            else:
                in_else = 1
            try:
                in_try = 1
            except ImportError:
                in_except = 1
            with open(__file__):
                in_with = 1
            raise SystemError("checking must not run this")
        """,
    )
    names = (
        "j path function coroutine Class one two a b typed in_if in_else in_try in_except in_with"
    )
    for name in names.split():
        assert check_import_path(f"declared_ways.module.{name}")
    assert check_import_path("declared_ways.other")
    assert "declared_ways" not in sys.modules


def test_import_path_does_not_take_what_only_type_checkers_see(package):
    package(
        "typed_only",
        module="""
            from typing import TYPE_CHECKING
            if TYPE_CHECKING:
                from json import loads
            bare: int
        """,
    )
    for name in ("loads", "bare"):
        with pytest.raises(ValueError, match=f"no attribute or module '{name}'"):
            check_import_path(f"typed_only.module.{name}")


def test_import_path_imports_where_names_are_decided_at_run_time(package):
    package(
        "run_time",
        star="from json import *",
        dynamic="""
            def __getattr__(name):
                if name == "made":
                    return 1
                raise AttributeError(name)
        """,
        nested="class Class:\n    attribute = 1\n",
    )
    for path in ("star.loads", "dynamic.made", "nested.Class.attribute"):
        assert check_import_path(f"run_time.{path}")
    for path in ("star.lods", "dynamic.missing", "nested.Class.atribute"):
        with pytest.raises(ValueError, match="has no attribute"):
            check_import_path(f"run_time.{path}")
    assert check_import_path("math.sqrt")


def test_import_path_names_the_line_of_a_syntax_error(package):
    package("broken_source", module="x = 1\ndef f(:\n")
    with pytest.raises(ValueError, match=r"module\.py, line 2"):
        check_import_path("broken_source.module.f")


HEAVY = ["pandas", "pandera", "pyarrow", "sqlalchemy", "sklearn", "dagster"]


def test_heavy_packages_stay_out_of_sys_modules():
    code = f"""
import sys
from pydantic import TypeAdapter
from mlops_assets.lifecycle import contract, import_paths
from mlops_assets.lifecycle.sources import Source
TypeAdapter(import_paths.ImportPath).validate_python(
    "sklearn.ensemble.HistGradientBoostingClassifier")
TypeAdapter(Source).validate_python({{"type": "csv", "path": "x.csv", "rename": {{"a": "b"}}}})
TypeAdapter(Source).validate_python({{"type": "sql", "url": "sqlite://", "query": "select 1"}})
TypeAdapter(contract.Contract).validate_python({{"columns": {{"a": {{"dtype": "float64"}}}}}})
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_load_object():
    import json
    import os.path

    assert load_object("json.loads") is json.loads
    assert load_object("os.path.join") is os.path.join
    assert load_object("json.decoder") is json.decoder


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("load_errors.module.f", "cannot import 'load_errors.module.f': ZeroDivisionError"),
        ("load_errors.needs.f", "No module named 'not_installed_here'"),
        ("load_errors.missing.f", "has no attribute or module 'missing'"),
        ("not_installed_here.f", "no package 'not_installed_here'"),
    ],
)
def test_load_object_names_path_and_cause(package, path, message):
    package("load_errors", module="1 / 0", needs="import not_installed_here")
    with pytest.raises(DeclarationError, match=message) as caught:
        load_object(path)
    assert path in str(caught.value)


def test_expand_env(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "a{{b")
    assert expand_env("x://u:{{ env.DB_PASSWORD }}@h/{{env.DB_PASSWORD}}") == "x://u:a{{b@h/a{{b"
    assert expand_env("plain") == "plain"
    with pytest.raises(DeclarationError, match="'NOT_SET_HERE' is not set"):
        expand_env("{{ env.NOT_SET_HERE }}")
    with pytest.raises(DeclarationError, match=r"secrets\.X"):
        expand_env("{{ secrets.X }}")
