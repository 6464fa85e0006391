"""How the page's frame looks: Gradio's theme from our tokens, and our own head instead of Gradio's; no content."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio as gr

STATIC = Path(__file__).parent / "static"  # served at /page
TITLE = "Sightline"
DESCRIPTION = "Search your own images by meaning: type words, drop a picture, mix both."

# Both themes come from the tokens in static/tokens.css, so Gradio's variables name ours and need no dark twin.
_TOKENS = {
    "body_background_fill": "var(--page)",
    "body_text_color": "var(--ink)",
    "body_text_color_subdued": "var(--ink-2)",
    "background_fill_primary": "var(--surface)",
    "background_fill_secondary": "var(--page)",
    "block_background_fill": "transparent",
    "border_color_primary": "var(--line)",
    "border_color_accent": "var(--accent)",
    "color_accent_soft": "var(--accent-soft)",
}

_HEAD = f"""<title>{TITLE}</title>
<meta name="description" content="{DESCRIPTION}">
<meta name="color-scheme" content="light dark">
<meta name="theme-color" media="(prefers-color-scheme: light)" content="#fafafa">
<meta name="theme-color" media="(prefers-color-scheme: dark)" content="#101114">
<meta property="og:title" content="{TITLE}">
<meta property="og:type" content="website">
<meta property="og:description" content="{DESCRIPTION}">
<meta name="twitter:card" content="summary">
<link rel="icon" href="page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="page/tokens.css">
<link rel="stylesheet" href="page/page.css">
<link rel="stylesheet" href="page/report.css">
"""
_MODULES = sorted(path.name for path in STATIC.glob("*.js"))
_PRELOAD = "".join(f'<link rel="modulepreload" href="page/{name}">\n' for name in _MODULES)

_PREVIEW = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')
_MANIFEST = re.compile(
    r'<link\s+rel="manifest"[^>]*>\s*'
)  # of an app to install, at an address that knows no path of ours
_HEAD_END = "<script>window.gradio_config"


def theme() -> "gr.themes.Base":
    import gradio as gr

    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    mono = ["ui-monospace", "SF Mono", "Menlo", "monospace"]
    base = gr.themes.Base(font=fonts, font_mono=mono)
    return base.set(
        color_accent="var(--accent)", **_TOKENS, **{f"{name}_dark": value for name, value in _TOKENS.items()}
    )


def with_own_head(page: str) -> str:
    """Gradio's page with our title, description and link preview, and our style sheet and scripts asked for at once."""
    head, mark, rest = page.partition(_HEAD_END)
    head = _PREVIEW.sub("", head).replace('<meta charset="utf-8" />', f'<meta charset="utf-8" />\n{_HEAD}{_PRELOAD}', 1)
    # The base address must stand before anything that is relative to it.
    base = re.search(r"<base [^>]*>", head)
    if base:
        head = head.replace(base.group(), "").replace(
            '<meta charset="utf-8" />', f'<meta charset="utf-8" />\n{base.group()}', 1
        )
    return head + mark + _MANIFEST.sub("", rest, count=1)
