"""Declaring a contract: in YAML or by the path of a Pandera schema."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from mlops_assets.lifecycle.declaration import Declaration, did_you_mean
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.import_paths import ImportPath, load_object

if TYPE_CHECKING:
    from pandera.pandas import Column, DataFrameSchema

_DTYPES = {
    *(f"{kind}{bits}" for kind in ("int", "uint", "Int", "UInt") for bits in (8, 16, 32, 64)),
    *("float16", "float32", "float64", "Float32", "Float64", "int", "float", "bool", "boolean"),
    *("str", "string", "object", "category", "datetime64[ns]", "datetime64[ns, UTC]"),
    *("datetime64[us]", "datetime64[us, UTC]"),
    "timedelta64[ns]",
}


def _known_dtype(name: str) -> str:
    if name not in _DTYPES:
        near = did_you_mean(name, sorted(_DTYPES))
        raise ValueError(f"unknown dtype {name!r}{near} Known: {', '.join(sorted(_DTYPES))}")
    return name


Bound = Annotated[float, Field(allow_inf_nan=False)]


class ColumnContract(Declaration):
    """What one column must be. Bounds do not apply to nulls, which ``nullable`` is about.

    Parameters
    ----------
    dtype : str
        A pandas type, like ``float64``, ``Int64``, ``str`` or ``datetime64[us, UTC]``.
    nullable, unique : bool
    ge, gt, le, lt : float or None
    isin : list or None
        The only values allowed.
    """

    dtype: Annotated[str, AfterValidator(_known_dtype)]
    nullable: bool = False
    unique: bool = False
    ge: Bound | None = None
    gt: Bound | None = None
    le: Bound | None = None
    lt: Bound | None = None
    isin: list[Any] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _can_hold(self) -> "ColumnContract":
        if self.ge is not None and self.gt is not None:
            raise ValueError("declare one of 'ge' and 'gt'")
        if self.le is not None and self.lt is not None:
            raise ValueError("declare one of 'le' and 'lt'")
        low = self.ge if self.gt is None else self.gt
        high = self.le if self.lt is None else self.lt
        if low is None or high is None:
            return self
        if low > high or (low == high and (self.gt is not None or self.lt is not None)):
            raise ValueError(f"no value is both above {low:g} and below {high:g}")
        return self


class InlineContract(Declaration):
    """A contract written in YAML.

    Parameters
    ----------
    columns : dict of str to ColumnContract
    unique : list of str
        Columns that together occur once: the dataset's key.
    strict : bool
        Refuse columns that are not declared.
    """

    columns: dict[str, ColumnContract] = Field(min_length=1)
    unique: list[str] = Field(default_factory=list)
    strict: bool = False

    @model_validator(mode="after")
    def _unique_columns_exist(self) -> "InlineContract":
        for name in self.unique:
            if name not in self.columns:
                near = did_you_mean(name, self.columns)
                raise ValueError(f"'unique' names {name!r}, which is not in 'columns'{near}")
        return self


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "path"
    return "inline" if isinstance(value, (dict, InlineContract)) else None


_Declared = Annotated[
    Annotated[ImportPath, Tag("path")] | Annotated[InlineContract, Tag("inline")],
    Discriminator(
        _kind,
        custom_error_type="contract",
        custom_error_message="a contract is the dotted path of a Pandera schema, or a mapping "
        "with 'columns'",
    ),
]
Contract = _Declared | None


def to_schema(contract: "str | InlineContract | None") -> "DataFrameSchema":
    """The Pandera schema of a contract; of None, one that allows everything.

    Raises
    ------
    DeclarationError
        When the path names no schema, or one that drops invalid rows: it could never fail.
    """
    import pandera.pandas as pa

    if contract is None:
        return pa.DataFrameSchema()
    if isinstance(contract, InlineContract):
        return _inline_schema(contract)
    schema = load_object(contract)
    if isinstance(schema, type) and issubclass(schema, pa.DataFrameModel):
        schema = schema.to_schema()
    if not isinstance(schema, pa.DataFrameSchema):
        raise DeclarationError(f"{contract!r} is not a pandera DataFrameModel or DataFrameSchema")
    if schema.drop_invalid_rows:
        raise DeclarationError(f"{contract!r} drops invalid rows; a contract must report them")
    return schema


def _inline_schema(contract: InlineContract) -> "DataFrameSchema":
    import pandera.pandas as pa

    columns = {
        name: pa.Column(
            column.dtype,
            checks=[
                getattr(pa.Check, kind)(getattr(column, kind))
                for kind in ("ge", "gt", "le", "lt", "isin")
                if getattr(column, kind) is not None
            ],
            nullable=column.nullable,
            unique=column.unique,
        )
        for name, column in contract.columns.items()
    }
    return pa.DataFrameSchema(columns, unique=contract.unique or None, strict=contract.strict)


def describe(contract: "str | InlineContract | None") -> list[dict[str, str]]:
    """A contract as a table: rows of ``column``, ``dtype`` and ``checks``.

    What holds for several columns together stands in a last row, for column ``*``.
    """
    schema = to_schema(contract)
    rows = [
        {"column": str(name), "dtype": str(column.dtype or "any"), "checks": _describe(column)}
        for name, column in schema.columns.items()
    ]
    together = [_check_name(check) for check in schema.checks]
    if schema.unique:
        together.append(f"unique together: {', '.join(schema.unique)}")
    if schema.strict:
        together.append("no other columns")
    if together:
        rows.append({"column": "*", "dtype": "", "checks": "; ".join(together)})
    return rows


def _describe(column: "Column") -> str:
    checks = [] if column.nullable else ["not null"]
    if column.unique:
        checks.append("unique")
    if not column.required:
        checks.append("optional")
    return "; ".join(checks + [_check_name(check) for check in column.checks])


def _check_name(check: Any) -> str:
    return str(check.error or check.name)
