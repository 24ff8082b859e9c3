"""What can go wrong, as one small tree.

    ResightError
    ├── DatasetError      a data set's layout, lists or frames are not as they must be
    │   └── FrameError    one frame is missing or cannot be decoded
    ├── RecipeError       a setting has a value that cannot work
    ├── CheckpointError   a weights file is damaged, of another kind, or does not fit
    ├── ShapeError        arrays that should fit together do not
    ├── ProtocolError     an evaluation that its protocol does not allow
    └── CacheError        the feature store cannot be read or cleared

Every message says what was expected, what was found, where, and what to do about it. Library code raises these;
only the command line turns them into one line and an exit status.
"""


class ResightError(Exception):
    """Base of all errors that this package raises on purpose."""


class DatasetError(ResightError):
    """A data set on disk is not laid out as its reader expects."""


class FrameError(DatasetError):
    """A frame is missing or is not a picture."""


class RecipeError(ResightError, ValueError):
    """A setting has a value that cannot work."""


class CheckpointError(ResightError):
    """A weights file is damaged, of another kind, or does not fit the model."""


class ShapeError(ResightError, ValueError):
    """Arrays that should fit together do not."""


class ProtocolError(ResightError):
    """An evaluation was asked for that its protocol does not allow."""


class CacheError(ResightError):
    """The feature store cannot be read or cleared."""
