"""Make the tables of README.md from the schema of the config: ``python config/generate.py``.

What stands between the tables is written by hand. A table stands between ``<!-- ... -->`` and ``<!-- end -->``:

    keys of PATH                the keys of a section, or of its entries (``datasets.*``), with what lies below them
    key PATH                    one key
    settings of PATH by WORD    the keys of several mappings, by the name of each
    entries of PATH             mappings in one line each
    contents                    a line for every section: its heading, and what the schema says of it

Beside what JSON Schema knows, a key has ``from``, where its default comes from, ``of``, the methods that heed it, and
``with``, the value of another key that it needs; the ``title`` of a mapping's entries is what their names are called.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

README = Path(__file__).resolve().parent / "README.md"
SCHEMA = README.parents[1] / "workflow" / "schemas" / "config.schema.yaml"
TRAINING = "`training` of `vqgans`, `teachers` and `diffusion_models`"  # the one heading that is no section
Node = dict[str, Any]


class Row(NamedTuple):
    """One key: its dotted path below the table's, its schema, and whether it has to be given."""

    key: str
    node: Node
    required: bool


def main() -> None:
    README.write_text(filled(README.read_text("utf-8"), yaml.safe_load(SCHEMA.read_text("utf-8"))), "utf-8")


def filled(text: str, schema: Node) -> str:
    """A text with all tables made anew."""
    return re.sub(
        r"<!-- (?!end)(.*?) -->\n.*?<!-- end -->",
        lambda found: f"<!-- {found[1]} -->\n{_part(found[1], text, schema)}\n<!-- end -->",
        text,
        flags=re.S,
    )


def _part(order: str, text: str, schema: Node) -> str:
    if order == "contents":
        return contents(text, schema)
    if match := re.fullmatch(r"keys of (\S+)", order):
        return _about(match[1], schema) + table(list(rows(find(schema, match[1]), schema)), schema)
    if match := re.fullmatch(r"key (\S+)", order):
        return table([Row(match[1], find(schema, match[1]), match[1] in schema["required"])], schema)
    if match := re.fullmatch(r"settings of (\S+) by (\w+)", order):
        parts = {name: list(rows(node, schema)) for name, node in find(schema, match[1]).items()}
        column = [f"`{name}`" for name, part in parts.items() for _ in part]
        return table([row for part in parts.values() for row in part], schema, match[2], column)
    if match := re.fullmatch(r"entries of (\S+)", order):
        return _about(match[1], schema) + entries(find(schema, match[1]), schema)
    raise ValueError(f"{README}: expected an order that {Path(__file__).name} knows, found <!-- {order} -->.")


def _about(path: str, schema: Node) -> str:
    said = find(schema, path.removesuffix(".*")).get("description")
    return f"{said[0].upper()}{said[1:]}.\n\n" if said else ""


def contents(text: str, schema: Node) -> str:
    """A table of all headings of the second level, which are the config's sections."""
    headings = re.findall(r"^## (.*)", text, re.M)
    said = [schema["properties"].get(heading, {"description": TRAINING})["description"] for heading in headings]
    return markdown({"section": [f"[{heading}](#{heading})" for heading in headings], "what it says": said})


def find(schema: Node, path: str) -> Node:
    """A part of the schema by the dotted path of its keys; ``*`` stands for any name, ``$defs.x`` for a definition."""
    node: Node = schema
    for part in path.split("."):
        if part == "*":
            node = node["additionalProperties"]
        else:
            node = node["properties"][part] if part in node.get("properties", {}) else node[part]
        node = resolved(node, schema)
    return node


def resolved(node: Node, schema: Node) -> Node:
    """A part with what it refers to, which its own keys replace."""
    if "$ref" not in node:
        return node
    target = schema
    for part in node["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return {**resolved(target, schema), **node}


def rows(node: Node, schema: Node, above: str = "") -> Iterator[Row]:
    """The keys of a mapping in their order; of those below them the ones that have a description."""
    node = resolved(node, schema)
    for name, child in node.get("properties", {}).items():
        child, key = resolved(child, schema), above + name
        if "description" in child:
            yield Row(key, child, name in node.get("required", []))
        elif not above:
            raise ValueError(f"{SCHEMA}: expected a description of {key}, found none.")
        yield from rows(child, schema, f"{key}.")
        each = child.get("additionalProperties")
        if isinstance(each, dict):
            each = resolved(each, schema)
            yield from rows(each, schema, f"{key}.<{each.get('title', 'name')}>.")


def table(keys: list[Row], schema: Node, first: str = "", column: list[str] | None = None) -> str:
    """A Markdown table; columns that would be empty are left out."""
    columns = {
        first: column or [""] * len(keys),
        "key": [f"`{row.key}`" for row in keys],
        "for": [", ".join(f"`{name}`" for name in row.node.get("of", [])) for row in keys],
        "meaning": [row.node["description"] for row in keys],
        "values": [values(row.node, schema) for row in keys],
        "default": ["required" if row.required else default(row.node, schema) for row in keys],
        "from": [row.node.get("from", "") for row in keys],
    }
    return markdown({name: cells for name, cells in columns.items() if any(cells)})


def entries(node: Node, schema: Node) -> str:
    """A table of mappings, each with all of its keys in one cell."""
    found = {"entry": [], "makes": [], "keys": []}  # type: dict[str, list[str]]
    for name, child in node["properties"].items():
        child = resolved(child, schema)
        each = child.get("additionalProperties")
        found["entry"].append(f"`{name}.<{each['title']}>`" if each else f"`{name}`")
        found["makes"].append(child["description"])
        inside = (each or child)["properties"]
        found["keys"].append(", ".join(outline(key, value, schema) for key, value in inside.items()))
    return markdown(found)


def outline(name: str, node: Node, schema: Node) -> str:
    """A key with the keys below it, and its default."""
    node = resolved(node, schema)
    items = resolved(node.get("items", {}), schema)
    each = node.get("additionalProperties")
    if "properties" in node:
        return f"`{name}: {{{', '.join(node['properties'])}}}`"
    if "properties" in items:
        return f"`{name}: [{{{', '.join(items['properties'])}}}]`"
    if isinstance(each, dict):
        return f"`{name}: {{<{each.get('title', 'name')}>: [...]}}`"
    return f"`{name}`" + (f" ({default(node, schema)})" if "default" in node else "")


def markdown(columns: dict[str, list[str]]) -> str:
    """Columns of equal length as a table."""
    lines = [list(columns), ["---"] * len(columns), *zip(*columns.values(), strict=True)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def values(node: Node, schema: Node) -> str:
    """What a key may hold, in words."""
    node = resolved(node, schema)
    if "anyOf" in node:
        return " or ".join(values(part, schema) for part in node["anyOf"])
    if "const" in node:
        return f"`{node['const']}`"
    types = node.get("type", "string")
    types = types if isinstance(types, list) else [types]
    known = [_of_type(kind, node, schema) for kind in types if kind != "null"]
    return ", ".join(known + ["null"] * ("null" in types))


def _of_type(kind: str, node: Node, schema: Node) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"] if value is not None)
    if kind == "array":
        return "list of " + re.sub(r"^(integer|number|text|list)\b", r"\1s", values(node["items"], schema))
    if kind in ("integer", "number"):
        return kind + _limits(node)
    return {"string": node.get("expected", "text"), "object": "mapping", "boolean": "true, false"}[kind]


def _limits(node: Node) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    if "minimum" in node and "maximum" in node:
        return f" from {_number(node['minimum'])} to {_number(node['maximum'])}"
    limits = [f"{sign} {_number(node[name])}" for name, sign in signs.items() if name in node]
    limits += [f"a multiple of {node['multipleOf']}"] if "multipleOf" in node else []
    return f" {', '.join(limits)}" if limits else ""


def default(node: Node, schema: Node) -> str:
    """The default in words; empty where there is none."""
    below = {name: resolved(child, schema) for name, child in node.get("properties", {}).items()}
    if node.get("default") == {}:
        inside = [f"`{name}` {_shown(child['default'])}" for name, child in below.items() if "default" in child]
        described = any("description" in child for child in below.values())
        return "none" if described or not inside else ", ".join(inside)
    return _shown(node["default"]) if "default" in node else ""


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, str):
        return f"`{value}`" if value else "empty"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return _number(value)


def _number(value: float) -> str:
    """Without exponent, so that it can be copied into a config."""
    return f"{value:.10f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
