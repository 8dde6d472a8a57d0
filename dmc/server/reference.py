"""An OpenAPI document as one page for people: no script, nothing from elsewhere, its one style named by digest in the policy. Pure."""

import base64
import hashlib
import json
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 0; overflow-wrap: anywhere; }
h2 b { display: inline-block; min-width: 4.5rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
table { border-collapse: collapse; }
td { padding: .15rem .75rem .15rem 0; vertical-align: top; }
"""

POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def render(document: dict[str, Any]) -> str:
    """The page, as HTML."""
    calls = [_call(method, path, operation) for path, methods in document["paths"].items() for method, operation in sorted(methods.items())]
    schemas = [_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    title = f"{document['info']['title']} {document['info']['version']}: the API"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p>{escape(document['info']['summary'])} A program reads this as "
        f'<a href="v1/openapi.json">openapi.json</a>. Every call but those marked open wants <code>Authorization: Bearer TOKEN</code>.</p>'
        f"<main>{''.join(calls)}</main><h1>Shapes</h1>{''.join(schemas)}</body></html>"
    )


def _call(method: str, path: str, operation: dict[str, Any]) -> str:
    needs = operation.get("description", "Open to anybody.")
    rows = [(p["name"], p["in"], p.get("description", "")) for p in operation.get("parameters", ())]
    if "requestBody" in operation:
        rows.append(("body", "body", _kinds(operation["requestBody"])))
    answers = [(code, "", " · ".join(filter(None, (told["description"], _kinds(told))))) for code, told in operation["responses"].items()]
    return (
        f"<section><h2><b>{method.upper()}</b> <code>{escape(path)}</code></h2><p>{escape(operation['summary'])}. "
        f"{escape(needs.replace('`', ''))}</p>{_table(rows)}{_table(answers)}</section>"
    )


def _kinds(part: dict[str, Any]) -> str:
    names = [content.get("schema", {}).get("$ref", "").rpartition("/")[2] or kind for kind, content in part.get("content", {}).items()]
    return ", ".join(names)


def _table(rows: list[tuple[str, str, str]]) -> str:
    lines = [f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{_linked(about)}</td></tr>" for name, kind, about in rows]
    return f"<table>{''.join(lines)}</table>" if lines else ""


def _linked(about: str) -> str:
    head, mark, last = about.rpartition(" · ")
    return f'{escape(head)}{mark}<a href="#{escape(last)}">{escape(last)}</a>' if mark and last.isidentifier() else escape(about)


def _schema(name: str, schema: dict[str, Any]) -> str:
    text = escape(json.dumps(schema, indent=1))
    return f'<section><h2 id="{escape(name)}"><code>{escape(name)}</code></h2><pre>{text}</pre></section>'
