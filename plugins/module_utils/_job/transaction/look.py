# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a transaction changes: its disks as they were and as they will be, side by side."""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from ..._device.kept_overlay import KeptOverlay
from ..._device.transaction_overlay import refuse_failed, require_overlay
from ..._guest import session
from ..._guest.changes import compare_trees, has_change_time
from ..._guest.changes_packages import compare_packages
from ..._guest.facts.guest import facts_of
from ..._guest.lockedfolder import name_of, run_directory
from ..kept_disk import open_kept
from .identity import require_same
from .pending import state_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..._device.device import BlockDevice
    from ..._device.transaction_mark import Member
    from ..._guest.session import MountState
    from ..access import Access
    from .pending import Transaction

    Source = Callable[[], BlockDevice]


class Wish(t.NamedTuple):
    """Which volumes, as one would mount them."""

    volume: str | None
    subvolume: str | None
    layout: str
    key_file: str | None
    isolation: str


def changes(
    access: Access, transaction: Transaction, wish: Wish, mounted: MountState | None
) -> dict[str, t.Any]:
    """Packages and files that came, went or changed. `mounted`: the transaction, if it is.

    Raises MountFailed and what opening the disks raises.
    """
    before = [
        functools.partial(open_kept, access, path, writable=False) for path in transaction.paths
    ]
    with contextlib.ExitStack() as stack:
        if mounted is None:
            after = [
                functools.partial(overlaid, access, path, member)
                for path, member in zip(transaction.paths, transaction.mark.members, strict=True)
            ]
            mounted = stack.enter_context(_mounted(transaction, after, wish, "after"))
        base = stack.enter_context(_mounted(transaction, before, wish, "before"))
        return _compared(base, mounted)


def _compared(before: MountState, after: MountState) -> dict[str, t.Any]:
    kinds = {str(part.get("fs")) for part in after.parts}
    files = compare_trees(
        before.mount_point,
        after.mount_point,
        has_change_time=all(has_change_time(kind) for kind in kinds),
    )
    old, new = (facts_of(state.mount_point) for state in (before, after))
    return {
        "packages": compare_packages(old["packages"], new["packages"]),
        "files": files.as_dict(),
    }


def overlaid(access: Access, path: str, member: Member) -> BlockDevice:
    """The disk as the transaction has left it; nothing is written, not even that it was opened.

    Raises CorruptDisk where the disk or the overlay was changed, DiskInUse where it is mounted,
    InvalidRequest where writes to it have failed.
    """
    base = open_kept(access, path, writable=False)
    try:
        require_same(base, state_of(member), member.disk)
        require_overlay(member.overlay, base.size, member.identity)
        refuse_failed(member.overlay)
        return KeptOverlay(base, member.overlay, member.identity)
    except BaseException:
        base.close()
        raise


@contextlib.contextmanager
def _mounted(
    transaction: Transaction, sources: Sequence[Source], wish: Wish, name: str
) -> Iterator[MountState]:
    """Read-only at a place of our own; also when this process is killed, it does not stay."""
    place = f"{transaction.mark.id}-{name}-{os.getpid()}"
    point = os.path.join(run_directory("compare"), name_of(place))
    leash, hand = os.pipe()
    try:
        request = session.MountRequest(
            sources[0],
            f"{transaction.paths[0]} ({name} its transaction)",
            point,
            wish.volume,
            read_only=True,
            leash=leash,
            further=tuple(sources[1:]),
            paths=transaction.paths,
            key_file=wish.key_file,
            subvolume=wish.subvolume,
            layout=wish.layout,
            isolation=wish.isolation,
        )
        state = session.mount(request)
        try:
            yield state
        finally:
            session.unmount(point)
    finally:
        os.close(leash)
        os.close(hand)
