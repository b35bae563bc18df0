"""What executions ask a person to type: noted, so that a page that was loaded again can ask it.

Only the websocket that asked for an execution hears its questions, and nobody records them.
"""

from __future__ import annotations

from typing import Any

from jupyter_sessmgr.manager.recording.journal import Execution, OutputJournal, Question
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.provisioning.channels.frames import read_answered
from jupyter_sessmgr.provisioning.channels.told import Told
from jupyter_sessmgr.provisioning.channels.writer import Writer

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

    def hear(self, told: Told) -> None:
        """Note a question that the kernel asks."""
        if told.kind != "input_request":
            return
        content = told.content
        prompt = content.get("prompt")
        if isinstance(prompt, str):
            self._await(told.msg_id, told.parent)
            question = Question(prompt, content.get("password") is True)
            self._journal.note_question(self._session_id, told.parent, question)

    def answer(self, message: Any) -> None:
        """Note what a browser says, if that is an answer."""
        if not self._open:
            return
        execution = self._open.pop(read_answered(message, v1=self._writer.is_v1) or "", None)
        if execution is not None:
            self._journal.note_question(self._session_id, execution, None)

    async def ask_again(self, header: dict[str, Any]) -> None:
        """Ask what an execution asks now, if anything; `header` is that of its request."""
        try:
            executions = await self._journal.executions(self._session_id)
        except SessmgrError:
            return  # who asked to have it brought back is told
        for one in executions:
            if one.id == header.get("msg_id") and one.asks is not None:
                self._ask(one, one.asks, header)

    def _ask(self, one: Execution, asks: Question, header: dict[str, Any]) -> None:
        content = {"prompt": asks.prompt, "password": asks.password}
        self._await(self._writer.say("input_request", content, header, channel="stdin"), one.id)

    def _await(self, question: str, execution: str) -> None:
        self._open[question] = execution
        if len(self._open) > _MOST:
            self._open.pop(next(iter(self._open)))
