/** Fills a cell with an execution that the page did not ask for itself. */

import type { CodeCell } from '@jupyterlab/cells';
import { Kernel, KernelMessage } from '@jupyterlab/services';
import type { JSONObject } from '@lumino/coreutils';

/** What the server answers when nothing is kept of an execution. */
const NOT_KEPT = 'OutputNotKept';

type Future = Kernel.IShellFuture<
  KernelMessage.IExecuteRequestMsg,
  KernelMessage.IExecuteReplyMsg
>;

/** Have a cell say that it is executed, though its output cannot come yet. */
export function showWaiting(cell: CodeCell): void {
  cell.model.executionState = 'running';
}

/** Have a cell say that it is not executed any more. */
export function showIdle(cell: CodeCell): void {
  cell.model.executionState = 'idle';
}

/**
 * Bring a whole execution to a cell, then what it does now; resolves at its end.
 *
 * What the cell showed is replaced; it comes back if nothing is kept of the execution. Resolves to
 * false when something else became of the cell.
 */
export async function attach(
  kernel: Kernel.IKernelConnection,
  cell: CodeCell,
  id: string
): Promise<boolean> {
  const { model, outputArea } = cell;
  const { trusted, executionCount } = model;
  const outputs = model.outputs.toJSON();
  const restore = () => {
    model.trusted = trusted;
    model.outputs.fromJSON(outputs);
    model.executionCount = executionCount;
  };
  if (outputArea.future?.msg.header.msg_id === id) {
    outputArea.future.dispose(); // it would take the new one's place with it
  }
  let future: Future | null = null;
  const ours = () => !cell.isDisposed && (future === null || outputArea.future === future);
  try {
    future = ask(kernel, id, { reattach: true }); // throws when the kernel is dead
    outputArea.future = future;
    model.trusted = true; // as output is that comes while the page looks
    model.executionCount = null;
    showWaiting(cell);
    const { content } = await future.done;
    const kept = content.status !== 'error' || content.ename !== NOT_KEPT;
    if (!ours()) {
      return false;
    }
    if (kept) {
      model.executionCount = content.execution_count ?? null;
    } else {
      restore();
    }
    return kept;
  } catch {
    if (ours() && model.outputs.length === 0) {
      restore(); // nothing of it came
    }
    return false; // the kernel was restarted, or the cell executed anew
  } finally {
    if (ours()) {
      showIdle(cell);
    }
  }
}

/** Say that an execution's output is wanted in no cell any more. */
export function forget(kernel: Kernel.IKernelConnection, id: string): void {
  ask(kernel, id, { forget: true });
}

/** Ask the server, not the kernel, about an execution. */
function ask(kernel: Kernel.IKernelConnection, id: string, what: JSONObject): Future {
  const message = KernelMessage.createMessage<KernelMessage.IExecuteRequestMsg>({
    msgType: 'execute_request',
    channel: 'shell',
    msgId: id,
    session: kernel.clientId,
    username: kernel.username,
    metadata: { sessmgr: what },
    content: {
      code: '',
      silent: true,
      store_history: false,
      user_expressions: {},
      allow_stdin: true,
      stop_on_error: false
    }
  });
  return kernel.sendShellMessage(message, true, true) as Future;
}
