from ui.theme import DESCRIPTION, with_own_head

GRADIOS = (
    '<!doctype html><html><head><meta charset="utf-8" /><base href="./" />'
    '<meta property="og:title" content="Gradio" /><meta\n name="twitter:creator"\n content="@teamGradio" />'
    '<script>window.gradio_config = {"title": "<meta property=\\"og:title\\" content=\\"x\\" />"};</script>'
    "</head></html>"
)


def test_title_description_and_preview_are_ours() -> None:
    page = with_own_head(GRADIOS)
    head = page.partition("<script>window.gradio_config")[0]
    assert "Gradio" not in head
    assert '<meta property="og:title" content="Sightline">' in head
    assert f'<meta name="description" content="{DESCRIPTION}">' in head


def test_the_base_address_stands_before_what_is_relative_to_it() -> None:
    page = with_own_head(GRADIOS)
    assert page.index("<base ") < page.index("page/page.css")
    assert page.count("<base ") == 1


def test_gradios_configuration_is_left_as_it_is() -> None:
    mark = "<script>window.gradio_config"
    assert with_own_head(GRADIOS).partition(mark)[2] == GRADIOS.partition(mark)[2]
