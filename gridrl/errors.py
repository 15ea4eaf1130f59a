"""The errors that are not a wrong argument; wrong arguments are `ValueError` and `TypeError`."""


class NotConverged(RuntimeError):
    """An iteration used up its budget before it kept its promise on the error."""
