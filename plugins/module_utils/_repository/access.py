# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What every part needs to reach the objects of an opened repository."""

from __future__ import annotations

import typing as t

from .chunk import Codec
from .pack import PackReader

if t.TYPE_CHECKING:
    from .config import Config
    from .store import Store
    from .subkeys import SubKeys


class Access:
    """A store, how its repository is laid out, and the keys to it."""

    def __init__(self, store: Store, config: Config, subkeys: SubKeys) -> None:
        self.store, self.config, self.subkeys = store, config, subkeys
        self.codec = Codec()
        self.packs = PackReader(store, subkeys, self.codec)
