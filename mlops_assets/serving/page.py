"""A page of the OpenAPI document for people; it loads nothing and runs nothing."""

import json
from html import escape
from typing import Any

# The page needs no script, and so allows none.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 14px/1.4 ui-monospace, monospace } h2 { margin-top: 2rem }
pre { background: #f4f4f4; color: #222; padding: .75rem; overflow-x: auto }
summary { cursor: pointer; padding: .25rem 0 } b { display: inline-block; min-width: 3.5rem }
"""


def render(document: dict[str, Any]) -> str:
    """The document as one HTML page."""
    groups: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method in ("get", "post"):
            if method in item:
                group = (item[method].get("tags") or ["The server"])[0]
                groups.setdefault(group, []).append(_operation(path, method, item[method]))
    sections = "".join(f"<h2>{escape(g)}</h2>{''.join(found)}" for g, found in groups.items())
    info = document["info"]
    schemas = escape(json.dumps(document["components"]["schemas"], indent=1))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{escape(info['description'])} "
        "For programs: <a href=/openapi.json>openapi.json</a>.</p>"
        f"{sections}<h2>Forms</h2><details><summary>All schemas</summary><pre>{schemas}</pre>"
        "</details></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [
        f"<p>{code}: {escape(reply['description'])}</p>"
        for code, reply in operation["responses"].items()
    ]
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        parts.insert(0, f"<pre>{escape(json.dumps(schema, indent=1))}</pre>")
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code> "
        f"{escape(operation['summary'])}</summary>{''.join(parts)}</details>"
    )
