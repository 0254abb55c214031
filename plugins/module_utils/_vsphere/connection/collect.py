# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Properties of many objects in few round trips."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from ..._device.errors import DiskError, VSphereFault
from . import libraries
from .errors import fault_name

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .session import Session

    # (managed object, its properties that are set and may be read, by path)
    Row = tuple[t.Any, dict[str, t.Any]]
    # the paths to read, by type of object
    Wanted = Mapping[t.Any, Sequence[str]]

PAGE = 1000  # objects an answer holds at most
AT_ONCE = 1000  # objects a question names at most
RESTARTS = 2
STALE_PAGES = 10  # one after the other, with nothing new in them
# How it shows that a view, or the rest of an answer, has gone with its session.
_LOST = ("ManagedObjectNotFound", "InvalidArgument", "InvalidProperty")


def collect(
    session: Session,
    kind: t.Any,
    paths: Sequence[str],
    *,
    container: t.Any = None,
    objects: Iterable[t.Any] | None = None,
    page: int = PAGE,
) -> Iterator[Row]:
    """(object, {path: value}) of all of `kind` beneath `container`, or of `objects`.

    A path that an object has no value for is missing. Objects that vanish meanwhile are left out.
    Raises DiskError.
    """
    if objects is None:
        yield from collect_kinds(session, {kind: paths}, container=container, page=page)
    else:
        yield from _of_objects(session, {kind: paths}, list(objects), page)


def collect_kinds(
    session: Session, wanted: Wanted, *, container: t.Any = None, page: int = PAGE
) -> Iterator[Row]:
    """As `collect`, for several kinds of objects in the same round trips. Raises DiskError."""
    beneath = functools.partial(_beneath, session, wanted, container)
    return _found(session, beneath, page)


def properties(session: Session, target: t.Any, paths: Sequence[str]) -> dict[str, t.Any]:
    """The properties of one object. Raises DiskError; ObjectNotFound where it is gone."""
    specs = [_filter_spec({type(target): paths}, [_object_spec(target)], leave_out_missing=False)]
    collector = session.content.propertyCollector
    options = _options(1)
    answer = session.read(
        lambda: collector.RetrievePropertiesEx(specs, options), f"read {', '.join(paths)}"
    )
    return _values(answer.objects[0]) if answer is not None and answer.objects else {}


def _of_objects(session: Session, wanted: Wanted, objects: list[t.Any], page: int) -> Iterator[Row]:
    for start in range(0, len(objects), AT_ONCE):
        batch = objects[start : start + AT_ONCE]
        spec = _filter_spec(wanted, [_object_spec(one) for one in batch])
        yield from _found(session, functools.partial(contextlib.nullcontext, spec), page)


def _found(
    session: Session, asked: Callable[[], contextlib.AbstractContextManager[t.Any]], page: int
) -> Iterator[Row]:
    """All that a filter finds. Where the rest of an answer, or the view, is lost with a session or
    a connection, start again, and leave out what is known."""
    seen = set[str]()
    for attempt in range(RESTARTS + 1):
        try:
            with asked() as spec:
                yield from _pages(session, spec, page, seen)
            return
        except DiskError as error:
            dropped = isinstance(error.__cause__, ConnectionError)
            if attempt == RESTARTS or not (dropped or fault_name(error) in _LOST):
                raise


@contextlib.contextmanager
def _beneath(session: Session, wanted: Wanted, container: t.Any) -> Iterator[t.Any]:
    """A filter for all objects of these kinds, by means of a view of vCenter's."""
    view = _view(session, list(wanted), container)
    try:
        # A view that went with its session must not look like an empty inventory.
        yield _filter_spec(wanted, [_through(view)], leave_out_missing=False)
    finally:
        with contextlib.suppress(DiskError):
            session.call(view.Destroy, "end a view")


def _pages(session: Session, spec: t.Any, page: int, seen: set[str]) -> Iterator[Row]:
    collector = session.content.propertyCollector
    options = _options(page)
    answer = session.read(lambda: collector.RetrievePropertiesEx([spec], options), "read objects")
    told, stale = set[str](), 0  # in this round of pages
    while answer is not None:
        morefs = {found.obj._moId for found in answer.objects}
        stale = stale + 1 if morefs <= told else 0
        told |= morefs
        for found in answer.objects:
            if found.obj._moId not in seen:
                seen.add(found.obj._moId)
                yield found.obj, _values(found)
        if not answer.token:
            return
        if stale > STALE_PAGES:
            raise _endless(session)
        more = functools.partial(collector.ContinueRetrievePropertiesEx, answer.token)
        answer = session.call(more, "read more objects")


def _endless(session: Session) -> VSphereFault:
    return VSphereFault(
        "cannot read objects: the answer goes on for ever, with nothing new in it",
        path=session.vcenter.hostname,
        hint="Try again. If it stays so, vCenter itself is ill: restart its service vpxd.",
    )


def _view(session: Session, kinds: list[t.Any], container: t.Any) -> t.Any:
    manager, root = session.content.viewManager, container or session.content.rootFolder
    return session.read(
        lambda: manager.CreateContainerView(container=root, type=kinds, recursive=True),
        "list objects",
    )


def _through(view: t.Any) -> t.Any:
    collector = libraries.vmodl().query.PropertyCollector
    step = collector.TraversalSpec(name="view", path="view", skip=False, type=type(view))
    return collector.ObjectSpec(obj=view, skip=True, selectSet=[step])


def _object_spec(target: t.Any) -> t.Any:
    return libraries.vmodl().query.PropertyCollector.ObjectSpec(obj=target, skip=False)


def _filter_spec(wanted: Wanted, objects: list[t.Any], *, leave_out_missing: bool = True) -> t.Any:
    collector = libraries.vmodl().query.PropertyCollector
    each = [
        collector.PropertySpec(type=kind, pathSet=list(paths), all=False)
        for kind, paths in wanted.items()
    ]
    return collector.FilterSpec(
        objectSet=objects, propSet=each, reportMissingObjectsInResults=leave_out_missing
    )


def _options(page: int) -> t.Any:
    return libraries.vmodl().query.PropertyCollector.RetrieveOptions(maxObjects=page)


def _values(found: t.Any) -> dict[str, t.Any]:
    return {each.name: each.val for each in found.propSet}
