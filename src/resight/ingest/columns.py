"""Which column of a table of boxes means what, by the names in its header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from resight.data.readers.names import plain_name
from resight.errors import DatasetError

NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "frame": (
            "frame", "frameid", "frameindex", "frameidx", "frameno", "framenum", "framenumber", "framenr", "frames",
            "fn", "imageid", "imgid", "f",
        ),
        "id": (
            "trackid", "trackerid", "tid", "trackingid", "track", "tracker", "trackno", "tracknumber", "personid",
            "pid", "person", "identity", "objectid", "objid", "targetid", "target", "globalid", "instanceid", "id",
        ),
        "left": ("left", "xmin", "minx", "x1", "xtl", "bbleft", "bboxleft", "boxleft", "bbx1", "bboxx1", "bboxxmin",
                 "xleft", "leftx", "topleftx", "tlx", "bbx", "bboxx", "boxx", "x", "l"),
        "top": ("top", "ymin", "miny", "y1", "ytl", "bbtop", "bboxtop", "boxtop", "bby1", "bboxy1", "bboxymin",
                "ytop", "topy", "toplefty", "tly", "bby", "bboxy", "boxy", "y", "t"),
        "width": ("width", "w", "bbwidth", "bboxwidth", "boxwidth", "bw", "bbw", "bboxw", "boxw"),
        "height": ("height", "h", "bbheight", "bboxheight", "boxheight", "bh", "bbh", "bboxh", "boxh"),
        "right": ("right", "xmax", "maxx", "x2", "xbr", "bbright", "bboxright", "boxright", "bbx2", "bboxx2",
                  "bboxxmax", "xright", "rightx", "bottomrightx", "brx", "r"),
        "bottom": ("bottom", "ymax", "maxy", "y2", "ybr", "bbbottom", "bboxbottom", "boxbottom", "bby2", "bboxy2",
                   "bboxymax", "ybottom", "bottomy", "bottomrighty", "bry", "b"),
        "centre x": ("cx", "xc", "xcenter", "xcentre", "centerx", "centrex", "bboxcx", "bbcx", "midx", "xmid"),
        "centre y": ("cy", "yc", "ycenter", "ycentre", "centery", "centrey", "bboxcy", "bbcy", "midy", "ymid"),
        "score": ("score", "conf", "confidence", "confidencescore", "detconf", "detectionscore", "prob", "probability"),
        "class": ("classname", "class", "cls", "label", "category", "categoryname", "objecttype", "objectclass",
                  "type", "classid", "clsid", "labelid", "categoryid", "detclass"),
        "camera": ("camera", "cameraid", "cameraname", "cam", "camid"),
    }
)  # fmt: skip
"""Meaning → accepted column names, best first: lower case, without blanks, punctuation and units."""

_FROM_ZERO = ("frameindex", "frameidx")
"""Names of a column whose first frame is 0."""

_BOXES = (
    ("left", "top", "width", "height"),
    ("left", "top", "right", "bottom"),
    ("centre x", "centre y", "width", "height"),
)


@dataclass(frozen=True)
class Columns:
    """Positions of the columns of a table of boxes, from 0.

    Attributes:
        frame: Frame number.
        box: The four columns of the box.
        form: What these are: names of `NAMES`.
        id: Track; None: the boxes are detections.
        score: Detection score; None: 1.
        class_: Class of the object; None: unknown.
        camera: Camera, in a file for several cameras.
        base: Number of the first frame, if the name of the column or the format tells it.
    """

    frame: int
    box: tuple[int, int, int, int]
    form: tuple[str, str, str, str] = _BOXES[0]
    id: int | None = None
    score: int | None = None
    class_: int | None = None
    camera: int | None = None
    base: int | None = None

    @property
    def needed(self) -> int:
        """Number of columns that a row must have."""
        return 1 + max(self.frame, *self.box, *(n for n in (self.id, self.camera) if n is not None))

    def corner_box(self, values: Sequence[float]) -> tuple[float, float, float, float]:
        """Return left, top, width and height of a box from the values of its four columns."""
        a, b, c, d = values
        if self.form[2] == "right":
            return a, b, c - a, d - b
        if self.form[0] == "centre x":
            return a - c / 2, b - d / 2, c, d
        return a, b, c, d


def is_number(text: str) -> bool:
    """Return whether a cell is a number, NaN and infinity included."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_header(cells: Sequence[str]) -> bool:
    """Return whether a row names columns: it has several cells, and none of them is a number."""
    filled = [cell for cell in cells if cell.strip()]
    return len(filled) > 1 and not any(map(is_number, filled))


def read_header(cells: Sequence[str], where: str) -> Columns:
    """Return the columns that a header names. Columns with other names are ignored.

    Args:
        cells: The names.
        where: Where they are, for messages.

    Raises:
        DatasetError: If no column is named as the frame, or no four columns as a box, or two columns have one name.
    """
    plain = [plain_name(cell) for cell in cells]
    repeated = sorted({name for name in plain if name and plain.count(name) > 1})
    if repeated:
        raise DatasetError(f"{where}: two columns are named {repeated[0]!r}; give each column its own name")
    places = {
        meaning: plain.index(name)
        for meaning, names in NAMES.items()
        for name in [next((name for name in names if name in plain), None)]
        if name is not None
    }
    form = next((form for form in _BOXES if all(name in places for name in form)), None)
    if "frame" not in places or form is None:
        found = ", ".join(repr(cell.strip()) for cell in cells)
        missing = (
            "the frame" if "frame" not in places else "a box: left, top, width, height, or left, top, right, bottom"
        )
        raise DatasetError(
            f"{where}: no column for {missing}. Found the columns {found}; expected names such as "
            "frame,id,left,top,width,height,score or frame,id,x1,y1,x2,y2,class"
        )
    return Columns(
        frame=places["frame"], box=tuple(places[name] for name in form), form=form,  # type: ignore[arg-type]
        id=places.get("id"), score=places.get("score"), class_=places.get("class"), camera=places.get("camera"),
        base=0 if plain[places["frame"]] in _FROM_ZERO else None,
    )  # fmt: skip
