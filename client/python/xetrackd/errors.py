"""Warnings of the package. What libxetrack reports is `xetrackd.Error`."""


class XetrackWarning(UserWarning):
    """Something was stored, but not quite as it was given; or a result will not be cached. The message says which."""


class RejectedRow(XetrackWarning):
    """A row that the database can never hold: the message has the reason. Its neighbours are stored."""
