"""The exceptions that Resight raises for unusable data, files and settings.

    ResightError
    ├── DatasetError      the layout, lists or frames of a data set are not as expected
    │   └── FrameError    a frame is missing or cannot be decoded
    ├── RecipeError       the value of a setting is invalid
    ├── CheckpointError   a file of weights is damaged, of another kind, or does not match
    ├── ShapeError        the shapes or values of arrays do not match
    ├── ProtocolError     the protocol does not allow an evaluation
    ├── ClusterError      a Ray cluster cannot be reached, or its workers fail
    ├── TrainingError     a loss or a gradient is not finite, or a process of the run has ended
    ├── CacheError        the feature store cannot be read or cleared
    ├── GalleryError      a gallery cannot be opened, read or changed
    │   └── DamagedError  stored tracklets do not match their checksums
    └── OutputError       a result cannot be written

A message says what was expected, what was found, where, and what to do. The library raises these exceptions; only the
command line turns them into one line and an exit status.
"""


class ResightError(Exception):
    """Base class of all exceptions that Resight defines."""


class DatasetError(ResightError):
    """A data set on disk does not have the layout that its reader expects."""


class FrameError(DatasetError):
    """A frame is missing or cannot be decoded."""


class RecipeError(ResightError, ValueError):
    """The value of a setting is invalid."""


class CheckpointError(ResightError):
    """A file of weights is damaged, of another kind, or does not match the model."""


class TrainingError(ResightError):
    """A training run diverged: a loss, a gradient or a weight is not finite. Or one of its processes has ended."""


class ClusterError(ResightError):
    """A Ray cluster cannot be reached, or its workers fail."""


class ShapeError(ResightError, ValueError):
    """The shapes or values of arrays do not match."""


class ProtocolError(ResightError):
    """The protocol does not allow the requested evaluation."""


class CacheError(ResightError):
    """The feature store cannot be read or cleared."""


class GalleryError(ResightError):
    """A gallery cannot be opened, read or changed."""


class DamagedError(GalleryError):
    """Stored tracklets do not match their checksums.

    Args:
        message: The message.
        ids: Ids of the damaged tracklets.
    """

    def __init__(self, message: str, ids: tuple[str, ...]) -> None:
        super().__init__(message)
        self.ids = ids


class OutputError(ResightError):
    """A result cannot be written to the requested place."""
