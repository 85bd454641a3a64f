"""Templates to pages: everything escaped, nothing from outside, nothing that runs."""

import base64
import hashlib
import io
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import jinja2

from mlops_assets import __version__
from mlops_assets.lifecycle.digits import THIN, digits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110
NOTHING = "none"


def render(template: str, **values: Any) -> str:
    """A page of one of the package's templates, in one file.

    Its policy (``Content-Security-Policy``) lets a browser load nothing and run nothing: even
    markup that came through would do nothing. The one style sheet is named by its hash.
    """
    environment = _environment()
    style = environment.get_template("style.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # The style is the package's own, the only text that is not escaped.
    return environment.get_template(template).render(
        style=jinja2.utils.markupsafe.Markup(style),
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'",
        made_by=f"mlops_assets {__version__}",
        **values,
    )


def picture(figure: "Figure") -> str:
    """A figure as the address of an image that is inside the page."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight")
    return f"data:image/png;base64,{base64.b64encode(drawn.getvalue()).decode()}"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mlops_assets.lifecycle.report_html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name, function in FILTERS.items():
        environment.filters[name] = function
    return environment


def _number(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return digits(value, separator=THIN)
    return f"{value:,}".replace(",", THIN) if isinstance(value, int) else str(value)


def _moment(value: datetime | None) -> str:
    return NOTHING if value is None else f"{value:%Y-%m-%d %H:%M} UTC"


def _share(value: float) -> str:
    return f"{value:.0%}"


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", ": ")


FILTERS: dict[str, Callable[..., str]] = {
    "num": _number,
    "moment": _moment,
    "share": _share,
    "words": _words,
}
