"""Jobs over HTTP: for the app's own users, for monitors and for operators. See docs/web.md."""

from .access import Level, Visitor, local_operator
from .message import Request, Response
from .site import Site

__all__ = ["Level", "Request", "Response", "Site", "Visitor", "local_operator"]
