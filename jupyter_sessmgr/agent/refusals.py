"""Why something is not done: what the asker is told, and of which kind it is."""

from __future__ import annotations


class Refused(Exception):
    """The request is understood and refused; the message is for people."""

    #: What the server makes its own error of.
    kind = "refused"


class Invalid(Refused):
    """The request makes no sense; the message says which part."""

    kind = "invalid"


class Denied(Refused):
    """The session's user may not do this."""

    kind = "denied"


class Absent(Refused):
    """There is no such file or folder."""

    kind = "absent"


class Unknown(Refused):
    """There is no such service, and nobody says how it is started."""

    kind = "unknown"


class Full(Refused):
    """There is no room for it."""

    kind = "full"


class NotHere(Refused):
    """The image, or the session, cannot do it."""

    kind = "unsupported"
