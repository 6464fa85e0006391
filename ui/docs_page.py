"""The page at /docs: the OpenAPI description as plain HTML, made here, so that it asks nothing of anybody."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: light-dark(#1b1f24, #e6e8eb); background: light-dark(#fff, #15181c); color-scheme: light dark }
h2 { font-size: 1rem; margin: 2.5rem 0 .25rem; padding-top: 1rem; border-top: 1px solid #8885 }
code, pre { font: 13px/1.5 ui-monospace, monospace } pre { padding: .75rem; overflow: auto; background: #8882 }
b { display: inline-block; min-width: 4.5rem } p { margin: .25rem 0 }
"""


def docs_html(schema: Mapping[str, Any]) -> str:
    return "".join(_page(schema))


def _page(schema: Mapping[str, Any]) -> Iterator[str]:
    info = schema["info"]
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
    yield f"<h1>{escape(info['title'])} API</h1><p>{escape(info.get('description', ''))}</p>"
    yield '<p>The same as <a href="openapi.json">OpenAPI</a>.</p>'
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield from _operation(method.upper(), path, operation)
    yield "</html>"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><b>{method}</b> <code>{escape(path)}</code></h2><p>{escape(operation.get('summary', ''))}</p>"
    for paragraph in operation.get("description", "").split("\n\n"):
        yield f"<p>{escape(paragraph)}</p>"
    for parameter in operation.get("parameters", []):
        about = parameter.get("description", "")
        yield f"<p><code>{escape(parameter['name'])}</code> ({parameter['in']}) {escape(about)}</p>"
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body: <code>{escape(media_type)}</code></p>"
        if "example" in content:
            example = json.dumps(content["example"], indent=2, ensure_ascii=False)
            yield f"<pre>{escape(example)}</pre>"
    statuses = ", ".join(
        f"{status} {answer.get('description', '')}" for status, answer in operation["responses"].items()
    )
    yield f"<p>Answers: {escape(statuses)}</p>"
