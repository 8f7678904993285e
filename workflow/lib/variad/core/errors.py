"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """A mistake that its user can mend.

    The message is one sentence that names the file or key, what was expected and what was found. Scripts print it
    without a traceback and exit with status 1.
    """
