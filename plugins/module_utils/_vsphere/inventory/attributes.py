# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Custom attributes, whose values are texts in vCenter and anything at all in a playbook."""

from __future__ import annotations

import typing as t

from ..._device.errors import InvalidRequest

if t.TYPE_CHECKING:
    from collections.abc import Mapping


def patterns(given: Mapping[str, t.Any], option: str) -> dict[str, str]:
    """By attribute, what its value must be. Numbers count as the texts that they look like.

    Raises InvalidRequest for what has no text that users could know: YAML makes a truth value of
    `yes`, and nothing of `~`.
    """
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise InvalidRequest(
                f"the option {option} must give a text for the attribute {name}",
                found=f"{'nothing' if value is None else value} ({type(value).__name__})",
                hint="Values of custom attributes are texts: put this one in quotes, such as 'yes'"
                " or '*' for any.",
            )
    return {name: str(value) for name, value in given.items()}
