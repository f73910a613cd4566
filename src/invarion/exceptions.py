"""What invarion raises when input cannot be used; every message says what was got, what is allowed, what to do."""


class InvarionError(ValueError):
    """A user's mistake that invarion can name; the command line prints it without a traceback and exits with 2."""


class ConfigError(InvarionError):
    """A setting that is unknown, out of range or inconsistent."""


class DataError(InvarionError):
    """Structures or labels that cannot be read or used; the message names file and frame where known."""


class ModelFileError(InvarionError):
    """A model file that is missing, damaged, hostile or of a newer format."""


class BasisError(InvarionError):
    """A request for an invariant basis that cannot be met."""


class CertificateError(InvarionError):
    """A certificate whose claims do not hold when they are checked from scratch."""
