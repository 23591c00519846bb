# SPDX-License-Identifier: Apache-2.0
"""Writes the API page: one file without scripts, fonts or anything from elsewhere."""

from html import escape

from .schema import main_type

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #0a6e5c; }
@media (prefers-color-scheme: dark) { :root { --accent: #5fd0b8; } }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; display: grid; grid-template-columns: 17rem 1fr; }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.5rem; border-right: 1px solid var(--line); }
nav ul { list-style: none; margin: 0 0 1rem; padding: 0; } nav h2 { font-size: 1rem; margin: 0; }
main { padding: 1.5rem 3rem; max-width: 60rem; min-width: 0; }
a { color: var(--accent); text-decoration: none; } a:hover, a:focus { text-decoration: underline; }
article { border-top: 1px solid var(--line); padding: 1rem 0 2rem; }
h3 { margin: 0; font-size: 1.1rem; } h4 { margin: 1rem 0 .25rem; font-size: .95rem; }
code, pre { font: 14px/1.4 ui-monospace, monospace; } pre { background: var(--soft); padding: .75rem; overflow: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
td, th { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.method { color: var(--accent); font-weight: 600; } .muted { opacity: .75; }
@media (max-width: 50rem) { body { display: block; } nav { position: static; height: auto; } main { padding: 1.5rem; } }
"""


def limits(schema):
    """What a value must be, in words."""
    words = [main_type(schema)]
    if "enum" in schema:
        words.append("one of " + ", ".join(schema["enum"]))
    for key, text in (("minLength", "at least {} characters"), ("maxLength", "at most {} characters"),
                      ("minimum", "from {}"), ("maximum", "to {}"), ("pattern", "matches {}"),
                      ("format", "{}"), ("default", "otherwise {}")):
        if key in schema:
            words.append(text.format(schema[key]))
    return ", ".join(words)


def field_table(title, rows):
    """rows: (name, where, required, schema, doc)."""
    if not rows:
        return ""
    body = "".join(
        f"<tr><td><code>{escape(name)}</code><br><span class=muted>{where}{', required' if required else ''}</span>"
        f"<td>{escape(doc)}<br><span class=muted>{escape(limits(schema))}</span>"
        for name, where, required, schema, doc in rows)
    return f"<h4>{title}</h4><table>{body}</table>"


def operation(op):
    rows = [(p.name, "in the " + p.place, p.required, p.schema, p.doc) for p in op.params]
    body = []
    if op.body is not None:
        required = op.body.get("required") or []
        body = [(name, "in the body", name in required, schema, schema.get("description", ""))
                for name, schema in op.body["properties"].items()]
    errors = "".join(f"<tr><td>{status}<td>{escape(text)}" for status, text in op.errors.items())
    cli = f"<h4>On the command line</h4><pre>{escape(op.cli.example)}</pre>" if op.cli else ""
    return (f"<article id={op.id}><h3>{escape(op.summary)}</h3>"
            f"<p><code><span class=method>{op.method}</span> {escape(op.path)}</code>"
            f"<br><span class=muted>Permission: <code>{op.permission}</code></span>"
            f"<p>{escape(op.description)}"
            f"{field_table('Parameters', rows)}{field_table('Body', body)}{cli}"
            f"<h4>Answers</h4><table><tr><td>{op.success}<td>{escape(op.responses['description'])}{errors}</table></article>")


def page(api, version):
    """The whole page."""
    menu, main = [], []
    for room, title, text in api.rooms:
        ops = [op for op in api.operations if op.room == room]
        if not ops:
            continue
        links = "".join(f"<li><a href=#{op.id}>{escape(op.summary.rstrip('.'))}</a>" for op in ops)
        menu.append(f"<h2>{escape(title)}</h2><ul>{links}</ul>")
        main.append(f"<section><h2>{escape(title)}</h2><p>{escape(text)}</p>{''.join(map(operation, ops))}</section>")
    return (f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>Dvara API</title><style>{STYLE}</style>"
            f"<nav aria-label=Operations>{''.join(menu)}</nav><main><h1>Dvara API {escape(version)}</h1>"
            "<p>Every call needs a credential: <code>Authorization: Bearer dvk_...</code> or <code>x-api-key</code>. "
            "Errors are <code>{\"error\": {\"code\", \"message\", \"field\", \"request_id\"}}</code>. "
            "The same as data: <code>GET /v1/openapi</code>.</p>"
            f"{''.join(main)}</main></html>\n")
