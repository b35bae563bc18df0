from contextlib import ExitStack

import pytest

from jupyter_sessmgr.model.errors import TooManyRequests
from jupyter_sessmgr.rest.api.waiting import MOST_WAITING, Waiting


def test_no_more_wait_for_a_session_than_its_agent_should_be_asked_by():
    waiting = Waiting("executions")
    with ExitStack() as stack:
        for _ in range(MOST_WAITING):
            stack.enter_context(waiting.one_more("a"))
        with pytest.raises(TooManyRequests, match="executions"), waiting.one_more("a"):
            pass
        with waiting.one_more("b"):
            pass
    with waiting.one_more("a"):
        pass
    assert not waiting._count
