# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that share a store: each can be killed at any operation, and takes its turn at each."""

from __future__ import annotations

import threading


class Killed(BaseException):
    """The process ended here; nothing catches this."""


class Shared:
    """A store that several processes use, and which of their sessions are known to be dead."""

    def __init__(self, store):
        self.store = store
        self.lost = set()  # sessions of killed processes
        self.dead = set()  # those, and perhaps others, that the store takes for dead

    def bury(self):
        """Enough time passes that the store takes all lost sessions for dead."""
        self.dead |= self.lost
        self.lost.clear()


class Process:
    """What one process sees of the store. It is killed at operation `left`, before or `after` that
    had its effect; at operation `disowned_at` the others begin to take it for dead; before
    operation `halts_at` it stands still while something happens `meanwhile`."""

    def __init__(
        self,
        shared,
        left=None,
        after=False,
        disowned_at=None,
        halts_at=None,
        meanwhile=None,
        baton=None,
    ):
        self.shared, self.left, self.after = shared, left, after
        self.disowned_at, self.halts_at, self.meanwhile = disowned_at, halts_at, meanwhile
        self.url = shared.store.url
        self.operations = 0
        self.killed = False
        self._baton = baton
        self._lock = threading.Lock()  # a process has threads
        self.manifests = set()  # those that it wrote, or would have
        self.deleted = set()  # objects that it deleted, or would have
        self._sessions = set()
        self._uploads = []

    def __getattr__(self, name):
        """Every other operation of the store."""
        action = getattr(self.shared.store, name)
        return lambda *arguments, **options: self.step(lambda: action(*arguments, **options))

    def get(self, key, *part):
        return self.step(lambda: self.shared.store.get(key, *part), weighs=not _is_pack(key))

    def read_into(self, key, offset, target):
        """Of packs only."""
        self.step(lambda: self.shared.store.read_into(key, offset, target), weighs=False)

    def put(self, key, data, **options):
        if key.startswith("backups/"):
            self.manifests.add(key)
        return self.step(lambda: self.shared.store.put(key, data, **options))

    def delete(self, key):
        self.deleted.add(key)
        self.step(lambda: self.shared.store.delete(key))

    def list(self, prefix):
        return iter(self.step(lambda: list(self.shared.store.list(prefix))))

    def upload(self):
        def begin():
            self._uploads.append(self.shared.store.upload())
            return self._uploads[-1]

        return _Upload(self, self.step(begin))

    def clean(self):
        """Once it is dead: no process has ended, so no kernel has dropped the locks of these."""
        for upload in self._uploads:
            upload.abort()

    def begin_session(self):
        def begin():
            session = self.shared.store.begin_session()
            self._sessions.add(session.key)
            return session

        return _Session(self, self.step(begin))

    def sessions(self):
        def living():
            return tuple(key for key in self.shared.store.sessions() if key not in self.shared.dead)

        return self.step(living)

    def sweep(self):
        def bury():
            for key in self.shared.dead:
                self.shared.store.delete(key)
            self.shared.store.sweep()

        return self.step(bury)

    def step(self, operation, weighs=True):
        """Reading packs, which never change, is not worth being counted."""
        if self._baton:
            with self._baton.turn(self):
                return self._step(operation, weighs)
        with self._lock:
            return self._step(operation, weighs)

    def _step(self, operation, weighs):
        if self.killed:
            raise Killed
        if not weighs:
            return operation()
        self.operations += 1
        if self.operations == self.disowned_at:
            self.shared.dead |= self._sessions
        if self.operations == self.halts_at:
            self.meanwhile()
        if self.left is not None and self.operations >= self.left:
            try:
                if self.after:
                    operation()
            finally:
                self._die()
        return operation()

    def _die(self):
        self.killed = True
        self.shared.lost |= self._sessions
        raise Killed

    def forget(self, key):
        self._sessions.discard(key)


def _is_pack(key):
    return key.startswith("packs/")


class _Upload:
    def __init__(self, process, upload):
        self._process, self._upload = process, upload

    def write(self, data):
        self._upload.write(data)  # nobody else sees it: not worth an operation

    def commit(self, key):
        return self._process.step(lambda: self._upload.commit(key))

    def abort(self):
        self._upload.abort()  # of the dead too: nobody sees the difference but /tmp


class _Session:
    def __init__(self, process, session):
        self._process, self._session, self.key = process, session, session.key

    def is_alive(self):
        return self._process.step(self._session.is_alive)

    def end(self):
        def end():
            self._session.end()
            self._process.forget(self.key)

        self._process.step(end)


class Baton:
    """Lets one operation of one process happen at a time; which one, a random number says."""

    def __init__(self, random):
        self._random = random
        self._changed = threading.Condition()
        self._waiting = {}  # process to its threads that wait
        self._holder = None
        self._weights = {}

    def run(self, actions):
        """Run all (process, function) side by side; what each returned or raised."""
        results = {}

        def body(number, process, function):
            try:
                results[number] = function()
            except BaseException as error:  # the caller judges it
                results[number] = error
            finally:
                with self._changed:
                    del self._waiting[process]
                    self._changed.notify_all()

        threads = [
            threading.Thread(target=body, args=(number, *action))
            for number, action in enumerate(actions)
        ]
        self._waiting = {process: 0 for process, _function in actions}
        for thread in threads:
            thread.start()
        self._conduct()
        for thread in threads:
            thread.join()
        return [results[number] for number in range(len(actions))]

    def turn(self, process):
        return _Turn(self, process)

    def _conduct(self):
        with self._changed:
            while self._waiting:
                everybody = all(self._waiting.values())
                if self._holder is None and everybody:
                    self._holder = self._choose()
                    self._changed.notify_all()
                elif not self._changed.wait(60):
                    raise TimeoutError(f"nobody moves: {self._waiting}")

    def _choose(self):
        """Some run while others hardly move, so that all of one falls between two steps of
        another; and now and then that changes."""
        if self._random.random() < 0.05:
            self._weights.clear()
        for process in self._waiting:
            self._weights.setdefault(process, 10 ** self._random.uniform(-2, 2))
        processes = list(self._waiting)
        return self._random.choices(processes, [self._weights[one] for one in processes])[0]


class _Turn:
    def __init__(self, baton, process):
        self._baton, self._process = baton, process

    def __enter__(self):
        baton = self._baton
        with baton._changed:
            baton._waiting[self._process] += 1
            baton._changed.notify_all()
            while baton._holder is not self._process:
                baton._changed.wait()
            baton._waiting[self._process] -= 1
            baton._holder = self  # this thread, and no other of the process

    def __exit__(self, *_error):
        with self._baton._changed:
            self._baton._holder = None
            self._baton._changed.notify_all()
