# SPDX-License-Identifier: Apache-2.0
"""Writes dvara.1 and dvara-NOUN.1 in the man macros (man(7))."""

from .schema import main_type

GLOBAL = [
    ("--output table|json|jsonl|yaml|csv", "How to print answers; table when not given."),
    ("--state DIR", "The state of the Dvara to speak with; otherwise $DVARA_STATE, ./.dvara, /var/lib/dvara."),
    ("--help", "Explain the command."),
]
URL = ("--url URL", "Speak with a Dvara elsewhere; otherwise $DVARA_URL. Needs $DVARA_API_KEY.")
EXITS = [("0", "Done."), ("1", "Refused or failed; standard error says why."),
         ("2", "The command line is wrong.")]


def escape(text):
    """Text that roff takes literally."""
    text = str(text).strip().replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in ".'" else line for line in text.splitlines())


def tagged(term, text):
    return f".TP\n.B {escape(term)}\n{escape(text)}\n"


def value_name(field):
    kind = main_type(field.schema)
    if "enum" in field.schema:
        return "|".join(field.schema["enum"])
    return {"integer": "N", "number": "N", "array": "A,B,...", "object": "JSON"}.get(kind, "TEXT")


def flag_term(field):
    if field.secret:
        return f"--{field.flag}-file FILE"
    if main_type(field.schema) == "boolean":
        return f"--{field.flag}"
    return f"--{field.flag} {value_name(field)}"


def describe(field):
    text = field.doc or f"The {field.name.replace('_', ' ')}."
    if field.required:
        text += " Required."
    if "default" in field.schema:
        text += f" Otherwise {field.schema['default']}."
    return text


def synopsis(cli):
    words = ["dvara", cli.noun, *cli.verb.split()]
    for index, field in enumerate(cli.inputs):
        if index < cli.arg_count:
            term = field.flag.upper()
        else:
            term = flag_term(field)
        words.append(term if field.required else f"[{term}]")
    return " ".join(words)


def head(name, version, summary):
    return (f".\\\" Generated from api/*.yaml by tools/generate.\n.TH {name.upper()} 1 \"\" \"Dvara {version}\" \"Dvara\"\n"
            f".SH NAME\n{escape(name)} \\- {escape(summary)}\n")


def noun_page(api, noun, version):
    parts = [head(f"dvara-{noun}", version, api.nouns[noun])]
    entries = [entry for entry in api.entries() if entry.cli.noun == noun]
    parts.append(".SH SYNOPSIS\n" + ".br\n".join(escape(synopsis(e.cli)) + "\n" for e in entries))
    parts.append(".SH COMMANDS\n")
    for entry in entries:
        parts.append(f".SS {escape(synopsis(entry.cli))}\n{escape(entry.summary)}\n")
        if entry.description:
            parts.append(f".PP\n{escape(entry.description)}\n")
        for index, field in enumerate(entry.cli.inputs):
            term = field.flag.upper() if index < entry.cli.arg_count else flag_term(field)
            parts.append(tagged(term, describe(field)))
        if entry.cli.follow:
            parts.append(tagged("--follow", "Go on printing what is added."))
        if not entry.cli.remote:
            parts.append(".PP\nWorks on this machine alone: takes no \\-\\-url.\n")
        if hasattr(entry, "permission"):
            parts.append(f".PP\nPermission: {escape(entry.permission)}.\n")
        parts.append(f".PP\nExample:\n.PP\n.in +4\n.EX\n{escape(entry.cli.example)}\n.EE\n.in\n")
    parts.append(common(any(entry.cli.remote for entry in entries)))
    parts.append(".SH SEE ALSO\n.BR dvara (1)\n")
    return "".join(parts)


def common(remote=True):
    options = "".join(tagged(term, text) for term, text in GLOBAL)
    url = ".SH OPTIONS OF COMMANDS THAT SPEAK WITH A SERVER\n" + tagged(*URL) if remote else ""
    exits = "".join(tagged(term, text) for term, text in EXITS)
    return f".SH OPTIONS OF EVERY COMMAND\n{options}{url}.SH EXIT STATUS\n{exits}"


def main_page(api, version):
    parts = [head("dvara", version, "a gate in front of AI models"),
             ".SH SYNOPSIS\n.B dvara\nNOUN [VERB] [ARGUMENT...] [\\-\\-FLAG...]\n.SH COMMANDS\n"]
    for noun, doc in api.nouns.items():
        verbs = [e.cli.verb for e in api.entries() if e.cli.noun == noun and e.cli.verb]
        parts.append(tagged(noun, doc + (f" Verbs: {', '.join(verbs)}." if verbs else "")))
    parts.append(common())
    parts.append(".SH ENVIRONMENT\n" + tagged("DVARA_STATE", "As --state.")
                 + tagged("DVARA_URL", "As --url.")
                 + tagged("DVARA_API_KEY", "The API key for --url.")
                 + tagged("NO_COLOR", "When set, no colours."))
    see = "".join(f"\n.BR dvara\\-{escape(noun)} (1)" for noun in api.nouns)
    parts.append(".SH SEE ALSO" + see + "\n")
    return "".join(parts)


def pages(api, version):
    """Yields (file name, text)."""
    yield "dvara.1", main_page(api, version)
    for noun in api.nouns:
        yield f"dvara-{noun}.1", noun_page(api, noun, version)
