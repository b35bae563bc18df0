/** Cells that are run before their kernel is there: JupyterLab drops them without a word. */

import type { ISessionContext } from '@jupyterlab/apputils';
import type { Cell, CodeCell } from '@jupyterlab/cells';
import { INotebookTracker, Notebook, NotebookActions } from '@jupyterlab/notebook';

import { showIdle, showWaiting } from '../output/attached';

/** Milliseconds between looks at a kernel that starts: nobody tells when its start fails. */
const LOOK = 200;

/** Have cells wait for a kernel that starts, and run then. */
export function keepEarlyCells(notebooks: INotebookTracker): void {
  const waiting = new Map<Notebook, EarlyCells>();
  NotebookActions.executionScheduled.connect((_, { notebook, cell }) => {
    const context = notebooks.find(one => one.content === notebook)?.sessionContext;
    if (context !== undefined && isStarting(context)) {
      const early = waiting.get(notebook) ?? new EarlyCells(notebook, context);
      if (!waiting.has(notebook)) {
        waiting.set(notebook, early);
        void early.run().finally(() => waiting.delete(notebook));
      }
      early.cells.add(cell);
    }
  });
  NotebookActions.executed.connect((_, { notebook, cell }) => {
    if (waiting.get(notebook)?.cells.has(cell)) {
      showWaiting(cell as CodeCell); // JupyterLab takes it for done
    }
  });
}

/** The cells of one notebook that wait. */
class EarlyCells {
  constructor(
    private readonly notebook: Notebook,
    private readonly context: ISessionContext
  ) {}

  /** In the order in which they were run. */
  readonly cells = new Set<Cell>();

  /** Wait for the kernel, and run them; let go of them if none comes. */
  async run(): Promise<void> {
    while (isStarting(this.context)) {
      await new Promise(resolve => setTimeout(resolve, LOOK));
    }
    const here = new Set(this.notebook.isDisposed ? [] : this.notebook.widgets);
    const cells = [...this.cells].filter(one => here.has(one));
    this.cells.clear();
    if (this.context.isDisposed || !this.context.session?.kernel) {
      cells.forEach(one => showIdle(one as CodeCell));
    } else if (cells.length > 0) {
      await NotebookActions.runCells(this.notebook, cells, this.context);
    }
  }
}

/** Whether a kernel is on its way, and not there yet. */
function isStarting(context: ISessionContext): boolean {
  return !context.isDisposed && !context.session?.kernel && !context.hasNoKernel;
}
