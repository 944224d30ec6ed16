"""The style sheets reach nothing outside the plugin's own elements, and no name of theirs is a host's."""

import re

import pytest
import tinycss2

from .processes import ROOT

STATIC = ROOT / "socialsongs" / "static" / "socialsongs"
OURS = re.compile(r"\.socialsongs(-[a-z0-9-]+)?(?![\w-])")
KEYFRAMES = re.compile(r"from|to|\d+%")


def rules(nodes):
    for node in nodes:
        assert node.type != "error", node.message
        if node.type == "at-rule":
            name = tinycss2.serialize(node.prelude).strip()
            if node.lower_at_keyword == "keyframes":
                assert name.startswith("socialsongs-"), name
            else:
                assert node.lower_at_keyword in ("media", "supports"), node.at_keyword
                yield from rules(tinycss2.parse_rule_list(node.content, skip_comments=True, skip_whitespace=True))
        else:
            yield node


def selectors(prelude):
    """Split at the commas that are not within brackets."""
    part = []
    for token in prelude:
        if token.type == "literal" and token.value == ",":
            yield tinycss2.serialize(part).strip()
            part = []
        else:
            part.append(token)
    yield tinycss2.serialize(part).strip()


def problems(css):
    found = []
    for rule in rules(tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True)):
        for selector in selectors(rule.prelude):
            if not OURS.match(selector):
                found.append(f"{selector} is not inside .socialsongs")
            found += [
                f"{name} in {selector}"
                for name in re.findall(r"[.#][a-z][\w-]*", selector)
                if not name[1:].startswith("socialsongs")
            ]
        for entry in tinycss2.parse_declaration_list(rule.content, skip_comments=True, skip_whitespace=True):
            text = tinycss2.serialize([entry])
            found += [name for name in re.findall(r"(?<![\w-])--[\w-]+", text) if not name.startswith("--socialsongs-")]
    return found


@pytest.mark.parametrize("name", ["app.css", "admin.css"])
def test_every_rule_is_about_our_own_elements(name):
    assert problems((STATIC / name).read_text()) == []


@pytest.mark.parametrize(
    "css",
    [
        "main { margin: 0 }",
        ".socialsongs p, button { color: red }",
        "@media print { * { color: red } }",
        ".socialsongs .card { color: red }",
        ":root { --page: red }",
        ".socialsongs { color: var(--ink) }",
        ".socialsongs2 p { color: red }",
    ],
)
def test_a_rule_that_reaches_further_is_found(css):
    assert problems(css)


def test_classes_and_ids_of_the_plugins_templates_are_our_own():
    names = set()
    for path in (ROOT / "socialsongs" / "templates").rglob("*.html"):
        text = re.sub(r"\{[{%].*?[%}]\}", "", path.read_text())
        names |= {name for value in re.findall(r'(?<![\w-])(?:class|id)="([^"]*)"', text) for name in value.split()}
    assert len(names) > 50
    assert not [name for name in names if not name.startswith("socialsongs")]
