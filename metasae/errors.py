"""The exception whose text is shown to the user."""


class UserError(Exception):
    """An error the user can act on: a wrong input, or something this machine lacks.

    Its text is one complete sentence that says what was wrong and what to do next, without the
    implementation's terms. Pages show it as it is; the command line prints it and exits with 1.
    """
