/** One kernel for a notebook: JupyterLab starts another for a cell that is run before it looked. */

import type { ISessionContext } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { Session } from '@jupyterlab/services';

/** Milliseconds in which a page takes the kernel that there is, and between looks for it. */
const PATIENCE = 10_000;
const LOOK = 50;

/** Have notebooks that are opened use the kernel that runs for them, and start at most one. */
export function startOnce(notebooks: INotebookTracker, sessions: Session.IManager): void {
  notebooks.widgetAdded.connect((_, { sessionContext }) => guard(sessionContext, sessions));
}

/** Until a notebook has a kernel: both the page and each cell that is run ask for one. */
function guard(context: ISessionContext, sessions: Session.IManager): void {
  const start = context.startKernel;
  let started: Promise<boolean> | null = null;
  context.startKernel = async () => {
    if (await takesRunning(context, sessions)) {
      return false;
    }
    started ??= start.call(context).finally(() => (started = null));
    return started;
  };
  void context.ready.then(() => (context.startKernel = start));
}

/** Whether a kernel runs for this notebook, and the page took it. */
async function takesRunning(context: ISessionContext, sessions: Session.IManager): Promise<boolean> {
  await sessions.refreshRunning().catch(() => null); // a start, which is next, says what is wrong
  const runs = [...sessions.running()].some(one => one.path === context.path);
  const wanted = runs && context.kernelPreference.shouldReuse !== false;
  const deadline = Date.now() + (wanted ? PATIENCE : 0);
  while (!context.isDisposed && !context.session?.kernel && Date.now() < deadline) {
    await new Promise(resolve => setTimeout(resolve, LOOK));
  }
  return Boolean(context.session?.kernel);
}
