"""What executions ask a person to type: asked again in pages that did not hear it.

On stdin a kernel asks only the websocket that wanted the execution, if that is open. Kernels that
our agent forks, or starts as Python, tell it on iopub, too, where it is recorded; what others ask
is noted by the websocket that carries it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_sessmgr.manager.recording.journal import OutputJournal, Question
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.provisioning.channels.frames import read_answered
from jupyter_sessmgr.provisioning.channels.told import Told
from jupyter_sessmgr.provisioning.channels.writer import Writer

#: Type of the messages in which kernels tell of their questions.
QUESTION = "sessmgr_question"
#: Questions that one browser may be asked at a time.
_MOST = 100


class Questions:
    """The questions that one websocket carries.

    Parameters
    ----------
    journal : OutputJournal
        Keeps them.
    session_id : str
        Whose kernel asks.
    writer : Writer
        Writes to the browser.
    """

    def __init__(self, journal: OutputJournal, session_id: str, writer: Writer) -> None:
        self._journal = journal
        self._session_id = session_id
        self._writer = writer
        #: Which execution asked, by the question's id.
        self._open: dict[str, str] = {}
        #: Executions whose question was asked in the kernel's place.
        self._asked: set[str] = set()
        #: How often a question was found to be over.
        self._overs = 0

    @property
    def any_asked(self) -> bool:
        """Whether a question was asked in the kernel's place, and not answered yet."""
        return bool(self._asked)

    def hear(self, told: Told) -> bool:
        """Note a question that the kernel asks; say whether it was asked in its place already."""
        asks = read_question(told.content) if told.kind == "input_request" else None
        if asks is None:
            return False
        if told.parent in self._asked:
            return True
        self._await(told.msg_id, told.parent)
        self._journal.note_question(self._session_id, told.parent, asks)
        return False

    def answer(self, message: Any) -> None:
        """Note what a browser says, if that is an answer."""
        if not self._open:
            return
        execution = self._open.pop(read_answered(message, v1=self._writer.is_v1) or "", None)
        if execution is not None:
            self.forget(execution)
            self._journal.note_question(self._session_id, execution, None)

    def tell(self, content: Mapping[str, Any], request: Mapping[str, Any], *, ask: bool) -> None:
        """Take what a kernel tells of a question of a request: what it is, or that it is over.

        It is asked here, if `ask`, in the kernel's place, unless it is asked already.
        """
        execution = request.get("msg_id")
        if not isinstance(execution, str):
            return
        asks = read_question(content.get("asks"))
        if asks is None:
            self.forget(execution)
        elif ask:
            self._ask(execution, asks, request)

    def forget(self, execution: str) -> None:
        """Note that what an execution asked is over, or to be asked anew."""
        self._overs += 1
        self._asked.discard(execution)
        self._open = {one: asker for one, asker in self._open.items() if asker != execution}

    async def ask_again(self, header: dict[str, Any]) -> None:
        """Ask what an execution asks now, if anything; `header` is that of its request."""
        overs = self._overs
        try:
            executions = await self._journal.executions(self._session_id)
        except SessmgrError:
            return  # who asked to have it brought back is told
        for one in executions if overs == self._overs else ():  # else that is known better
            if one.id == header.get("msg_id") and one.asks is not None:
                self._ask(one.id, one.asks, header)

    def _ask(self, execution: str, asks: Question, request: Mapping[str, Any]) -> None:
        if execution in self._open.values():
            return
        self._asked.add(execution)
        content = {"prompt": asks.prompt, "password": asks.password}
        said = self._writer.say("input_request", content, dict(request), channel="stdin")
        self._await(said, execution)

    def _await(self, question: str, execution: str) -> None:
        self._open[question] = execution
        if len(self._open) > _MOST:
            self._asked.discard(self._open.pop(next(iter(self._open))))


def read_question(said: Any) -> Question | None:
    """Read what a kernel asks; None when that is nothing, or makes no sense."""
    prompt = said.get("prompt") if isinstance(said, dict) else None
    return Question(prompt, said.get("password") is True) if isinstance(prompt, str) else None
