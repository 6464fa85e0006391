"""The page as Gradio sees it: three tabs, the components on them, and the one public endpoint `search`."""

from collections.abc import Callable

import gradio as gr
from gradio.events import api
from starlette.responses import JSONResponse

from search.errors import BadQuery, SearchError
from search.query import parse_request
from search.workspace import Workspace
from ui.api_query import collection_name
from ui.gradio_errors import Page
from ui.handlers import READING, answered
from ui.theme import STATIC, TITLE


def build_page(workspace: Workspace) -> gr.Blocks:
    with Page(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        _component("masthead")
        with gr.Tabs(selected="search", elem_id="views"):
            with gr.Tab("Search", id="search", elem_id="search-view"):
                _component("query_box", server_functions=_server_functions(workspace))
                _component("filters")
                _component("grid")
                _component("detail")
                _component("selection")
            with gr.Tab("Library", id="library", elem_id="library-view"):
                _component("library")
            with gr.Tab("Quality", id="quality", elem_id="quality-view"):
                _component("quality")
        api(_public_search(workspace), api_name="search", queue=False)
    page.queue(default_concurrency_limit=8, max_size=64)
    return page  # type: ignore[no-any-return]  # Gradio leaves the type of its context manager open


def _component(name: str, *, server_functions: list[Callable[..., object]] | None = None) -> gr.HTML:
    """static/NAME.html is what it starts as, static/NAME.js brings it to life."""
    module = f"new URL('page/{name}.js', document.baseURI).href"
    return gr.HTML(
        html_template=(STATIC / f"{name}.html").read_text(),
        js_on_load=f"import({module}).then((module) => module.mount(element, server));",
        apply_default_css=False,
        elem_id=name,
        server_functions=server_functions,
    )


def _server_functions(workspace: Workspace) -> list[Callable[..., object]]:
    """The handlers under their own names, as the browser calls them; none is in Gradio's API."""

    def bound(function: Callable[..., dict[str, object]]) -> Callable[..., object]:
        def handler(sent: object) -> JSONResponse:
            return JSONResponse(answered(function, workspace, sent))  # as it is: encoding it twice costs milliseconds

        handler.__name__ = function.__name__
        return handler

    return [bound(function) for function in READING]


def _public_search(workspace: Workspace) -> Callable[..., list[dict[str, object]]]:
    def search(query: str, collection: str | None = None, top_k: int = 20) -> list[dict]:  # type: ignore[type-arg]
        """Finds images by their meaning.

        Args:
            query: What the images should show, such as "a red boat -people": a word after - is subtracted.
            collection: The name of the collection to search; the default one if none is given.
            top_k: How many images to return, 1 to 1,000.

        Returns:
            The images, best first: id, score (cosine similarity), rank, uri, caption and metadata.
        """
        try:
            if not isinstance(query, str):
                raise BadQuery("The query must be a text.")
            engine = workspace.engine(collection_name(collection or None))
            answer = engine.search(parse_request({"query": query, "top_k": top_k}))
        except SearchError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return [
            {
                "id": hit.id,
                "score": round(hit.score, 6),
                "rank": hit.rank,
                "uri": hit.record.uri,
                "caption": hit.record.caption,
                "metadata": dict(hit.record.metadata),
            }
            for hit in answer.hits
        ]

    return search
