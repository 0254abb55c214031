# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A session at a vCenter that outlives long work."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
import typing as t
import xml.etree.ElementTree
import xml.parsers.expat

from ..._device.errors import DiskError, VSphereFault
from . import libraries
from .errors import from_fault
from .unreachable import from_network, not_a_vcenter
from .wire import connection_to

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .target import VCenter

T = t.TypeVar("T")

SDK = "/sdk"
# vCenter forgets a session that was idle for 30 minutes.
KEEP_ALIVE = 300.0
# Servers drop connections that idle; a new one costs less than a request that fails on a dead one.
IDLE_CONNECTION = 20.0
SECOND_TRY = 1.0  # after so many seconds
LAST_QUESTION = 5.0  # seconds that the keep-alive thread has to end
BROKEN = (OSError, http.client.HTTPException, xml.parsers.expat.ExpatError)


class Session:
    """Logged in to a vCenter. Safe to use from several threads.

    Everything that goes over the wire, reading a property of a managed object too, belongs into
    `call` or `read`: they log in again when vCenter has dropped the session, and turn every fault
    into a DiskError.
    """

    def __init__(self, vcenter: VCenter) -> None:
        self.vcenter = vcenter
        self.content: t.Any = None
        self._lock = threading.Lock()
        self._logins = 0
        self._denied: BaseException | None = None
        self._used = time.monotonic()
        self._closing = threading.Event()
        self._stub = self._make_stub()
        self._instance = libraries.vim().ServiceInstance("ServiceInstance", self._stub)
        self._keeper = threading.Thread(target=self._keep_alive, daemon=True)

    def __repr__(self) -> str:
        return f"<Session {self.vcenter.username} at {self.vcenter.address}>"

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def call(self, ask: Callable[[], T], what: str = "ask", target: str | None = None) -> T:
        """What `ask` returns. It runs once, or again where vCenter had dropped the session.

        `what` completes "cannot …"; `target` names the object. Raises DiskError.
        """
        with self._told(what, target):
            return self._ask(ask)

    def read(self, ask: Callable[[], T], what: str = "read", target: str | None = None) -> T:
        """As `call`, for what may be asked twice: it also survives one dropped connection."""
        with self._told(what, target):
            try:
                return self._ask(ask)
            except BROKEN:
                if self._closing.wait(SECOND_TRY):
                    raise
                return self._ask(ask)

    @property
    def identity(self) -> str:
        """Of the vCenter. A host alone has none of its own, and its morefs are those of others."""
        return str(self.content.about.instanceUuid or f"host {self.vcenter.hostname.lower()}")

    @property
    def cookie(self) -> str:
        """What proves to vCenter's web server who we are. Changes when we log in again."""
        return str(self._stub.cookie).partition(";")[0]

    def log_in(self) -> None:
        """Raises AccessDenied, ServerUnreachable, UntrustedCertificate."""
        what = f"log in as {self.vcenter.username}"
        with self._told(what, None):
            self.content = self._instance.RetrieveContent()
            self._log_in(self._logins)
        self._keeper.start()

    def ensure(self) -> None:
        """Log in again if vCenter has dropped the session: for its services that do not say clearly
        whether it is that, or something else, which they do not like. Raises DiskError."""
        self.read(lambda: self.content.rootFolder.name, "look whether the session is alive")

    def close(self) -> None:
        """Log out. Errors do not matter any more."""
        self._closing.set()
        if self._keeper.is_alive():
            self._keeper.join(LAST_QUESTION)
        with self._lock:  # a log-in that is under way elsewhere would leave its session behind
            if self._logins:
                with contextlib.suppress(*BROKEN, libraries.vmodl().MethodFault):
                    self.content.sessionManager.Logout()
        self._stub.DropConnections()

    def _ask(self, ask: Callable[[], T]) -> T:
        logins = self._logins
        try:
            answer = ask()
        except libraries.vim().fault.NotAuthenticated:
            self._log_in(logins)
            answer = ask()
        self._used = time.monotonic()
        return answer

    def _log_in(self, logins: int) -> None:
        """Once only, however many threads noticed that the session is gone: too many wrong
        passwords lock an account. And not when it was we who ended it."""
        with self._lock:
            if self._logins != logins:
                return
            if self._closing.is_set():
                raise VSphereFault("this session was closed", path=self.vcenter.hostname)
            if self._denied is not None:
                raise self._denied
            self._stub.SetSessionId(None)
            try:
                manager = self.content.sessionManager
                manager.Login(self.vcenter.username, self.vcenter.password, None)
            except libraries.vim().fault.InvalidLogin as denied:
                self._denied = denied
                raise
            self._logins += 1

    @contextlib.contextmanager
    def _told(self, what: str, target: str | None) -> t.Iterator[None]:
        try:
            yield
        except libraries.vmodl().MethodFault as fault:
            raise from_fault(fault, self.vcenter, what, target) from fault
        except BROKEN as error:
            raise from_network(error, self.vcenter, what) from error

    def _keep_alive(self) -> None:
        while not self._closing.wait(KEEP_ALIVE / 2):
            if time.monotonic() - self._used >= KEEP_ALIVE / 2:
                with contextlib.suppress(DiskError):
                    self.read(self._instance.CurrentTime)

    def _make_stub(self) -> t.Any:
        with self._told("connect", None):
            version = _newest_common_version(self.vcenter)
        stub = libraries.soap().SoapStubAdapter(
            host=self.vcenter.hostname,
            port=self.vcenter.port,
            path=SDK,
            version=version,
            connectionPoolTimeout=IDLE_CONNECTION,
        )
        # Our own connections: they know certificates, proxies and how long to wait.
        stub.scheme = lambda **_address: connection_to(self.vcenter)
        return stub


def open_session(vcenter: VCenter) -> Session:
    """Log in. Raises AccessDenied, ServerUnreachable, UntrustedCertificate, MissingLibrary."""
    session = Session(vcenter)
    try:
        session.log_in()
    except BaseException:
        session.close()
        raise
    return session


def _newest_common_version(vcenter: VCenter) -> str:
    """The newest version of the API that pyVmomi and the server both know."""
    known = libraries.api_versions()
    served = _served_versions(vcenter)
    for version in known.GetServiceVersions("vim25"):
        if known.versionIdMap[version] in served:
            return str(version)
    raise not_a_vcenter(vcenter, "it speaks no version of the vSphere API that pyVmomi knows")


def _served_versions(vcenter: VCenter) -> set[str | None]:
    connection = connection_to(vcenter)
    with contextlib.closing(connection):
        connection.request("GET", f"{SDK}/vimServiceVersions.xml")
        answer = connection.getresponse()
        text = answer.read()
    if answer.status != http.client.OK:
        raise not_a_vcenter(vcenter, f"it answers {answer.status} {answer.reason}")
    try:
        tree = xml.etree.ElementTree.fromstring(text)
    except xml.etree.ElementTree.ParseError as error:
        raise not_a_vcenter(vcenter, "what answers there is something else") from error
    return {version.text for version in tree.iter("version")}
