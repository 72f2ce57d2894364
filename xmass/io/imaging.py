"""CIFTI and GIFTI through nibabel, which comes with the extra ``neuro``."""

from __future__ import annotations

import base64
import importlib
import math
import warnings
import xml.parsers.expat
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from xmass.io.guard import BROKEN, broken, content, fault, too_large

TO_SECONDS = {"SECOND": 1.0}
SIDES = {"CORTEXLEFT": "L", "CORTEXRIGHT": "R"}
NIFTI_TYPE_BYTES = {"NIFTI_TYPE_UINT8": 1, "NIFTI_TYPE_INT32": 4, "NIFTI_TYPE_FLOAT32": 4, "NIFTI_TYPE_FLOAT64": 8}
INLINE = ("ASCII", "Base64Binary", "GZipBase64Binary")
LARGEST_XML = 1 << 28


class Parcels(NamedTuple):
    """A matrix over parcels, or their signals ``(time, parcel)`` with the period [s]."""

    values: np.ndarray
    labels: list[str]
    columns: list[str]
    hemisphere: list[str]
    """``"L"``, ``"R"``, or ``""`` where a parcel lies in both or in neither."""
    centres: np.ndarray | None
    """Of parcels made of voxels only [mm]."""
    tr: float | None
    start: float


def nibabel_module() -> ModuleType:
    """nibabel, or an error that says how to get it."""
    try:
        return importlib.import_module("nibabel")
    except ImportError as error:
        raise ImportError(
            "CIFTI and GIFTI files are read by nibabel, which is not installed. Install the extra: pip install 'xmass[neuro]'."
        ) from error


AXES = {
    "pconn": ("ParcelsAxis", "ParcelsAxis"),
    "ptseries": ("SeriesAxis", "ParcelsAxis"),
    "pscalar": ("ScalarAxis", "ParcelsAxis"),
    "dscalar": ("ScalarAxis", "BrainModelAxis"),
    "dlabel": ("LabelAxis", "BrainModelAxis"),
}
"""What the rows and columns of each kind of CIFTI-2 file are."""


def read_cifti(file: Path, max_bytes: int, *, wanted: str) -> Parcels:
    """The content of a CIFTI-2 file over parcels; ``wanted`` is "pconn", "ptseries" or "pscalar", whose rows are named by ``labels``."""
    values, axes = open_cifti(file, max_bytes, wanted=wanted)
    rows = [] if wanted == "ptseries" else [str(name) for name in axes[0].name]
    columns = [str(name) for name in axes[1].name]
    tr, start = _clock(file, axes[0]) if wanted == "ptseries" else (None, 0.0)
    return Parcels(values, rows or columns, columns, _sides(axes[1]), _centres(axes[1]), tr, start)


def open_cifti(file: Path, max_bytes: int, *, wanted: str) -> tuple[np.ndarray, list[Any]]:
    """The matrix of a CIFTI-2 file and its two axes, which are those of the kind ``wanted``."""
    nibabel = nibabel_module()
    size = file.stat().st_size
    if size > max_bytes:
        raise too_large(file, "it", size, max_bytes)
    with file.open("rb") as stream:
        if b"<!ENTITY" in stream.read(min(size, LARGEST_XML)):
            raise fault(file, "its XML declares entities, needs plain CIFTI-2. It is not read.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nibabel warns of harmless deviations of the header
            image = nibabel.load(file)
            if not isinstance(image, nibabel.Cifti2Image):
                raise fault(file, f"it is a {type(image).__name__}, needs a CIFTI-2 file over parcels ({wanted}.nii).")
            axes = [image.header.get_axis(i) for i in range(len(image.shape))]
            bytes_needed = math.prod(image.shape) * 8
            if bytes_needed > max_bytes:
                raise too_large(file, "its matrix", bytes_needed, max_bytes)
            if math.prod(image.shape) * image.get_data_dtype().itemsize > size:
                raise fault(file, f"it should have a matrix of shape {image.shape} and ends before, needs the whole file. Copy it again.")
            values = np.asarray(image.get_fdata(dtype=np.float64))
    except ValueError as error:
        raise error if str(error).startswith(f"{file.name}: ") else broken(file, "CIFTI-2", error) from error
    except _parser_errors(nibabel) as error:
        raise broken(file, "CIFTI-2", error) from error
    kinds = tuple(type(axis).__name__ for axis in axes)
    if kinds != AXES[wanted]:
        way = " Average over parcels first: wb_command -cifti-parcellate." if wanted.startswith("p") else ""
        raise fault(file, f"its axes are {list(kinds)}, needs {list(AXES[wanted])} ({wanted}.nii).{way}")
    if values.shape != (len(axes[0]), len(axes[1])):
        raise fault(file, f"its matrix has shape {values.shape}, and its axes {(len(axes[0]), len(axes[1]))}, needs the same.")
    return values, axes


def _clock(file: Path, axis: Any) -> tuple[float, float]:
    if axis.unit not in TO_SECONDS:
        raise fault(file, f"its series is in {axis.unit}, needs SECOND: it is no time series.")
    if not (math.isfinite(axis.step) and axis.step > 0):
        raise fault(file, f"its series has a step of {axis.step} s, needs a positive one.")
    return float(axis.step), float(axis.start)


def _sides(axis: Any) -> list[str]:
    """The hemisphere of each parcel by the surfaces of its vertices, or the structures of its name in the file."""
    found = []
    for vertices in axis.vertices:
        sides = {SIDES.get(str(structure).upper().replace("CIFTI_STRUCTURE_", "").replace("_", ""), "") for structure in vertices}
        found.append(sides.pop() if len(sides) == 1 else "")
    return found


def _centres(axis: Any) -> np.ndarray | None:
    """Mean position of the voxels of each parcel [mm]; None if one has vertices, whose positions are in another file."""
    if axis.affine is None or any(len(v) for v in axis.vertices) or not all(len(v) for v in axis.voxels):
        return None
    return np.array([(np.asarray(v) @ axis.affine[:3, :3].T + axis.affine[:3, 3]).mean(axis=0) for v in axis.voxels])


class Surface(NamedTuple):
    """Signals ``(time, vertex)`` on one surface."""

    values: np.ndarray
    hemisphere: str
    tr: float | None


def open_gifti(file: Path, max_bytes: int) -> Any:
    """The image of a GIFTI file that has nothing but numbers inside."""
    nibabel = nibabel_module()
    data = content(file, min(max_bytes, LARGEST_XML))
    _check_xml(file, data, max_bytes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return nibabel.gifti.GiftiImage.from_bytes(data)
    except _parser_errors(nibabel) as error:
        raise broken(file, "GIFTI", error) from error


def read_gifti(file: Path, max_bytes: int) -> Surface:
    """The time series of the vertices of a GIFTI file (``.func.gii``), or its maps (``.shape.gii``)."""
    image = open_gifti(file, max_bytes)
    arrays = [np.asarray(array.data) for array in image.darrays]
    if not arrays or any(a.ndim > 2 or a.dtype.kind not in "biuf" for a in arrays):
        raise fault(file, f"it has {len(arrays)} arrays of shapes {[a.shape for a in arrays[:4]]}, needs one for each time, over vertices.")
    if len(arrays) == 1 and arrays[0].ndim == 2:
        values = arrays[0].T  # one array (vertex, time)
    elif all(a.ndim == 1 and a.shape == arrays[0].shape for a in arrays):
        values = np.stack(arrays)
    else:
        raise fault(file, f"its arrays have the shapes {sorted({a.shape for a in arrays})}, needs one value per vertex for each time.")
    meta: dict[str, str] = {}
    for holder in (image, *image.darrays[:1]):
        meta |= dict(holder.meta)
    side = SIDES.get(str(meta.get("AnatomicalStructurePrimary", "")).upper().replace("_", "").replace(" ", ""), "")
    return Surface(values.astype(np.float64), side, _step(file, meta))


def _step(file: Path, meta: dict[str, str]) -> float | None:
    """The period in seconds; GIFTI states ``TimeStep`` in milliseconds."""
    if "TimeStep" not in meta:
        return None
    try:
        step = float(meta["TimeStep"])
    except ValueError as error:
        raise broken(file, "GIFTI with a TimeStep in ms", error) from error
    if not (math.isfinite(step) and step > 0):
        raise fault(file, f"its TimeStep is {step}, needs a positive number of ms.")
    return step / 1000


def _check_xml(file: Path, data: bytes, max_bytes: int) -> None:
    """No entities, no data in other files, and no array that decompresses to more than it says or than is allowed."""
    total, sizes, text, inside = 0, [], [], False

    def refuse(*_: Any) -> None:
        raise fault(file, "its XML declares entities, needs plain GIFTI. It is not read.")

    def begin(tag: str, given: dict[str, str]) -> None:
        nonlocal total, inside
        if tag == "DataArray":
            if given.get("Encoding") not in INLINE:
                raise fault(file, f"an array has the encoding {given.get('Encoding')!r}, needs its data in this file: {', '.join(INLINE)}.")
            shape = [int(given[f"Dim{i}"]) for i in range(int(given.get("Dimensionality", "0")))]
            width = NIFTI_TYPE_BYTES.get(given.get("DataType", ""))
            if width is None or any(n < 0 for n in shape):
                raise fault(
                    file, f"an array has the type {given.get('DataType')!r} and shape {shape}, needs one of {list(NIFTI_TYPE_BYTES)}."
                )
            sizes.append((given["Encoding"], math.prod(shape) * width))
            total += math.prod(shape) * 8
            if total > max_bytes:
                raise too_large(file, "its content", total, max_bytes)
        inside = tag == "Data"

    def characters(piece: str) -> None:
        if inside:
            text.append(piece)

    def end(tag: str) -> None:
        nonlocal inside
        if tag == "Data" and sizes:
            encoding, size = sizes[-1]
            packed = "".join(text)
            if encoding == "GZipBase64Binary":
                got = zlib.decompressobj().decompress(base64.b64decode(packed), size + 1)
                if len(got) != size:
                    raise fault(file, f"an array has {len(got)} bytes or more, and should have {size}, needs as many as its shape says.")
            text.clear()
            inside = False

    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, characters
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except ValueError as error:
        raise error if str(error).startswith(f"{file.name}: ") else broken(file, "GIFTI", error) from error
    except (*BROKEN, xml.parsers.expat.ExpatError) as error:
        raise broken(file, "GIFTI", error) from error


def _parser_errors(nibabel: ModuleType) -> tuple[type[Exception], ...]:
    return (
        *BROKEN,
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
        nibabel.spatialimages.ImageDataError,
        nibabel.cifti2.Cifti2HeaderError,
        xml.parsers.expat.ExpatError,
    )
