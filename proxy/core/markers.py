"""What an option is beside its type, for those who read and show it."""

from enum import Enum


class Marker(Enum):
    """Annotates a plug-in's field.

    SECRET is never shown. CONTENT is written as the path of a text file, relative to the configuration, whose content
    is the value: so it comes with the document, and a file that is wrong is refused before anything changes.
    """

    SECRET = "secret"  # noqa: S105 - a marker
    CONTENT = "content"
