"""Calls to an engine's HTTP API: off the event loop, each with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import random
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import requests
import urllib3
from docker.api.client import APIClient
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env, version_lt

from jupyter_sessmgr.engines.docker.address import DEFAULT_HOST, NO_ANSWER, NO_SOCKET
from jupyter_sessmgr.engines.docker.breaker import Breaker
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable

T = TypeVar("T")

#: Threads that call the engine, and how many of them calls that change things may take: an
#: engine that hangs in a start must still be asked how it is.
THREADS, SLOW_THREADS = 16, 12
#: How often a call that may be repeated is made, and the first pause between, in seconds.
ATTEMPTS, PAUSE = 3, 0.1
#: Device requests and private IPC namespaces: what `container` writes.
OLDEST_API = "1.40"
#: Longest text of the engine that is passed on to people.
_WORDS = 400
_CONFLICT, _SERVER_ERROR = 409, 500

#: What the SDK and what it stands on raise when no whole answer came: a truncated reply is not
#: a Docker error (FAULTS D7).
TROUBLE = (
    requests.RequestException,
    DockerException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)

_patience = threading.local()


class Refused(EngineError):
    """The engine understood, and said no (a 4xx reply)."""

    def __init__(self, message: str, status: int, words: str) -> None:
        super().__init__(message)
        self.status = status
        #: The engine's own words.
        self.words = words


class Broken(EngineUnavailable):
    """The engine said that it failed (a 5xx reply): what it did before that is unknown."""

    def __init__(self, message: str, status: int, words: str) -> None:
        super().__init__(message)
        self.status = status
        self.words = words


class Api(APIClient):
    """The SDK's client, in which every request of a thread has that thread's deadline."""

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request; without a deadline of its own it gets the thread's."""
        kwargs["timeout"] = getattr(_patience, "seconds", self.timeout)
        return super().request(method, url, *args, **kwargs)


class DockerClient:
    """One engine's API, for the event loop.

    Owned by the engine, which opens and closes it. Errors: `Refused`, `Broken`,
    `EngineUnavailable`.

    Parameters
    ----------
    host : str
        Address of the engine; "" means what the environment says, as with ``docker`` itself.
    """

    def __init__(self, host: str) -> None:
        options = kwargs_from_env()
        self.host: str = host or options.get("base_url") or DEFAULT_HOST
        self._options: dict[str, Any] = {**options, "base_url": self.host}
        self._api: Api | None = None
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sessmgr-docker")
        self._slow = asyncio.Semaphore(SLOW_THREADS)
        self._breaker = Breaker()
        self._pending: dict[str, set[asyncio.Future[Any]]] = {}
        #: Set whenever an answer failed to come; whoever asks the engine for its name clears it.
        self.doubtful = True

    @property
    def api(self) -> Api:
        """The SDK's client, to be used in a thread only."""
        if self._api is None:
            raise EngineUnavailable(f"The Docker engine at {self.host} is not connected.")
        return self._api

    async def open(self, timeout: float) -> None:
        """Connect and agree on a version, within `timeout` seconds."""
        if self.host.startswith("ssh:"):
            raise EngineError(
                "DOCKER_HOST with ssh:// is not supported. Forward the engine's socket with "
                "ssh -L, and give the forwarded socket."
            )
        self._api = await self._attempt("connect", lambda: self._connect(timeout), timeout)
        if version_lt(self.api.api_version, OLDEST_API):
            raise EngineError(
                f"The Docker engine at {self.host} speaks API {self.api.api_version}; "
                f"{OLDEST_API} (Docker 19.03) or later is needed."
            )

    def _connect(self, timeout: float) -> Api:
        try:
            api = Api(
                version="auto", timeout=int(timeout) or 1, max_pool_size=THREADS, **self._options
            )
        except DockerException as error:
            # The SDK wraps what really happened.
            raise error.__cause__ if isinstance(error.__cause__, TROUBLE) else error  # noqa: B904
        api.trust_env = False
        return api

    async def close(self) -> None:
        """Let go of connections and threads. Calls under way end by their deadlines."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._api is not None:
            self._api.close()

    async def call(
        self,
        what: str,
        function: Callable[[Api], T],
        *,
        timeout: float,
        about: str = "",
        attempts: int = ATTEMPTS,
        slow: bool = False,
    ) -> T:
        """Call the engine in a thread, again if it fails and time is left.

        Parameters
        ----------
        what
            What is asked, for people: ``create a container``.
        function
            Makes the call with the SDK's client. Must be harmless when repeated, unless
            `attempts` is 1.
        timeout
            Seconds for everything.
        about
            A place whose calls `settle` waits for.
        slow
            The call may take long, so it must leave threads to others.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        for attempt in range(attempts):
            left = deadline - asyncio.get_running_loop().time()
            try:
                return await self._admit(what, function, left, about, slow=slow)
            except EngineUnavailable as error:
                pause = random.uniform(0.5, 1.5) * PAUSE * 2**attempt  # noqa: S311 - jitter
                left = deadline - asyncio.get_running_loop().time()
                final = attempt + 1 == attempts or isinstance(error, _TooLate | _Fused)
                if final or left < 2 * pause:
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    async def _admit(
        self, what: str, function: Callable[[Api], T], timeout: float, about: str, *, slow: bool
    ) -> T:
        if not self._breaker.allows():
            raise _Fused(
                f"The Docker engine at {self.host} gave no answer several times in a row; it is "
                "asked again in a few seconds."
            )
        api = self.api
        if not slow:
            return await self._attempt(what, lambda: function(api), timeout, about)
        try:
            async with asyncio.timeout(timeout):
                await self._slow.acquire()
        except TimeoutError:
            raise _TooLate(f"The Docker engine is too busy to {what}; try again later.") from None
        return await self._attempt(what, lambda: function(api), timeout, about, self._slow.release)

    async def _attempt(
        self,
        what: str,
        work: Callable[[], T],
        timeout: float,
        about: str = "",
        release: Callable[[], None] | None = None,
    ) -> T:
        """Work in a thread. When the caller leaves early, the work is waited for by `settle`."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, _patiently, work, timeout)
        pending = self._pending.setdefault(about, set())
        pending.add(future)

        def ended(future: asyncio.Future[T]) -> None:
            if release is not None:
                release()
            pending.discard(future)
            if not pending:
                self._pending.pop(about, None)
            if not future.cancelled():
                self._note(future.exception())

        future.add_done_callback(ended)
        try:
            async with asyncio.timeout(timeout + 0.5):
                return await asyncio.shield(future)
        except TimeoutError:
            raise self._translate(what, requests.Timeout()) from None
        except TROUBLE as error:
            raise self._translate(what, error) from error

    def _note(self, error: BaseException | None) -> None:
        if error is None or isinstance(error, APIError):
            self._breaker.succeeded()
        elif isinstance(error, TROUBLE):
            self._breaker.failed()
            self.doubtful = True

    def _translate(self, what: str, error: Exception) -> EngineError:
        if isinstance(error, APIError):
            words = " ".join(str(error.explanation or error).split())[:_WORDS]
            status = int(error.status_code or _SERVER_ERROR)
            if "name is already in use" in words:
                status = _CONFLICT  # of which Podman makes a failure of its own
            if status < _SERVER_ERROR:
                return Refused(f"The Docker engine refused to {what}: {words}", status, words)
            return Broken(f"The Docker engine failed to {what}: {words}", status, words)
        if isinstance(error, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError):
            return _TooLate(f"The Docker engine at {self.host} took too long to {what}.")
        return EngineUnavailable(NO_ANSWER.format(host=self.host, cause=cause(error)))

    async def settle(self, about: str, timeout: float) -> None:
        """Wait for calls of a place that nobody waits for any more, since they may still act.

        Raises
        ------
        EngineUnavailable
            when one is still under way after `timeout` seconds.
        """
        pending = self._pending.get(about)
        if pending and (await asyncio.wait(set(pending), timeout=timeout))[1]:
            raise _TooLate(f"The Docker engine at {self.host} still works on an earlier request.")


class _TooLate(EngineUnavailable):
    """The deadline is over, so there is no use in trying again."""


class _Fused(EngineUnavailable):
    """The engine is left alone for a while."""


@contextlib.contextmanager
def patient(seconds: float) -> Iterator[None]:
    """Give every request of this thread a deadline: so long may the engine be silent."""
    _patience.seconds = max(seconds, 0.01)
    try:
        yield
    finally:
        del _patience.seconds


def _patiently(work: Callable[[], T], seconds: float) -> T:
    with patient(seconds):
        return work()


def cause(error: Exception) -> str:
    """Say in a few words why there is no answer, and what to do."""
    roots: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in roots:
        roots.append(one)
        reason = getattr(one, "reason", None) or next(iter(one.args), None)
        one = one.__cause__ or (reason if isinstance(reason, BaseException) else one.__context__)
    for root in roots:
        if isinstance(root, FileNotFoundError):
            return NO_SOCKET
        if isinstance(root, PermissionError):
            return (
                "you may not use its socket. Add yourself to the group docker, log in again, and "
                "restart the server."
            )
        if isinstance(root, socket.gaierror):
            return "its host's name cannot be found. Check DOCKER_HOST."
        if isinstance(root, ConnectionRefusedError):
            return "nobody listens there. Start Docker, or set DOCKER_HOST."
    return f"the connection broke off ({type(roots[-1]).__name__})."
