"""The third door: a session's service ports, each behind one URL of the Jupyter server.

The target of a request is a session and the name of a service it declared, never a host or a
port. The connection goes through the session's agent, so nothing inside has to listen to the
outside, and what was replaced can never be reached by an old address.
"""
