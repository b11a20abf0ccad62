"""Errors that end a command with a message in place of a traceback."""


class UserError(Exception):
    """A mistake of the user; the message says what is wrong, where, and what to do about it."""


class Interrupted(Exception):
    """A signal ended the run after its state was saved; the message says how to go on."""
