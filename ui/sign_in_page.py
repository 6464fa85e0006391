"""The page that signs in, and the one that says why there is none: without scripts, in the page's own colours."""

from ui.markup import Markup, element
from ui.theme import TITLE

# Nothing of anybody else, no script, and no frame: nobody can lay the form under something else.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_EYE = element(
    "svg",
    {"viewBox": "0 0 28 18", "aria-hidden": "true"},
    element("path", {"d": "M2 9s4.6-7 12-7 12 7 12 7-4.6 7-12 7S2 9 2 9Z"}),
    element("circle", {"cx": "14", "cy": "9", "r": "3.4"}),
)


def sign_in_page(*, next: str, name: str = "", problem: str = "") -> str:
    """`next`: the path to go on to, checked already. All addresses are relative to /sign-in."""
    told = element("p", {"class": "problem", "role": "alert", "id": "problem"}, problem) if problem else None
    return _document("Sign in", told, _form(next, name, is_refused=bool(problem)))


def problem_page(problem: str, *, to_root: str, may_pass: bool) -> str:
    """In place of what was asked for; `may_pass`: it may be there a moment later."""
    told = element("p", {"class": "problem", "role": "alert"}, problem)
    href, label = ("", "Try again") if may_pass else (to_root or "./", "Go to the start page")
    way_out = element("a", {"class": "button", "href": href}, label)
    return _document("That did not work", told, way_out, to_root=to_root)


def _document(title: str, *content: Markup | None, to_root: str = "") -> str:
    head = (
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">'),
        element("title", {}, f"{title} · {TITLE}"),
        element("link", {"rel": "icon", "href": f"{to_root}page/icon.svg", "type": "image/svg+xml"}),
        element("link", {"rel": "stylesheet", "href": f"{to_root}page/tokens.css"}),
        element("link", {"rel": "stylesheet", "href": f"{to_root}page/sign_in.css"}),
    )
    body = element(
        "main",
        {},
        element("p", {"class": "wordmark"}, _EYE, element("span", {}, TITLE)),
        element("h1", {}, title),
        *content,
    )
    return "<!doctype html>" + element("html", {"lang": "en"}, element("head", {}, *head), element("body", {}, body))


def _form(next: str, name: str, *, is_refused: bool) -> Markup:
    about = {"aria-invalid": "true", "aria-describedby": "problem"} if is_refused else {}
    first, second = (not is_refused or not name), (is_refused and bool(name))
    name_field = {"name": "name", "value": name, "autocomplete": "username", "autocapitalize": "none"}
    word_field = {"name": "password", "type": "password", "autocomplete": "current-password", "maxlength": "200"}
    return element(
        "form",
        {"method": "post", "action": "sign-in"},
        element("input", {"type": "hidden", "name": "next", "value": next}),
        element("label", {"for": "name"}, "Name"),
        element(
            "input",
            {
                "required": True,
                "id": "name",
                **name_field,
                "spellcheck": "false",
                "maxlength": "64",
                "autofocus": first,
                **about,
            },
        ),
        element("label", {"for": "password"}, "Password"),
        element("input", {"required": True, "id": "password", **word_field, "autofocus": second, **about}),
        element("button", {}, "Sign in"),
    )
