"""The one exception whose text is meant for the person in front of the screen."""


class UserError(Exception):
    """Something the user gave, or the machine lacks; the text says what and what to do next.

    Pages show it as it is and the command line prints it and exits with 1, so the text is one
    complete sentence, without a traceback and without jargon of the implementation.
    """
