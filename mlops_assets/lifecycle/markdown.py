"""Text inside Markdown that people's browsers draw."""

import re

# What Markdown would read as a picture, a link, HTML, code or emphasis. Underscores inside a word
# stay: they mean nothing there.
MARKUP = re.compile(r"([\\|\[\]`*~])|(?<!\w)_|_(?!\w)")


def escaped(text: str) -> str:
    """Text that can neither leave its table cell nor become a link, an image or HTML."""
    text = MARKUP.sub(lambda found: "\\" + found[0], re.sub(r"[\r\n\t]+", " ", text))
    return text.replace("&", "&amp;").replace("<", "&lt;")
